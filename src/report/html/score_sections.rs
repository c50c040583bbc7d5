//! Scores by question and model, and by rubric criterion and model.

use std::cmp::Reverse;

use crate::report::html::chart::mark;
use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::number_text::{
    count_text, hundredths_text, short_hundredths_text, thousandths,
};
use crate::report::html::question_sections::question_cards;
use crate::report::html::table_view::{TableView, and_more, note, section, shown_count};
use crate::report::question_statistics::{QuestionStatistics, QuestionsStatistics};
use crate::report::rubric_statistics::{CriterionStatistics, RubricStatistics};
use crate::report::score_summary::ScoreSummary;
use crate::report::short_text::ShortText;

/// Models that a question shows.
const MAX_MODELS: usize = 12;

/// Criteria that are shown, and the models in their columns.
const MAX_CRITERIA: usize = 20;
const MAX_COLUMNS: usize = 8;

/// Why models are not shown.
const NO_MODELS: &str =
    "Models are not shown: the tables tasks and messages were not exported together (--tables).";

fn model_name(model: Option<&ShortText>) -> Markup {
    Markup::optional_key(model, "(no model)", NAME_CHARS)
}

fn mean_text(scores: &ScoreSummary) -> String {
    let mean = scores.mean_hundredths();
    mean.map_or_else(String::new, hundredths_text)
}

/// Where a mean stands between the lowest and the highest score of a question, in thousandths; the middle if all scores
/// are equal.
fn place(scores: &ScoreSummary, (lowest, highest): (i128, i128)) -> u64 {
    let mean = scores.mean_hundredths().unwrap_or(lowest);
    let above = u64::try_from(mean - lowest).unwrap_or_default();
    let range = u64::try_from(highest - lowest).unwrap_or_default();
    match range {
        0 => 500,
        range => thousandths(above, range),
    }
}

/// The scores of each question that has some, by model.
pub(super) fn scores(questions: &QuestionsStatistics, has_models: bool) -> Markup {
    let title = "Scores by question and model";
    let cards = question_cards(questions, |question| question.scores.count(), score_table);
    let Some(cards) = cards else {
        return section("scores", title, &note("No annotation has a number."));
    };
    let mut content = note(
        "Numeric values of annotations, and the scores of rubric ratings. The mark shows the mean between the lowest and the highest score of the question.",
    );
    if !has_models {
        content.push(&note(NO_MODELS));
    }
    section("scores", title, &content.and(&cards))
}

fn score_table(statistics: &QuestionStatistics) -> TableView {
    let range = statistics.scores.range_hundredths().unwrap_or_default();
    let caption = "Scores of a question";
    let mut table = TableView::new(caption, &["model", "", "mean", "scores", "range"]);
    let row = |name: Markup, scores: &ScoreSummary| {
        let (lowest, highest) = scores.range_hundredths().unwrap_or_default();
        let own = format!(
            "{} to {}",
            short_hundredths_text(lowest),
            short_hundredths_text(highest)
        );
        vec![
            name,
            mark(place(scores, range)),
            Markup::text(&mean_text(scores)),
            Markup::text(&count_text(scores.count())),
            Markup::text(&own),
        ]
    };
    table
        .rows
        .push(row(Markup::text("all"), &statistics.scores));
    let mut models = statistics.models.by_count(ScoreSummary::count);
    let count = models.len();
    models.truncate(shown_count(count, MAX_MODELS));
    table.more = and_more(
        count,
        models.len(),
        statistics.models.has_dropped(),
        "model",
    );
    models.sort_by_key(|(model, scores)| (Reverse(scores.mean_hundredths()), *model));
    for (model, scores) in models {
        table.rows.push(row(model_name(model.as_ref()), scores));
    }
    table
}

/// The scores of rubric criteria, with a column for each model.
pub(super) fn rubrics(rubrics: &RubricStatistics, has_texts: bool, has_models: bool) -> Markup {
    let mut content = Markup::default();
    if rubrics.total.scores.count() == 0 {
        content.push(&note("No criterion of a rubric has a score."));
        return section("rubrics", "Rubric scores by criterion and model", &content);
    }
    content.push(&note(
        "Each cell is the mean score, with the number of scores below it. Criteria with the same text count as one.",
    ));
    if !has_texts {
        content.push(&note(
            "Criteria are shown by their ID: the tables tasks and rubric_criteria were not exported together (--tables).",
        ));
    }
    if !has_models {
        content.push(&note(NO_MODELS));
    }
    let models = rubrics.total.models.by_count(ScoreSummary::count);
    let columns: Vec<&Option<ShortText>> = models
        .iter()
        .take(shown_count(models.len(), MAX_COLUMNS))
        .map(|(model, _)| *model)
        .collect();
    let mut table = TableView::new("Rubric scores", &["criterion", "all"]);
    for model in &columns {
        table.headings.push(model_name(model.as_ref()));
    }
    let mut criteria: Vec<_> = rubrics.criteria.iter().collect();
    criteria
        .sort_by_key(|(criterion, statistics)| (Reverse(statistics.scores.count()), *criterion));
    let all = Markup::element("strong", "", &Markup::text("all criteria"));
    table
        .rows
        .push(criterion_row(all, &rubrics.total, &columns));
    let shown = shown_count(criteria.len(), MAX_CRITERIA);
    for (criterion, statistics) in criteria.iter().take(shown) {
        let name = match criterion {
            Some(criterion) => Markup::sentence(criterion),
            None => Markup::muted("(no criterion)"),
        };
        table.rows.push(criterion_row(name, statistics, &columns));
    }
    let parts = [
        and_more(
            criteria.len(),
            shown,
            rubrics.criteria.has_dropped(),
            "criterion",
        )
        .replace("criterions", "criteria"),
        and_more(
            models.len(),
            columns.len(),
            rubrics.total.models.has_dropped(),
            "model",
        ),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    table.more = parts.join(", ");
    content.push(&Markup::element("div", "class=\"matrix\"", &table.markup()));
    section("rubrics", "Rubric scores by criterion and model", &content)
}

fn criterion_row(
    name: Markup,
    statistics: &CriterionStatistics,
    columns: &[&Option<ShortText>],
) -> Vec<Markup> {
    let mut cells = vec![name, score_cell(&statistics.scores)];
    for column in columns {
        let mut models = statistics.models.iter();
        let scores = models.find(|(model, _)| model == column);
        let scores = scores.map(|(_, scores)| *scores).unwrap_or_default();
        cells.push(score_cell(&scores));
    }
    cells
}

/// The mean and the number of scores.
fn score_cell(scores: &ScoreSummary) -> Markup {
    if *scores == ScoreSummary::default() {
        return Markup::muted("–");
    }
    let count = Markup::element("small", "", &Markup::text(&count_text(scores.count())));
    Markup::text(&mean_text(scores))
        .and(&Markup::text(" "))
        .and(&count)
}
