//! The shape of a task: the column, list or part of each key, in the fixed order of rows (rule 7).

use crate::tables::column::ColumnType;
use crate::tables::table::{EXTRA, Table};

/// An object that has a row.
struct ObjectShape {
    table: Table,
    members: &'static [ShapeMember],
}

/// A member of an object, by its key.
enum ShapeMember {
    /// A value in a column; the first of these columns that is not null.
    Field(&'static str, &'static [&'static str]),
    /// A list of objects that each have a row, and the column that counts them.
    List(&'static str, &'static str, &'static ObjectShape),
    /// An object without a row, whose members have columns in this row.
    Part(&'static str, &'static [ShapeMember]),
}

use ShapeMember::{Field, List, Part};

const TASK: ObjectShape = ObjectShape {
    table: Table::Tasks,
    members: &[
        Field("task_id", &["task_id"]),
        Field("project", &["project", "project_id"]),
        Field("batch", &["batch", "batch_id"]),
        Field("status", &["status"]),
        Field("created_at", &["created_at"]),
        Field("completed_at", &["completed_at"]),
        Field("metadata", &["metadata"]),
        List("errors", "error_count", &ERROR),
        List(
            "sensitive_content_reports",
            "sensitive_content_report_count",
            &REPORT,
        ),
        List("threads", "thread_count", &THREAD),
    ],
};

const ERROR: ObjectShape = ObjectShape {
    table: Table::Errors,
    members: &[Field("type", &["type"]), Field("message", &["message"])],
};

const REPORT: ObjectShape = ObjectShape {
    table: Table::SensitiveContentReports,
    members: &[Field("type", &["type"]), Field("message", &["message"])],
};

const THREAD: ObjectShape = ObjectShape {
    table: Table::Threads,
    members: &[
        Field("id", &["thread_id"]),
        List("annotations", "annotation_count", &ANNOTATION),
        List("submissions", "submission_count", &SUBMISSION),
        List("turns", "turn_count", &TURN),
    ],
};

const SUBMISSION: ObjectShape = ObjectShape {
    table: Table::Submissions,
    members: &[
        Field("submitted_at", &["submitted_at"]),
        Field("contributor_id", &["contributor_id"]),
    ],
};

const TURN: ObjectShape = ObjectShape {
    table: Table::Turns,
    members: &[
        Field("id", &["turn_id"]),
        List("annotations", "annotation_count", &ANNOTATION),
        List("rubrics", "rubric_count", &RUBRIC),
        List("messages", "message_count", &MESSAGE),
    ],
};

const MESSAGE: ObjectShape = ObjectShape {
    table: Table::Messages,
    members: &[
        Field("role", &["role"]),
        Field("source_id", &["source_id"]),
        List("annotations", "annotation_count", &ANNOTATION),
        Part(
            "content",
            &[
                Field("text", &["text"]),
                List("reference_texts", "reference_text_count", &REFERENCE_TEXT),
                List("attachments", "attachment_count", &ATTACHMENT),
                List("chunks", "chunk_count", &CHUNK),
                List("reasoning", "reasoning_count", &REASONING),
            ],
        ),
        Part(
            "model_parameters",
            &[
                Field("model", &["model"]),
                Field("temperature", &["temperature"]),
                Field("max_completion_tokens", &["max_completion_tokens"]),
                Field("top_p", &["top_p"]),
                Field("top_k", &["top_k"]),
            ],
        ),
        List(
            "rubric_evaluations",
            "rubric_evaluation_count",
            &RUBRIC_EVALUATION,
        ),
    ],
};

const REFERENCE_TEXT: ObjectShape = ObjectShape {
    table: Table::ReferenceTexts,
    members: &[
        Field("content", &["content"]),
        Field("category", &["category"]),
        Field("url", &["url"]),
    ],
};

const ATTACHMENT: ObjectShape = ObjectShape {
    table: Table::Attachments,
    members: &[
        Field("name", &["name"]),
        Field("mime_type", &["mime_type"]),
        Field("url", &["url"]),
        Field("scale_url", &["scale_url"]),
        Field("content", &["content"]),
        Field("file_size_in_bytes", &["file_size_in_bytes"]),
        Field("duration", &["duration"]),
        Field("transcript_start", &["transcript_start"]),
        Field("transcript_end", &["transcript_end"]),
        Field("transcript", &["transcript"]),
        Field("transcript_url", &["transcript_url"]),
    ],
};

const CHUNK: ObjectShape = ObjectShape {
    table: Table::Chunks,
    members: &[
        Field("type", &["type"]),
        Field("text", &["text"]),
        List("annotations", "annotation_count", &ANNOTATION),
    ],
};

const REASONING: ObjectShape = ObjectShape {
    table: Table::Reasoning,
    members: &[Field("content", &["content"])],
};

const RUBRIC: ObjectShape = ObjectShape {
    table: Table::Rubrics,
    members: &[
        Field("max_total_score", &["max_total_score"]),
        List("criteria_definitions", "criterion_count", &RUBRIC_CRITERION),
    ],
};

const RUBRIC_CRITERION: ObjectShape = ObjectShape {
    table: Table::RubricCriteria,
    members: &[
        Field("id", &["criterion_id"]),
        Field("criterion", &["criterion"]),
        Field("weight", &["weight"]),
        List("annotations", "annotation_count", &ANNOTATION),
    ],
};

const RUBRIC_EVALUATION: ObjectShape = ObjectShape {
    table: Table::RubricEvaluations,
    members: &[
        Field("total_score", &["total_score"]),
        Field("percentage", &["percentage"]),
        List("annotations", "annotation_count", &ANNOTATION),
        List(
            "criteria_evaluations",
            "criterion_evaluation_count",
            &CRITERION_EVALUATION,
        ),
    ],
};

const CRITERION_EVALUATION: ObjectShape = ObjectShape {
    table: Table::CriterionEvaluations,
    members: &[
        Field("criterion_definition_id", &["criterion_definition_id"]),
        Field("score", &["score"]),
        List("annotations", "annotation_count", &ANNOTATION),
    ],
};

const ANNOTATION: ObjectShape = ObjectShape {
    table: Table::Annotations,
    members: &[
        Field("id", &["annotation_id"]),
        Field("key", &["key"]),
        Field("type", &["type"]),
        Field("title", &["title"]),
        Field("description", &["description"]),
        Field("labels", &["labels"]),
        Field("not_applicable", &["not_applicable"]),
        Field("cannot_assess", &["cannot_assess"]),
        Field("metadata", &["metadata"]),
        Field("justification", &["justification"]),
        Field("possible_values", &["possible_values"]),
        Field(
            "value",
            &[
                "value_json",
                "value_text",
                "value_bool",
                "value_list",
                "value_int",
                "value_number",
            ],
        ),
    ],
};

/// An [`ObjectShape`] with the positions of its columns.
#[derive(Debug)]
pub(crate) struct RebuildPlan {
    pub(crate) table: Table,
    pub(crate) steps: Vec<RebuildStep>,
    /// The position of `extra`.
    pub(crate) extra: Option<usize>,
    /// Whether each column holds JSON.
    json: Vec<bool>,
}

/// A [`ShapeMember`] with the positions of its columns.
#[derive(Debug)]
pub(crate) enum RebuildStep {
    Field {
        key: &'static str,
        columns: Vec<usize>,
    },
    List {
        key: &'static str,
        count: usize,
        of: RebuildPlan,
    },
    Part {
        key: &'static str,
        steps: Vec<RebuildStep>,
    },
}

impl RebuildStep {
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Field { key, .. } | Self::List { key, .. } | Self::Part { key, .. } => key,
        }
    }
}

impl RebuildPlan {
    /// The plan of a whole task.
    pub(crate) fn task() -> Self {
        Self::of(&TASK)
    }

