//! Times from the creation of tasks to their completion.

use crate::report::histogram::Histogram;
use crate::report::merge::merge_fields;
use crate::report::quantiles::Quantiles;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Where the ranges of the distribution begin, in seconds, and what they are called.
pub const DURATION_RANGES: [(u64, &str); 12] = [
    (0, "under 1 min"),
    (MINUTE, "1 to 10 min"),
    (10 * MINUTE, "10 to 60 min"),
    (HOUR, "1 to 6 h"),
    (6 * HOUR, "6 to 24 h"),
    (DAY, "1 to 3 days"),
    (3 * DAY, "3 to 7 days"),
    (7 * DAY, "7 to 14 days"),
    (14 * DAY, "14 to 30 days"),
    (30 * DAY, "30 to 90 days"),
    (90 * DAY, "90 to 365 days"),
    (365 * DAY, "365 days and more"),
];

/// Microseconds in a second.
const MICROS: u64 = 1_000_000;

/// Times from creation to completion, in whole seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DurationStatistics {
    /// The distribution.
    pub ranges: Histogram<{ DURATION_RANGES.len() }>,
    /// For median and other quantiles.
    pub seconds: Quantiles,
    /// Tasks whose completion is before their creation. They are in no other number.
    pub reversed: u64,
}

merge_fields!(DurationStatistics {
    ranges,
    seconds,
    reversed
});

impl DurationStatistics {
    /// Counts a task by its times in microseconds since 1970.
    pub fn see(&mut self, created_at: i64, completed_at: i64) {
        match u64::try_from(completed_at.saturating_sub(created_at)) {
            Ok(micros) => {
                let seconds = micros / MICROS;
                self.ranges
                    .see(&DURATION_RANGES.map(|(start, _)| start), seconds);
                self.seconds.see(seconds);
            }
            Err(_) => self.reversed += 1,
        }
    }
}
