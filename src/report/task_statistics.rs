//! Tasks by status and by week.

use std::collections::BTreeMap;

use crate::report::bounded_map::BoundedMap;
use crate::report::duration_statistics::DurationStatistics;
use crate::report::facts::TaskFacts;
use crate::report::histogram::Histogram;
use crate::report::merge::merge_fields;
use crate::report::short_text::ShortText;

/// Documented statuses, in the order of the chart; tasks with another status are counted after them.
pub const STATUSES: [&str; 5] = ["completed", "pending", "error", "canceled", "deleted"];

/// Groups of the chart by week: the documented statuses, and all others.
pub const STATUS_GROUPS: usize = STATUSES.len() + 1;

/// Other statuses that are counted separately.
const MAX_STATUSES: usize = 100;

/// A Monday-based week: the number of weeks since the one of 1970-01-01.
pub type Week = i64;

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;
const DAYS_PER_WEEK: i64 = 7;

/// 1970-01-01 was a Thursday.
const DAYS_SINCE_MONDAY: i64 = 3;

/// The week of a time in microseconds since 1970.
pub fn week_of(micros: i64) -> Week {
    (micros.div_euclid(MICROS_PER_DAY) + DAYS_SINCE_MONDAY).div_euclid(DAYS_PER_WEEK)
}

/// The first day of a week, in days since 1970.
pub fn first_day(week: Week) -> i64 {
    week * DAYS_PER_WEEK - DAYS_SINCE_MONDAY
}

/// Tasks by status, by week, and by the time that they took. Weeks are bounded by the years of timestamps, 1 to 9999.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskStatistics {
    /// All tasks.
    pub tasks: u64,
    /// Tasks by status.
    pub statuses: BoundedMap<Option<ShortText>, u64, MAX_STATUSES>,
    /// Tasks by the week of their creation, and by group of status.
    pub created: BTreeMap<Week, Histogram<STATUS_GROUPS>>,
    /// Tasks by the week of their completion.
    pub completed: BTreeMap<Week, u64>,
    /// Times from creation to completion.
    pub durations: DurationStatistics,
}

merge_fields!(TaskStatistics {
    tasks,
    statuses,
    created,
    completed,
    durations
});

impl TaskStatistics {
    /// Counts a task.
    pub fn see(&mut self, task: &TaskFacts<'_>) {
        self.tasks += 1;
        if let Some(count) = self.statuses.entry(task.status.map(ShortText::of)) {
            *count += 1;
        }
        if let Some(created_at) = task.created_at {
            let mut known = STATUSES.iter();
            let group = known.position(|status| Some(*status) == task.status);
            let week = self.created.entry(week_of(created_at)).or_default();
            week.see_at(group.unwrap_or(STATUSES.len()));
        }
        if let Some(completed_at) = task.completed_at {
            *self.completed.entry(week_of(completed_at)).or_default() += 1;
            if let Some(created_at) = task.created_at {
                self.durations.see(created_at, completed_at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_mondays_in_utc() {
        let micros = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let monday = micros("2024-01-01T00:00:00Z");
        assert_eq!(week_of(monday), week_of(micros("2024-01-07T23:59:59Z")));
        assert_eq!(week_of(monday - 1), week_of(monday) - 1);
        assert_eq!(first_day(week_of(monday)) * MICROS_PER_DAY, monday);
        assert_eq!(week_of(micros("1969-12-29T00:00:00Z")), 0);
        assert_eq!(week_of(micros("1969-12-28T23:59:59Z")), -1);
    }
}
