//! Scores of rubrics by criterion and model.

use crate::report::bounded_map::BoundedMap;
use crate::report::merge::{Merge, merge_fields};
use crate::report::question_statistics::ModelScores;
use crate::report::score_summary::ScoreSummary;
use crate::report::short_text::ShortText;

/// Criteria that are counted.
const MAX_CRITERIA: usize = 5_000;

/// The scores of one criterion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CriterionStatistics {
    /// All scores.
    pub scores: ScoreSummary,
    /// By the model of the message.
    pub models: ModelScores,
}

merge_fields!(CriterionStatistics { scores, models });

/// The scores of all criteria.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RubricStatistics {
    /// All evaluations of a criterion.
    pub evaluations: u64,
    /// All scores.
    pub total: CriterionStatistics,
    /// By the text of the criterion, or its ID if the text is not known.
    pub criteria: BoundedMap<Option<ShortText>, CriterionStatistics, MAX_CRITERIA>,
}

merge_fields!(RubricStatistics {
    evaluations,
    total,
    criteria
});

impl RubricStatistics {
    /// Counts the evaluation of a criterion. `model` is that of the message, and `None` if the message is not known.
    pub fn see(
        &mut self,
        criterion: Option<ShortText>,
        score: Option<f64>,
        model: Option<&Option<ShortText>>,
    ) {
        self.evaluations += 1;
        let Some(score) = score.map(ScoreSummary::of) else {
            return;
        };
        let known = self.criteria.entry(criterion);
        for statistics in [Some(&mut self.total), known].into_iter().flatten() {
            statistics.scores.merge(score);
            if let Some(scores) = model.and_then(|model| statistics.models.entry(model.clone())) {
                scores.merge(score);
            }
        }
    }
}
