//! The cells of rows that the statistics use.

use std::borrow::Cow;

use crate::tables::cell::Cell;
use crate::tables::row_reader::Rows;
use crate::tables::table::Table;

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchRow<'r> {
    /// The batch.
    pub rows: &'r Rows,
    /// The position of the row in it.
    pub row: usize,
}

impl<'r> BatchRow<'r> {
    fn text(self, column: usize) -> Option<&'r str> {
        self.rows.text(column, self.row)
    }

    fn cell(self, column: usize) -> Option<Cell<'r>> {
        self.rows.cell(column, self.row)
    }

    fn time(self, column: usize) -> Option<i64> {
        match self.cell(column)? {
            Cell::Time(micros) => Some(micros),
            _ => None,
        }
    }

    fn number(self, column: usize) -> Option<f64> {
        match self.cell(column)? {
            Cell::Float64(number) => Some(number),
            _ => None,
        }
    }

    fn whole(self, column: usize) -> Option<i64> {
        match self.cell(column)? {
            Cell::Int64(number) => Some(number),
            _ => None,
        }
    }

    fn index(self, column: usize) -> i32 {
        match self.cell(column) {
            Some(Cell::Int32(index)) => index,
            _ => 0,
        }
    }

    fn flag(self, column: usize) -> Option<bool> {
        match self.cell(column)? {
            Cell::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn texts(self, column: usize) -> impl Iterator<Item = Cow<'r, str>> {
        let texts = match self.cell(column) {
            Some(Cell::Texts(texts)) => Some(texts),
            _ => None,
        };
        let texts = texts.into_iter().flat_map(|texts| texts.iter());
        texts.map(|text| text.decode())
    }
}

/// Defines the positions of the columns that the facts of a table use.
macro_rules! positions {
    ($(#[doc = $doc:literal])+ $name:ident in $table:ident: $($field:ident = $column:literal),+ $(,)?) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name { $($field: usize),+ }

        impl Default for $name {
            fn default() -> Self {
                // A column without a position has null in every row; a test requires that all have one.
                let position = |column| Table::$table.info().position(column).unwrap_or(usize::MAX);
                Self { $($field: position($column)),+ }
            }
        }

        #[cfg(test)]
        impl $name {
            fn all(self) -> Vec<usize> {
                vec![$(self.$field),+]
            }
        }
    };
}

positions! {
    /// Columns of `tasks`.
    TaskPositions in Tasks:
    status = "status", created_at = "created_at", completed_at = "completed_at",
}

positions! {
    /// Columns of `messages`.
    MessagePositions in Messages:
    message_id = "message_id", role = "role", text = "text", model = "model",
}

positions! {
    /// Columns of `annotations`.
    AnnotationPositions in Annotations:
    message_id = "message_id", level = "level", key = "key", kind = "type", title = "title", labels = "labels",
    not_applicable = "not_applicable", cannot_assess = "cannot_assess", value_text = "value_text",
    value_int = "value_int", value_number = "value_number", value_bool = "value_bool", value_label = "value_label",
}

positions! {
    /// Columns of `rubric_criteria`.
    CriterionPositions in RubricCriteria:
    thread_index = "thread_index", turn_index = "turn_index", criterion_id = "criterion_id", criterion = "criterion",
}

positions! {
    /// Columns of `criterion_evaluations`.
    EvaluationPositions in CriterionEvaluations:
    thread_index = "thread_index", turn_index = "turn_index", message_id = "message_id",
    criterion_id = "criterion_definition_id", score = "score",
}

positions! {
    /// Columns of `submissions`.
    SubmissionPositions in Submissions:
    contributor_id = "contributor_id",
}

positions! {
    /// Columns of `errors`.
    ErrorPositions in Errors:
    kind = "type",
}

positions! {
    /// Columns of `sensitive_content_reports`.
    ReportPositions in SensitiveContentReports:
    kind = "type",
}

/// What is counted of a task.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskFacts<'r> {
    /// The status.
    pub status: Option<&'r str>,
    /// When it was created, in microseconds since 1970.
    pub created_at: Option<i64>,
    /// When it was completed, in microseconds since 1970.
    pub completed_at: Option<i64>,
}

impl TaskPositions {
    /// The facts of a row of `tasks`.
    pub fn facts(self, row: BatchRow<'_>) -> TaskFacts<'_> {
        TaskFacts {
            status: row.text(self.status),
            created_at: row.time(self.created_at),
            completed_at: row.time(self.completed_at),
        }
    }
}

/// What is counted of a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageFacts<'r> {
    /// The ID that annotations and evaluations refer to.
    pub message_id: &'r str,
    /// The role.
    pub role: Option<&'r str>,
    /// The text.
    pub text: Option<&'r str>,
    /// The model that generated it.
    pub model: Option<&'r str>,
}

