//! Annotations by question: an overview, and the distribution of labels.

use std::cmp::Reverse;

use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::number_text::{count_text, share_text};
use crate::report::html::table_view::{
    TableView, and_more, count_table, more, note, section, shown_count,
};
use crate::report::question_statistics::{
    LabelCount, NameCounts, Question, QuestionStatistics, QuestionsStatistics,
};
use crate::report::short_text::ShortText;

/// Questions that each section shows.
const MAX_QUESTIONS: usize = 20;

/// Up to this number, all labels of a question are shown in their order, those that were never chosen included.
const MAX_SCALE: usize = 12;

/// Of more labels, the most frequent ones are shown.
const MAX_LABELS: usize = 8;

/// Types of a question that are named.
const MAX_KINDS: usize = 3;

/// The key and the level of a question.
fn question_name((level, key): &Question) -> Markup {
    let key = Markup::optional_key(key.as_ref(), "(no key)", NAME_CHARS);
    let level = Markup::element("span", "class=\"tag\"", &Markup::key(level, NAME_CHARS));
    Markup::element("code", "", &key)
        .and(&Markup::text(" "))
        .and(&level)
}

/// The names by frequency.
fn frequent(names: &NameCounts) -> Vec<&ShortText> {
    let all = names.by_count(|count| *count);
    all.into_iter().map(|(name, _)| name).collect()
}

/// The heading of a question with its most frequent titles.
fn question_heading(question: &Question, statistics: &QuestionStatistics) -> Markup {
    let mut heading = Markup::element("h3", "", &question_name(question));
    let titles = frequent(&statistics.titles);
    let shown = shown_count(titles.len(), 1);
    for title in titles.iter().take(shown) {
        let mut line = Markup::sentence(title);
        let more = and_more(
            titles.len(),
            shown,
            statistics.titles.has_dropped(),
            "title",
        );
        if !more.is_empty() {
            line.push(&Markup::muted(&format!(" {more}")));
        }
        heading.push(&Markup::element("p", "class=\"title\"", &line));
    }
    heading
}

/// All questions with the shares of `not_applicable` and `cannot_assess`.
pub(super) fn questions(questions: &QuestionsStatistics) -> Markup {
    let all = questions
        .questions
        .by_count(|question| question.annotations);
    let mut table = TableView::new(
        "Questions",
        &[
            "question",
            "type",
            "annotations",
            "not applicable",
            "cannot assess",
        ],
    );
    table.texts = &[1];
    for (question, statistics) in all.iter().take(shown_count(all.len(), MAX_QUESTIONS)) {
        let total = statistics.annotations;
        let kinds = frequent(&statistics.kinds);
        let shown = kinds.iter().take(MAX_KINDS).map(|kind| kind.start());
        let shown: Vec<&str> = shown.collect();
        let kind = match shown.as_slice() {
            [] => Markup::muted("(no type)"),
            names => Markup::data(&names.join(", "), NAME_CHARS),
        };
        table.rows.push(vec![
            question_name(question),
            kind,
            Markup::text(&count_text(total)),
            count_and_share(statistics.not_applicable, total),
            count_and_share(statistics.cannot_assess, total),
        ]);
    }
    let has_dropped = questions.questions.has_dropped();
    table.more = and_more(all.len(), table.rows.len(), has_dropped, "question");
    let content = if all.is_empty() {
        note("No annotations.")
    } else {
        note("A question is a key of annotations at one level of a task. Shares are those of its annotations.")
            .and(&table.markup())
    };
    section("questions", "Questions", &content)
}

/// `12 (3.4%)`.
fn count_and_share(count: u64, total: u64) -> Markup {
    let (count, share) = (count_text(count), share_text(count, total));
    Markup::text(&format!("{count} ({share})"))
}

/// The distribution of a question.
fn distribution(statistics: &QuestionStatistics) -> TableView {
    let total = statistics.labelled;
    let numbers: Vec<_> = statistics.numbers.iter().collect();
    let is_numeric = numbers.iter().map(|(_, count)| **count).sum::<u64>() == total;
    if is_numeric && numbers.len() <= MAX_SCALE && statistics.labels.len() > MAX_SCALE {
        let mut numbers = numbers;
        numbers.sort();
        let rows = numbers
            .into_iter()
            .map(|(number, count)| (Markup::text(&number.to_string()), *count));
        let names = ["value (labels vary)", "count"];
        return count_table("Values of a question", names, rows, total);
    }
    let labels = shown_labels(statistics);
    let rows = labels
        .iter()
        .map(|(name, label)| (Markup::key(name, NAME_CHARS), label.count));
    let names = ["label", "count"];
    let mut table = count_table("Labels of a question", names, rows, total);
    let has_dropped = statistics.labels.has_dropped();
    table.more = and_more(statistics.labels.len(), labels.len(), has_dropped, "label");
    table
}

