//! Counts by week as stacked columns, with the numbers as a table.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::{Span, civil::Date};

use crate::plural::plural;
use crate::report::html::chart::{scaled, tenths_text};
use crate::report::html::markup::{Markup, escaped};
use crate::report::html::number_text::count_text;
use crate::report::html::table_view::{TableView, note};
use crate::report::task_statistics::{Week, first_day};

/// Weeks that are drawn at most.
const MAX_WEEKS: i64 = 120;

/// Weeks that are drawn at least, so that columns are not too wide.
const MIN_WEEKS: i64 = 16;

/// Height of the drawing in its units.
const HEIGHT: u64 = 120;

/// Distance of columns in the units of the drawing, and their width.
const STEP: i64 = 10;
const COLUMN: i64 = 8;

/// A group of a stacked column: its name and its class in the style sheet.
pub(super) type Group = (&'static str, &'static str);

/// What a chart by week shows.
pub(super) struct WeekChart<'c> {
    /// What is counted, for example `tasks created`.
    pub(super) what: &'c str,
    pub(super) groups: &'c [Group],
    /// For each week with a count, the counts of the groups.
    pub(super) weeks: BTreeMap<Week, Vec<u64>>,
}

/// `2024-01-29`. Weeks of timestamps have a first day of the years 0 to 9999.
pub(super) fn day_text(week: Week) -> String {
    let epoch = date(1970, 1, 1);
    let days = Span::new().try_days(first_day(week));
    let day: Option<Date> = days.ok().and_then(|days| epoch.checked_add(days).ok());
    day.map_or_else(String::new, |day| day.to_string())
}

impl WeekChart<'_> {
    /// The chart; only the numbers if there is one week, and a note if there are none.
    pub(super) fn markup(&self) -> Markup {
        let Some((first, last)) = self.busiest() else {
            return note(&format!("No {}.", self.what));
        };
        let drawn: Vec<(Week, &Vec<u64>)> = self
            .weeks
            .range(first..=last)
            .map(|(week, counts)| (*week, counts))
            .collect();
        let used = self.used(&drawn);
        let mut out = if first == last {
            self.numbers(&drawn, &used)
        } else {
            self.chart(&drawn, &used)
        };
        let all: u64 = self.weeks.values().map(|counts| sum(counts)).sum();
        let shown: u64 = drawn.iter().map(|(_, counts)| sum(counts)).sum();
        if all > shown {
            let rest = count_text(all - shown);
            let weeks = plural((self.weeks.len() - drawn.len()) as u64, "other week");
            out.push(&note(&format!(
                "Shown are the {MAX_WEEKS} weeks with the most {}. Not shown: {rest} in {weeks}.",
                self.what
            )));
        }
        out
    }

    /// The drawing with its scale and dates, and the numbers below, closed at first.
    fn chart(&self, drawn: &[(Week, &Vec<u64>)], used: &[usize]) -> Markup {
        let [Some((first, _)), Some((last, _))] = [drawn.first(), drawn.last()] else {
            return Markup::default();
        };
        let largest = drawn.iter().map(|(_, counts)| sum(counts)).max();
        let top = axis_top(largest.unwrap_or_default());
        // Earlier weeks without a task fill the chart.
        let begin = *first.min(&(last - MIN_WEEKS + 1));
        let mut out = self.legend(used);
        out.push(&Markup::tags(
            "<div class=\"chart\"><div class=\"scale\" aria-hidden=\"true\">",
        ));
        for tick in [top, top / 2, 0] {
            out.push(&Markup::element(
                "span",
                "",
                &Markup::text(&count_text(tick)),
            ));
        }
        out.push(&Markup::tags("</div>"));
        out.push(&self.drawing(drawn, begin, *last, top));
        out.push(&Markup::tags("<div class=\"days\" aria-hidden=\"true\">"));
        for week in [begin, begin.midpoint(*last), *last] {
            out.push(&Markup::element("span", "", &Markup::text(&day_text(week))));
        }
        out.push(&Markup::tags("</div></div>"));
        let summary = Markup::element("summary", "", &Markup::text("Numbers"));
        let numbers = summary.and(&self.numbers(drawn, used));
        out.push(&Markup::element("details", "", &numbers));
        out
    }

    /// The first and last week of the [`MAX_WEEKS`] consecutive weeks with the most counts; the latest of these if
    /// several have as many.
    fn busiest(&self) -> Option<(Week, Week)> {
        let weeks: Vec<(Week, u64)> = self
            .weeks
            .iter()
            .map(|(week, counts)| (*week, sum(counts)))
            .collect();
        let mut best: Option<(u64, Week, Week)> = None;
        let mut from = 0;
        let mut total = 0;
        for &(last, count) in &weeks {
            total += count;
            while let Some(&(week, count)) = weeks.get(from)
                && week + MAX_WEEKS <= last
            {
                total -= count;
                from += 1;
            }
            let first = weeks.get(from).map_or(last, |(week, _)| *week);
            if best.is_none_or(|(most, ..)| total >= most) {
                best = Some((total, first, last));
            }
        }
        best.map(|(_, first, last)| (first, last))
    }

    /// The groups that have a count in the drawn weeks; none if there is only one group.
    fn used(&self, drawn: &[(Week, &Vec<u64>)]) -> Vec<usize> {
        let is_used = |at: &usize| {
            let mut counts = drawn.iter().filter_map(|(_, counts)| counts.get(*at));
            counts.any(|count| *count > 0)
        };
        let all = 0..self.groups.len();
        all.filter(|at| self.groups.len() > 1 && is_used(at))
            .collect()
    }

    fn legend(&self, used: &[usize]) -> Markup {
        if used.is_empty() {
            return Markup::default();
        }
        let groups = used.iter().filter_map(|at| self.groups.get(*at));
        let items = groups.map(|(name, class)| {
            let swatch = Markup::tags(format!(
                "<svg class=\"swatch\" viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"1\" height=\"1\"/></svg>"
            ));
            Markup::element("li", "", &swatch.and(&Markup::text(name)))
        });
        Markup::element("ul", "class=\"legend\"", &items.collect())
    }

    fn drawing(&self, drawn: &[(Week, &Vec<u64>)], begin: Week, last: Week, top: u64) -> Markup {
        let width = (last - begin + 1) * STEP;
        let mut paths = vec![String::new(); self.groups.len()];
        let mut hovers = String::new();
        for (week, counts) in drawn {
            let x = (week - begin) * STEP;
            let mut below = 0;
            for (path, count) in paths.iter_mut().zip(counts.iter()) {
                if *count == 0 {
                    continue;
                }
                let bottom = HEIGHT * 10 - scaled(below, top, HEIGHT * 10);
                below += count;
                let height = scaled(below, top, HEIGHT * 10) + bottom - HEIGHT * 10;
                let (y, height) = (tenths_text(bottom), tenths_text(height));
                path.push_str(&format!("M{x} {y}h{COLUMN}v-{height}h-{COLUMN}z"));
            }
            hovers.push_str(&format!(
                "<rect x=\"{x}\" width=\"{STEP}\" height=\"{HEIGHT}\"><title>{}: {}</title></rect>",
                day_text(*week),
                count_text(sum(counts))
            ));
        }
        let half = HEIGHT / 2;
        let mut svg = format!(
            "<svg class=\"weeks\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><path class=\"line\" d=\"M0 0h{width}M0 {half}h{width}M0 {HEIGHT}h{width}\"/>",
            escaped(&format!(
                "Columns: {} by week, the numbers follow",
                self.what
            ))
        );
        for (path, (_, class)) in paths.iter().zip(self.groups) {
            if !path.is_empty() {
                svg.push_str(&format!("<path class=\"{class}\" d=\"{path}\"/>"));
            }
        }
        svg.push_str(&format!("<g class=\"hover\">{hovers}</g></svg>"));
        Markup::tags(svg)
    }

    /// The numbers as a table. Groups without any count have no column.
    fn numbers(&self, drawn: &[(Week, &Vec<u64>)], used: &[usize]) -> Markup {
        let mut table = TableView::new(
            &format!("{} by week", capitalized(self.what)),
            &["week from", "all"],
        );
        for at in used {
            let name = self.groups.get(*at).map_or("", |(name, _)| *name);
            table.headings.push(Markup::text(name));
        }
        for (week, counts) in drawn {
            let mut cells = vec![
                Markup::text(&day_text(*week)),
                Markup::text(&count_text(sum(counts))),
            ];
            for at in used {
                let count = counts.get(*at).copied().unwrap_or_default();
                cells.push(Markup::text(&count_text(count)));
            }
            table.rows.push(cells);
        }
        table.markup()
    }
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().sum()
}