impl MessagePositions {
    /// The facts of a row of `messages`.
    pub fn facts(self, row: BatchRow<'_>) -> MessageFacts<'_> {
        MessageFacts {
            message_id: row.text(self.message_id).unwrap_or_default(),
            role: row.text(self.role),
            text: row.text(self.text),
            model: row.text(self.model),
        }
    }
}

/// What is counted of an annotation.
#[derive(Debug, Clone, Default)]
pub struct AnnotationFacts<'r> {
    /// The message that it belongs to.
    pub message_id: Option<&'r str>,
    /// The level.
    pub level: &'r str,
    /// The key of the question.
    pub key: Option<&'r str>,
    /// The type.
    pub kind: Option<&'r str>,
    /// The title of the question.
    pub title: Option<&'r str>,
    /// The labels of the question.
    pub labels: Vec<Cow<'r, str>>,
    /// Whether the question does not apply.
    pub not_applicable: bool,
    /// Whether the question could not be answered.
    pub cannot_assess: bool,
    /// The chosen label: `value_label`, else a boolean, an integer, or the text of a `category`.
    pub chosen: Option<Cow<'r, str>>,
    /// Where a chosen value that is not in `labels` stands in the order of values.
    pub chosen_order: Option<i64>,
    /// An integer value.
    pub number: Option<i64>,
    /// A numeric value, except a weight.
    pub score: Option<f64>,
}

impl AnnotationPositions {
    /// The facts of a row of `annotations`.
    pub fn facts(self, row: BatchRow<'_>) -> AnnotationFacts<'_> {
        let kind = row.text(self.kind);
        let flag = row.flag(self.value_bool);
        let whole = row.whole(self.value_int);
        let category = row
            .text(self.value_text)
            .filter(|_| kind == Some("category"));
        let digits = whole.map(|number| Cow::Owned(number.to_string()));
        let word = flag.map(|flag| Cow::Borrowed(if flag { "true" } else { "false" }));
        let chosen = row.text(self.value_label).or(category).map(Cow::Borrowed);
        AnnotationFacts {
            message_id: row.text(self.message_id),
            level: row.text(self.level).unwrap_or_default(),
            key: row.text(self.key),
            kind,
            title: row.text(self.title),
            labels: row.texts(self.labels).collect(),
            not_applicable: row.flag(self.not_applicable) == Some(true),
            cannot_assess: row.flag(self.cannot_assess) == Some(true),
            chosen: chosen.or(word).or(digits),
            chosen_order: whole.or(flag.map(|flag| i64::from(!flag))),
            number: whole,
            // Its number is the weight of a criterion.
            score: row
                .number(self.value_number)
                .filter(|_| kind != Some("rubric_criteria")),
        }
    }
}

/// A turn of a task: the indexes of its thread and of the turn. IDs of criteria are unique within a turn.
pub type TurnPlace = (i32, i32);

/// What is counted of a criterion.
#[derive(Debug, Clone, Copy)]
pub struct CriterionFacts<'r> {
    /// The turn of its rubric.
    pub turn: TurnPlace,
    /// The ID that evaluations refer to.
    pub criterion_id: Option<&'r str>,
    /// The text.
    pub criterion: Option<&'r str>,
}

impl CriterionPositions {
    /// The facts of a row of `rubric_criteria`.
    pub fn facts(self, row: BatchRow<'_>) -> CriterionFacts<'_> {
        CriterionFacts {
            turn: (row.index(self.thread_index), row.index(self.turn_index)),
            criterion_id: row.text(self.criterion_id),
            criterion: row.text(self.criterion),
        }
    }
}

/// What is counted of the evaluation of a criterion.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationFacts<'r> {
    /// The turn of the message.
    pub turn: TurnPlace,
    /// The evaluated message.
    pub message_id: &'r str,
    /// The criterion.
    pub criterion_id: Option<&'r str>,
    /// The score.
    pub score: Option<f64>,
}

impl EvaluationPositions {
    /// The facts of a row of `criterion_evaluations`.
    pub fn facts(self, row: BatchRow<'_>) -> EvaluationFacts<'_> {
        EvaluationFacts {
            turn: (row.index(self.thread_index), row.index(self.turn_index)),
            message_id: row.text(self.message_id).unwrap_or_default(),
            criterion_id: row.text(self.criterion_id),
            score: row.number(self.score),
        }
    }
}

impl SubmissionPositions {
    /// The contributor of a row of `submissions`.
    pub fn contributor_id(self, row: BatchRow<'_>) -> Option<&str> {
        row.text(self.contributor_id)
    }
}

impl ErrorPositions {
    /// The type of an error.
    pub fn kind(self, row: BatchRow<'_>) -> Option<&str> {
        row.text(self.kind)
    }
}

impl ReportPositions {
    /// The type of a report of sensitive content.
    pub fn kind(self, row: BatchRow<'_>) -> Option<&str> {
        row.text(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_exists() {
        let all = [
            TaskPositions::default().all(),
            MessagePositions::default().all(),
            AnnotationPositions::default().all(),
            CriterionPositions::default().all(),
            EvaluationPositions::default().all(),
            SubmissionPositions::default().all(),
            ErrorPositions::default().all(),
            ReportPositions::default().all(),
        ];
        assert!(all.concat().iter().all(|position| *position != usize::MAX));
    }
}
