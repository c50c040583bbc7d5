//! Tasks by status, by week, and by the time that they took.

use crate::report::duration_statistics::{DURATION_RANGES, DurationStatistics};
use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::number_text::{count_text, duration_text};
use crate::report::html::table_view::{
    Tile, and_more, count_table, note, part, section, shown_count, tiles,
};
use crate::report::html::week_chart::{Group, WeekChart};
use crate::report::task_statistics::{STATUS_GROUPS, TaskStatistics};

/// Statuses that the table shows.
const MAX_STATUSES: usize = 12;

/// Names and classes of the groups by status, the documented ones in their order.
const GROUPS: [Group; STATUS_GROUPS] = [
    ("completed", "s0"),
    ("pending", "s1"),
    ("error", "s2"),
    ("canceled", "s3"),
    ("deleted", "s4"),
    ("other", "s5"),
];

/// Tasks by status and by week.
pub(super) fn tasks(tasks: &TaskStatistics) -> Markup {
    let statuses = tasks.statuses.by_count(|count| *count);
    let shown = statuses
        .iter()
        .take(shown_count(statuses.len(), MAX_STATUSES));
    let rows = shown.map(|(status, count)| {
        let name = Markup::optional_key(status.as_ref(), "(no status)", NAME_CHARS);
        (name, **count)
    });
    let mut table = count_table("Tasks by status", ["status", "tasks"], rows, tasks.tasks);
    table.more = and_more(
        statuses.len(),
        table.rows.len(),
        tasks.statuses.has_dropped(),
        "status value",
    );
    let created = WeekChart {
        what: "tasks created",
        groups: &GROUPS,
        weeks: tasks
            .created
            .iter()
            .map(|(week, counts)| (*week, counts.counts().to_vec()))
            .collect(),
    };
    let completed = WeekChart {
        what: "tasks completed",
        groups: &[("completed", "s0")],
        weeks: tasks
            .completed
            .iter()
            .map(|(week, count)| (*week, vec![*count]))
            .collect(),
    };
    let weeks = note("Weeks begin on Monday, in UTC.");
    let created = part("Created, by week and present status", &created.markup());
    let completed = part("Completed, by week", &completed.markup());
    let content = part("By status", &table.markup())
        .and(&created)
        .and(&completed)
        .and(&weeks);
    section("tasks", "Tasks", &content)
}

/// Time from creation to completion.
pub(super) fn durations(durations: &DurationStatistics) -> Markup {
    let total = durations.ranges.total();
    let mut content = Markup::default();
    if total == 0 {
        content.push(&note("No task has a time of creation and of completion."));
    } else {
        let percentile = |percent| {
            let seconds = durations.seconds.percentile(percent);
            seconds.map_or_else(String::new, duration_text)
        };
        let numbers = [
            ("tasks", count_text(total)),
            ("median", percentile(50)),
            ("90% within", percentile(90)),
            ("longest", duration_text(durations.seconds.largest())),
        ];
        content.push(&tiles(numbers.map(|(name, value)| Tile {
            name,
            value,
            meaning: String::new(),
            is_alert: false,
        })));
        let ranges = DURATION_RANGES.iter().zip(durations.ranges.counts());
        let ranges = ranges.map(|((_, name), count)| (Markup::text(name), count));
        let caption = "Distribution of the time to completion";
        let table = count_table(caption, ["time", "tasks"], ranges, total);
        content.push(&table.markup());
        content.push(&note(
            "Counts are exact. Median and 90% are exact below 2 hours, and at most 0.025% too low above.",
        ));
    }
    if durations.reversed > 0 {
        let count = count_text(durations.reversed);
        content.push(&note(&format!(
            "Left out: {count} with a completion before the creation."
        )));
    }
    section("durations", "Time from creation to completion", &content)
}
