//! Collects statistics from the rows of an export, one task at a time.

use std::collections::HashMap;

use crate::report::facts::{
    AnnotationPositions, BatchRow, CriterionPositions, ErrorPositions, EvaluationPositions,
    MessagePositions, ReportPositions, SubmissionPositions, TaskPositions, TurnPlace,
};
use crate::report::kind_failures::FailureFacts;
use crate::report::short_text::ShortText;
use crate::report::statistics::Statistics;
use crate::tables::table::Table;

/// The tables that the statistics read, in the order in which a task must pass its rows: rows refer to earlier ones.
pub const READ_TABLES: [Table; 8] = [
    Table::Tasks,
    Table::Submissions,
    Table::Messages,
    Table::Annotations,
    Table::RubricCriteria,
    Table::CriterionEvaluations,
    Table::Errors,
    Table::SensitiveContentReports,
];

/// Collects statistics.
#[derive(Debug, Default)]
pub struct Collector {
    statistics: Statistics,
    tasks: TaskPositions,
    messages: MessagePositions,
    annotations: AnnotationPositions,
    criteria: CriterionPositions,
    evaluations: EvaluationPositions,
    submissions: SubmissionPositions,
    errors: ErrorPositions,
    reports: ReportPositions,
    /// The models of the messages of this task, by their IDs.
    models: HashMap<String, Option<ShortText>>,
    /// The texts of the criteria of this task, by their turns and IDs.
    criterion_texts: HashMap<TurnPlace, HashMap<String, ShortText>>,
}

impl Collector {
    /// Begins the next task: rows do not refer to those of another one.
    pub fn begin_task(&mut self) {
        self.models.clear();
        self.criterion_texts.clear();
    }

    /// Counts a row of a table without the rows that it refers to.
    pub fn see_alone(&mut self, table: Table, row: BatchRow<'_>) {
        self.begin_task();
        self.see(table, row);
    }

    /// Counts a row of a table. The other rows of its task must have passed in the order of [`READ_TABLES`].
    pub fn see(&mut self, table: Table, row: BatchRow<'_>) {
        let statistics = &mut self.statistics;
        match table {
            Table::Tasks => statistics.tasks.see(&self.tasks.facts(row)),
            Table::Messages => {
                let message = self.messages.facts(row);
                statistics.messages.see(&message);
                let model = message.model.map(ShortText::of);
                self.models.insert(message.message_id.to_owned(), model);
            }
            Table::Annotations => {
                let annotation = self.annotations.facts(row);
                let model = annotation.message_id.and_then(|id| self.models.get(id));
                statistics.questions.see(&annotation, model);
            }
            Table::RubricCriteria => {
                let criterion = self.criteria.facts(row);
                if let (Some(id), Some(text)) = (criterion.criterion_id, criterion.criterion) {
                    let of_turn = self.criterion_texts.entry(criterion.turn).or_default();
                    of_turn
                        .entry(id.to_owned())
                        .or_insert_with(|| ShortText::of(text));
                }
            }
            Table::CriterionEvaluations => {
                let evaluation = self.evaluations.facts(row);
                let model = self.models.get(evaluation.message_id);
                let criterion = evaluation.criterion_id.map(|id| {
                    let of_turn = self.criterion_texts.get(&evaluation.turn);
                    let text = of_turn.and_then(|texts| texts.get(id)).cloned();
                    text.unwrap_or_else(|| ShortText::of(id))
                });
                statistics.rubrics.see(criterion, evaluation.score, model);
            }
            Table::Submissions => {
                let contributor = self.submissions.contributor_id(row).map(ShortText::of);
                add_one(statistics.contributors.entry(contributor));
            }
            Table::Errors => {
                let kind = self.errors.kind(row).map(ShortText::of);
                add_one(statistics.errors.entry(kind));
            }
            Table::SensitiveContentReports => {
                let kind = self.reports.kind(row).map(ShortText::of);
                add_one(statistics.reports.entry(kind));
            }
            _ => {}
        }
    }

    /// Counts a failed or stale ID.
    pub fn see_failure(&mut self, failure: FailureFacts) {
        self.statistics.failures.see(failure);
    }

    /// The statistics of all rows.
    pub fn finish(self) -> Statistics {
        self.statistics
    }
}

fn add_one(count: Option<&mut u64>) {
    if let Some(count) = count {
        *count += 1;
    }
}
