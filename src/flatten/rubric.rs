//! Rubrics with their criteria, and the evaluations of messages by them.

use crate::flatten::annotation::AnnotationLevel;
use crate::flatten::members::bind_members;
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::value::Value;
use crate::tables::definition::{
    CriterionEvaluationRow, RubricCriterionRow, RubricEvaluationRow, RubricRow,
};
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

impl TaskFlattener<'_> {
    /// Adds the rows of a rubric of a turn.
    pub(crate) fn rubric(
        &mut self,
        object: Value<'_>,
        rubric_index: i32,
        turn: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Rubrics, extra, {
            criteria: "criteria_definitions" => "criterion_count",
            max_total_score: "max_total_score",
        });
        let criteria = extra.objects(criteria);
        let row = RubricRow {
            row_key: turn.at(self.path),
            rubric_index,
            max_total_score: extra.float64(max_total_score),
            criterion_count: criteria.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.each(
            "criteria_definitions",
            criteria,
            |flattener, object, index| {
                flattener.rubric_criterion(object, [rubric_index, index], turn)
            },
        )
    }

    fn rubric_criterion(
        &mut self,
        object: Value<'_>,
        [rubric_index, criterion_index]: [i32; 2],
        turn: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::RubricCriteria, extra, {
            id: "id" => "criterion_id",
            criterion: "criterion",
            weight: "weight",
            annotations: "annotations" => "annotation_count",
        });
        let (criterion_id, criterion) = (extra.text(id), extra.text(criterion));
        let weight = extra.float64(weight);
        let annotations = extra.objects(annotations);
        let row = RubricCriterionRow {
            row_key: turn.at(self.path),
            rubric_index,
            criterion_index,
            criterion_id,
            criterion,
            weight,
            annotation_count: annotations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::RubricCriterion, turn)
    }

    /// Adds the rows of the evaluation of a message by a rubric: its own annotations come before those of its criteria.
    pub(crate) fn rubric_evaluation(
        &mut self,
        object: Value<'_>,
        rubric_evaluation_index: i32,
        message: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::RubricEvaluations, extra, {
            criteria: "criteria_evaluations" => "criterion_evaluation_count",
            annotations: "annotations" => "annotation_count",
            total_score: "total_score",
            percentage: "percentage",
        });
        let criteria = extra.objects(criteria);
        let annotations = extra.objects(annotations);
        let row = RubricEvaluationRow {
            row_key: message.at(self.path),
            rubric_evaluation_index,
            total_score: extra.float64(total_score),
            percentage: extra.float64(percentage),
            criterion_evaluation_count: criteria.count,
            annotation_count: annotations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::RubricEvaluation, message)?;
        self.each(
            "criteria_evaluations",
            criteria,
            |flattener, object, index| {
                flattener.criterion_evaluation(object, [rubric_evaluation_index, index], message)
            },
        )
    }

    fn criterion_evaluation(
        &mut self,
        object: Value<'_>,
        [rubric_evaluation_index, criterion_evaluation_index]: [i32; 2],
        message: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::CriterionEvaluations, extra, {
            definition_id: "criterion_definition_id",
            score: "score",
            annotations: "annotations" => "annotation_count",
        });
        let criterion_definition_id = extra.text(definition_id);
        let score = extra.float64(score);
        let annotations = extra.objects(annotations);
        let row = CriterionEvaluationRow {
            row_key: message.at(self.path),
            rubric_evaluation_index,
            criterion_evaluation_index,
            criterion_definition_id,
            score,
            annotation_count: annotations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::CriterionEvaluation, message)
    }
}
