//! Rubrics with their criteria, and gradings by them. Depends on the files of this folder.

use crate::flatten::annotation::Level;
use crate::flatten::members::sort;
use crate::flatten::task_flattener::{Flow, TaskFlattener};
use crate::json::value::Value;
use crate::tables::definition::{
    CriterionEvaluationRow, RubricCriterionRow, RubricEvaluationRow, RubricRow,
};
use crate::tables::row_key::Place;

impl TaskFlattener<'_> {
    /// A rubric of a turn, its criteria and their annotations.
    pub(crate) fn rubric(
        &mut self,
        object: Value<'_>,
        rubric_index: i32,
        turn: &Place<'_>,
    ) -> Flow {
        let ([criteria, max_total_score], mut fit) = sort(
            object,
            "rubrics",
            &[
                ("criteria_definitions", "criterion_count"),
                ("max_total_score", "max_total_score"),
            ],
        );
        let criteria = fit.objects(criteria);
        let max_total_score = fit.float64(max_total_score);
        let extra = fit.finish(self.drift, self.task_id);
        let row = RubricRow {
            place: Place {
                path: self.path,
                ..*turn
            },
            rubric_index,
            max_total_score,
            criterion_count: criteria.count,
            extra: extra.as_deref(),
        };
        self.buffers.rubrics.push(&row, self.sink)?;
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
        turn: &Place<'_>,
    ) -> Flow {
        let ([id, criterion, weight, annotations], mut fit) = sort(
            object,
            "rubric_criteria",
            &[
                ("id", "criterion_id"),
                ("criterion", "criterion"),
                ("weight", "weight"),
                ("annotations", "annotation_count"),
            ],
        );
        let (criterion_id, criterion) = (fit.text(id), fit.text(criterion));
        let weight = fit.float64(weight);
        let annotations = fit.objects(annotations);
        let extra = fit.finish(self.drift, self.task_id);
        let row = RubricCriterionRow {
            place: Place {
                path: self.path,
                ..*turn
            },
            rubric_index,
            criterion_index,
            criterion_id,
            criterion,
            weight,
            annotation_count: annotations.count,
            extra: extra.as_deref(),
        };
        self.buffers.rubric_criteria.push(&row, self.sink)?;
        self.annotations(annotations, Level::RubricCriterion, turn)
    }

    /// A grading of a message: its own annotations, then those of its criteria.
    pub(crate) fn rubric_evaluation(
        &mut self,
        object: Value<'_>,
        rubric_evaluation_index: i32,
        message: &Place<'_>,
    ) -> Flow {
        let ([criteria, annotations, total_score, percentage], mut fit) = sort(
            object,
            "rubric_evaluations",
            &[
                ("criteria_evaluations", "criterion_evaluation_count"),
                ("annotations", "annotation_count"),
                ("total_score", "total_score"),
                ("percentage", "percentage"),
            ],
        );
        let criteria = fit.objects(criteria);
        let annotations = fit.objects(annotations);
        let (total_score, percentage) = (fit.float64(total_score), fit.float64(percentage));
        let extra = fit.finish(self.drift, self.task_id);
        let row = RubricEvaluationRow {
            place: Place {
                path: self.path,
                ..*message
            },
            rubric_evaluation_index,
            total_score,
            percentage,
            criterion_evaluation_count: criteria.count,
            annotation_count: annotations.count,
            extra: extra.as_deref(),
        };
        self.buffers.rubric_evaluations.push(&row, self.sink)?;
        self.annotations(annotations, Level::RubricEvaluation, message)?;
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
        message: &Place<'_>,
    ) -> Flow {
        let ([definition_id, score, annotations], mut fit) = sort(
            object,
            "criterion_evaluations",
            &[
                ("criterion_definition_id", "criterion_definition_id"),
                ("score", "score"),
                ("annotations", "annotation_count"),
            ],
        );
        let criterion_definition_id = fit.text(definition_id);
        let score = fit.float64(score);
        let annotations = fit.objects(annotations);
        let extra = fit.finish(self.drift, self.task_id);
        let row = CriterionEvaluationRow {
            place: Place {
                path: self.path,
                ..*message
            },
            rubric_evaluation_index,
            criterion_evaluation_index,
            criterion_definition_id,
            score,
            annotation_count: annotations.count,
            extra: extra.as_deref(),
        };
        self.buffers.criterion_evaluations.push(&row, self.sink)?;
        self.annotations(annotations, Level::CriterionEvaluation, message)
    }
}