    fn of(shape: &'static ObjectShape) -> Self {
        let table = shape.table;
        let columns = || table.info().columns();
        // A test checks that every name is that of a column.
        let find = |name: &str| columns().position(|column| column.name == name);
        Self {
            table,
            steps: steps(shape.members, &find),
            extra: find(EXTRA.name),
            json: columns()
                .map(|column| column.column_type == ColumnType::Json)
                .collect(),
        }
    }

    /// Whether a column holds JSON.
    pub(crate) fn is_json(&self, column: usize) -> bool {
        self.json.get(column).copied().unwrap_or_default()
    }
}

fn steps(
    members: &'static [ShapeMember],
    find: &dyn Fn(&str) -> Option<usize>,
) -> Vec<RebuildStep> {
    let step = |member: &'static ShapeMember| match member {
        Field(key, columns) => Some(RebuildStep::Field {
            key,
            columns: columns.iter().filter_map(|column| find(column)).collect(),
        }),
        List(key, count, shape) => Some(RebuildStep::List {
            key,
            count: find(count)?,
            of: RebuildPlan::of(shape),
        }),
        Part(key, members) => Some(RebuildStep::Part {
            key,
            steps: steps(members, find),
        }),
    };
    members.iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::definition::TABLES;
    use std::collections::BTreeSet;

