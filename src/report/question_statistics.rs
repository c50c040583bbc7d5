//! Annotations by question: labels, what could not be assessed, and scores by model.

use crate::report::bounded_map::BoundedMap;
use crate::report::facts::AnnotationFacts;
use crate::report::merge::{Merge, merge_fields};
use crate::report::score_summary::ScoreSummary;
use crate::report::short_text::ShortText;

/// Questions that are counted.
const MAX_QUESTIONS: usize = 1_000;

/// Labels of a question that are counted.
const MAX_LABELS: usize = 300;

/// Models that are counted.
pub const MAX_MODELS: usize = 100;

/// Integers of a question that are counted.
const MAX_NUMBERS: usize = 50;

/// Titles or types of a question that are counted.
const MAX_NAMES: usize = 20;

/// A question: the level of its annotations, and its key.
pub type Question = (ShortText, Option<ShortText>);

/// The scores of each model; the key is `None` for messages without a model.
pub type ModelScores = BoundedMap<Option<ShortText>, ScoreSummary, MAX_MODELS>;

/// Names of something, with how often each occurs.
pub type NameCounts = BoundedMap<ShortText, u64, MAX_NAMES>;

/// The smallest of the places at which a label stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LabelPlace(pub Option<i64>);

impl Merge for LabelPlace {
    fn merge(&mut self, other: Self) {
        let places = [self.0, other.0].into_iter().flatten();
        self.0 = places.min();
    }
}

/// A label of a question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LabelCount {
    /// How often it was chosen.
    pub count: u64,
    /// Where it stands: its index in `labels`, else the chosen integer.
    pub place: LabelPlace,
}

merge_fields!(LabelCount { count, place });

/// The annotations of one question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuestionStatistics {
    /// All annotations.
    pub annotations: u64,
    /// Those with `not_applicable`.
    pub not_applicable: u64,
    /// Those with `cannot_assess`.
    pub cannot_assess: u64,
    /// Titles.
    pub titles: NameCounts,
    /// Types.
    pub kinds: NameCounts,
    /// Annotations that chose a label.
    pub labelled: u64,
    /// Labels that were offered or chosen.
    pub labels: BoundedMap<ShortText, LabelCount, MAX_LABELS>,
    /// Annotations that chose an integer, by the integer.
    pub numbers: BoundedMap<i64, u64, MAX_NUMBERS>,
    /// All scores.
    pub scores: ScoreSummary,
    /// Scores of messages, by the model of the message.
    pub models: ModelScores,
}

merge_fields!(QuestionStatistics {
    annotations,
    not_applicable,
    cannot_assess,
    titles,
    kinds,
    labelled,
    labels,
    numbers,
    scores,
    models,
});

impl QuestionStatistics {
    fn see(&mut self, annotation: &AnnotationFacts<'_>, model: Option<&Option<ShortText>>) {
        self.annotations += 1;
        self.not_applicable += u64::from(annotation.not_applicable);
        self.cannot_assess += u64::from(annotation.cannot_assess);
        count_name(&mut self.titles, annotation.title);
        count_name(&mut self.kinds, annotation.kind);
        for (place, label) in (0..).zip(&annotation.labels) {
            self.see_label(label, 0, Some(place));
        }
        if let Some(chosen) = &annotation.chosen {
            self.labelled += 1;
            if let Some(count) = annotation.number.and_then(|it| self.numbers.entry(it)) {
                *count += 1;
            }
            let is_listed = annotation.labels.iter().any(|label| label == chosen);
            let place = annotation.chosen_order.filter(|_| !is_listed);
            self.see_label(chosen, 1, place);
        }
        if let Some(score) = annotation.score.map(ScoreSummary::of) {
            self.scores.merge(score);
            if let Some(scores) = model.and_then(|model| self.models.entry(model.clone())) {
                scores.merge(score);
            }
        }
    }

    fn see_label(&mut self, label: &str, count: u64, place: Option<i64>) {
        if let Some(known) = self.labels.entry(ShortText::of(label)) {
            known.merge(LabelCount {
                count,
                place: LabelPlace(place),
            });
        }
    }
}

fn count_name(names: &mut NameCounts, name: Option<&str>) {
    if let Some(count) = name.and_then(|name| names.entry(ShortText::of(name))) {
        *count += 1;
    }
}

/// All questions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuestionsStatistics {
    /// All annotations.
    pub annotations: u64,
    /// Annotations by question.
    pub questions: BoundedMap<Question, QuestionStatistics, MAX_QUESTIONS>,
}

merge_fields!(QuestionsStatistics {
    annotations,
    questions
});

impl QuestionsStatistics {
    /// Counts an annotation. `model` is the model of its message, and `None` if it has no message, or the message is not
    /// known.
    pub fn see(&mut self, annotation: &AnnotationFacts<'_>, model: Option<&Option<ShortText>>) {
        self.annotations += 1;
        let level = ShortText::of(annotation.level);
        let question = (level, annotation.key.map(ShortText::of));
        if let Some(known) = self.questions.entry(question) {
            known.see(annotation, model);
        }
    }
}