/// The text with its first letter as a capital.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The end of an axis for counts up to `largest`: an even number that is easy to read.
fn axis_top(largest: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [2, 4, 6, 8, 10] {
            let top = power.saturating_mul(step);
            if top >= largest {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(weeks: &[(Week, u64)]) -> WeekChart<'static> {
        WeekChart {
            what: "tasks",
            groups: &[("all", "s0")],
            weeks: weeks
                .iter()
                .map(|(week, count)| (*week, vec![*count]))
                .collect(),
        }
    }

    #[test]
    fn one_date_far_away_does_not_hide_the_others() {
        let mut weeks: Vec<(Week, u64)> = (2_800..2_810).map(|week| (week, 5)).collect();
        weeks.push((400_000, 1));
        let chart = chart(&weeks);
        assert_eq!(chart.busiest(), Some((2_800, 2_809)));
        let text = chart.markup();
        assert!(text.as_str().contains("Not shown: 1 in 1 other week."));
    }

    #[test]
    fn one_week_is_a_table_without_a_drawing() {
        let text = chart(&[(2_818, 5)]).markup();
        assert!(!text.as_str().contains("<svg"), "{}", text.as_str());
        assert!(text.as_str().contains("2024-01-01"), "{}", text.as_str());
        let text = chart(&[(2_818, 5), (2_819, 5)]).markup();
        assert!(text.as_str().contains("<svg"), "{}", text.as_str());
    }

    #[test]
    fn the_window_has_its_greatest_width() {
        let weeks: Vec<(Week, u64)> = (0..200).map(|week| (week, 1)).collect();
        assert_eq!(chart(&weeks).busiest(), Some((80, 199)));
        assert_eq!(chart(&[]).busiest(), None);
    }

    #[test]
    fn axes_end_at_even_numbers() {
        let tops = [0, 1, 2, 3, 10, 11, 61, u64::MAX].map(axis_top);
        assert_eq!(tops, [2, 2, 2, 4, 10, 20, 80, u64::MAX]);
    }

    #[test]
    fn weeks_are_named_by_their_monday() {
        assert_eq!(day_text(0), "1969-12-29");
        assert_eq!(day_text(2_818), "2024-01-01");
    }
}