    /// Tables whose rows repeat what others have.
    const CONVENIENT: [Table; 2] = [Table::Projects, Table::Batches];

    /// Columns that repeat what others have: positions, sums and lookups.
    const DERIVED: [&str; 29] = [
        "tasks.project_name",
        "tasks.batch_name",
        "tasks.turn_count",
        "tasks.message_count",
        "tasks.annotation_count",
        "tasks.attachment_count",
        "threads.thread_index",
        "submissions.submission_index",
        "turns.turn_index",
        "messages.message_id",
        "messages.message_index",
        "chunks.chunk_index",
        "reference_texts.reference_text_index",
        "reasoning.reasoning_index",
        "attachments.annotation_id",
        "attachments.source",
        "attachments.attachment_index",
        "attachments.content_size",
        "attachments.content_sha256",
        "annotations.chunk_index",
        "annotations.level",
        "annotations.annotation_index",
        "annotations.criteria",
        "annotations.value_label",
        "rubrics.rubric_index",
        "rubric_criteria.rubric_index",
        "rubric_criteria.criterion_index",
        "rubric_evaluations.rubric_evaluation_index",
        "criterion_evaluations.rubric_evaluation_index",
    ];

    fn used(table: &str, members: &'static [ShapeMember], found: &mut BTreeSet<String>) {
        for member in members {
            match member {
                Field(_, columns) => {
                    found.extend(columns.iter().map(|column| format!("{table}.{column}")));
                }
                List(_, count, shape) => {
                    found.insert(format!("{table}.{count}"));
                    used(shape.table.name(), shape.members, found);
                }
                Part(_, members) => used(table, members, found),
            }
        }
    }

    /// Without this test, a new column that the shape does not have would be lost without an error.
    #[test]
    fn every_column_is_rebuilt_from_or_derived() {
        let mut expected: BTreeSet<String> = TABLES
            .iter()
            .filter(|table| !CONVENIENT.contains(&table.table))
            .flat_map(|table| {
                let name = table.name;
                table
                    .own_columns
                    .iter()
                    .map(move |column| format!("{name}.{}", column.name))
            })
            .collect();
        let mut found = BTreeSet::new();
        used(TASK.table.name(), TASK.members, &mut found);
        let mut derived: BTreeSet<String> = DERIVED.iter().map(|&name| name.to_owned()).collect();
        derived.insert("criterion_evaluations.criterion_evaluation_index".to_owned());
        derived.insert("errors.error_index".to_owned());
        derived.insert("sensitive_content_reports.report_index".to_owned());
        assert!(found.is_disjoint(&derived));
        found.extend(derived);
        expected.extend([]);
        assert_eq!(found, expected);
    }
}
