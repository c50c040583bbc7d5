//! First queries for users, in DuckDB's SQL over the views of `load.sql`.

use crate::tables::selection::TableSelection;
use crate::tables::table::Table;

/// The tables that the view `annotated_messages` joins.
pub(crate) const ANNOTATED_MESSAGES: &[Table] = &[Table::Annotations, Table::Messages];

/// A query and the tables that it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// The heading: what the query shows.
    pub(crate) title: &'static str,
    tables: &'static [Table],
    pub(crate) sql: &'static str,
}

/// Queries for users who do not know the data. Each returns rows for any export of all tables in which one task is
/// annotated.
pub(crate) const FIRST: [Query; 5] = [
    Query {
        title: "Types of annotations",
        tables: &[Table::Annotations],
        sql: "\
SELECT level, key, type, count(*) AS annotations
FROM annotations
GROUP BY ALL ORDER BY annotations DESC LIMIT 20;",
    },
    Query {
        title: "Tasks by status",
        tables: &[Table::Tasks],
        sql: "\
SELECT status, count(*) AS tasks, min(created_at) AS first_created, max(completed_at) AS last_completed
FROM tasks
GROUP BY ALL ORDER BY tasks DESC;",
    },
    Query {
        title: "Messages by role and model",
        tables: &[Table::Messages],
        sql: "\
SELECT role, model, count(*) AS messages, round(avg(length(text))) AS mean_characters
FROM messages
GROUP BY ALL ORDER BY messages DESC;",
    },
    Query {
        title: "The messages of one conversation, in order",
        tables: &[Table::Messages],
        sql: "\
SELECT thread_index, turn_index, message_index, role, left(text, 60) AS begins
FROM messages
WHERE task_id = (SELECT min(task_id) FROM messages)
ORDER BY thread_index, turn_index, message_index;",
    },
    Query {
        title: "The tasks with the most annotations",
        tables: &[Table::Tasks],
        sql: "\
SELECT task_id, project_id, batch_id, message_count, annotation_count, attachment_count
FROM tasks
ORDER BY annotation_count DESC, task_id LIMIT 10;",
    },
];

/// Joins that users often need next.
pub(crate) const JOINS: [Query; 3] = [
    Query {
        title: "Annotation values by model",
        tables: ANNOTATED_MESSAGES,
        sql: "\
SELECT model, key, coalesce(value_label, value) AS answer, count(*) AS answers
FROM annotated_messages
GROUP BY ALL ORDER BY answers DESC, model, key, answer;",
    },
    Query {
        title: "Each conversation as one text",
        tables: &[Table::Messages],
        sql: "\
SELECT task_id, thread_index, string_agg(role || ': ' || text, chr(10) ORDER BY turn_index, message_index) AS conversation
FROM messages
GROUP BY ALL;",
    },
    Query {
        title: "Mean scores by model and criterion",
        tables: &[Table::CriterionEvaluations, Table::Messages, Table::RubricCriteria],
        sql: "\
SELECT m.model, c.criterion, avg(e.score) AS mean_score
FROM criterion_evaluations e
JOIN messages m USING (task_id, message_id)
JOIN rubric_criteria c ON c.criterion_id = e.criterion_definition_id
    AND (c.task_id, c.thread_index, c.turn_index) = (e.task_id, e.thread_index, e.turn_index)
GROUP BY ALL;",
    },
];

impl Query {
    /// Whether the export has all tables that the query reads.
    pub(crate) fn has_tables(&self, tables: TableSelection) -> bool {
        has_all(tables, self.tables)
    }
}

/// Whether all of these tables are in a selection.
pub(crate) fn has_all(selection: TableSelection, tables: &[Table]) -> bool {
    tables.iter().all(|table| selection.contains(*table))
}