/// The labels to show: those of a scale in their order, otherwise the most frequent ones.
fn shown_labels(statistics: &QuestionStatistics) -> Vec<(&ShortText, &LabelCount)> {
    let mut labels: Vec<_> = statistics.labels.iter().collect();
    let has_order = labels.iter().all(|(_, label)| label.place.0.is_some());
    if has_order && labels.len() <= MAX_SCALE && !statistics.labels.has_dropped() {
        labels.sort_by_key(|(name, label)| (label.place.0, *name));
        return labels;
    }
    labels.sort_by_key(|(name, label)| (Reverse(label.count), *name));
    let chosen = labels.iter().filter(|(_, label)| label.count > 0).count();
    labels.truncate(shown_count(labels.len(), chosen.min(MAX_LABELS)));
    labels
}

/// A card with a table for each question that has a count, the highest counts first; `None` if no question has one.
pub(super) fn question_cards(
    questions: &QuestionsStatistics,
    count: impl Fn(&QuestionStatistics) -> u64,
    table: impl Fn(&QuestionStatistics) -> TableView,
) -> Option<Markup> {
    let mut all = questions.questions.by_count(&count);
    all.retain(|(_, statistics)| count(statistics) > 0);
    let shown = shown_count(all.len(), MAX_QUESTIONS);
    let cards = all.iter().take(shown).map(|(question, statistics)| {
        let card = question_heading(question, statistics).and(&table(statistics).markup());
        Markup::element("article", "", &card)
    });
    let cards = Markup::element("div", "class=\"cards\"", &cards.collect());
    let has_dropped = questions.questions.has_dropped();
    let more = more(&and_more(all.len(), shown, has_dropped, "question"));
    (shown > 0).then(|| cards.and(&more))
}

/// The distribution of labels for each question that has some.
pub(super) fn labels(questions: &QuestionsStatistics) -> Markup {
    let cards = question_cards(questions, |question| question.labelled, distribution);
    let content =
        cards.unwrap_or_else(|| note("No annotation has a label, a boolean or an integer."));
    section("labels", "Labels by question", &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::facts::AnnotationFacts;

    fn labels_of(facts: &[AnnotationFacts<'_>]) -> Vec<(String, u64)> {
        let mut questions = QuestionsStatistics::default();
        for annotation in facts {
            questions.see(annotation, None);
        }
        let (_, statistics) = questions.questions.iter().next().unwrap();
        let shown = shown_labels(statistics).into_iter();
        shown
            .map(|(name, label)| (name.start().to_owned(), label.count))
            .collect()
    }

    #[test]
    fn a_scale_is_in_its_order_with_labels_that_were_never_chosen() {
        let scale = vec!["very bad", "bad", "fair", "good", "very good"];
        let chosen = ["good", "very bad", "good"].map(|label| AnnotationFacts {
            labels: scale.clone(),
            chosen: Some(label.into()),
            chosen_order: Some(4),
            ..AnnotationFacts::default()
        });
        let shown = labels_of(&chosen);
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, scale);
        let counts: Vec<u64> = shown.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 0, 0, 2, 0]);
    }

    #[test]
    fn integers_are_in_their_order_and_other_labels_by_count() {
        let number = |number: i64| AnnotationFacts {
            chosen: Some(number.to_string().into()),
            chosen_order: Some(number),
            ..AnnotationFacts::default()
        };
        let shown = labels_of(&[number(10), number(9), number(10)]);
        assert_eq!(shown, [("9".to_owned(), 1), ("10".to_owned(), 2)]);
        let word = |word: &'static str| AnnotationFacts {
            chosen: Some(word.into()),
            ..AnnotationFacts::default()
        };
        let shown = labels_of(&[word("b"), word("c"), word("a"), word("c")]);
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }
}
