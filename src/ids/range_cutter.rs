//! Cuts a list of task IDs into ranges. A range is built, kept and copied as a whole.
//!
//! A range ends where the hash of an ID says so, between a minimum and a maximum length. An ID that is inserted or
//! removed therefore moves the ends near it, and the ranges after them stay the same.

use std::ops::Range;

/// The lengths of ranges, in tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeLengths {
    /// The minimum. Only the last range of a list can be shorter.
    pub min: usize,
    /// The maximum.
    pub max: usize,
}

impl RangeLengths {
    /// Long enough for row groups that compress well and are few, and short enough that one fits into memory.
    pub const DEFAULT: Self = Self {
        min: 8_000,
        max: 16_000,
    };

    /// The lengths of this program: the default ones, or in debug builds those of an environment variable.
    pub(crate) fn of_program() -> Self {
        #[cfg(debug_assertions)]
        if let Some(min) = test_length() {
            return Self { min, max: 2 * min };
        }
        Self::DEFAULT
    }
}

/// The minimum length in debug builds, so that tests have several ranges with few tasks.
#[cfg(debug_assertions)]
fn test_length() -> Option<usize> {
    let text = std::env::var("SCALE_EXPORT_RANGE_TASKS").ok()?;
    text.parse().ok().filter(|length| *length > 0)
}

/// Ends that are expected within the minimum length, after it is reached. With two, one range in eight has the maximum
/// length, and an ID that is inserted rarely moves more than one end.
const ENDS_PER_MIN_LENGTH: u64 = 2;

/// Decides where ranges end, one ID after the other.
#[derive(Debug, Clone)]
pub struct RangeCutter {
    lengths: RangeLengths,
    /// IDs of the current range.
    length: usize,
}

impl RangeCutter {
    /// Starts at the beginning of a list.
    pub fn new(lengths: RangeLengths) -> Self {
        Self { lengths, length: 0 }
    }

    /// Adds the next ID. Returns whether a range ends with it.
    pub fn ends_with(&mut self, task_id: &str) -> bool {
        self.length += 1;
        let RangeLengths { min, max } = self.lengths;
        let ends = self.length >= max
            || (self.length >= min && u64::from(hash(task_id)) * (min as u64) < CUT_HASHES);
        if ends {
            self.length = 0;
        }
        ends
    }
}

/// The hashes that end a range, times the minimum length.
const CUT_HASHES: u64 = ENDS_PER_MIN_LENGTH << u32::BITS;

/// A hash of an ID that is the same in every version and on every machine.
fn hash(task_id: &str) -> u32 {
    // The checksums of consecutive IDs differ in few bits. A multiplication by an odd number spreads them: 2^32 divided by
    // the golden ratio, as in Fibonacci hashing.
    const SPREAD: u32 = 0x9E37_79B9;
    let checksum = crc32fast::hash(task_id.as_bytes());
    let spread = checksum.wrapping_mul(SPREAD);
    (spread ^ spread >> 15).wrapping_mul(SPREAD)
}

/// All ranges of a list, by position.
pub fn ranges<'i>(
    ids: impl IntoIterator<Item = &'i str>,
    lengths: RangeLengths,
) -> Vec<Range<usize>> {
    let mut cutter = RangeCutter::new(lengths);
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for task_id in ids {
        end += 1;
        if cutter.ends_with(task_id) {
            ranges.push(start..end);
            start = end;
        }
    }
    if start < end {
        ranges.push(start..end);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const SHORT: RangeLengths = RangeLengths { min: 80, max: 160 };

    fn ids(prefix: &str, count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("{prefix}{number}"))
            .collect()
    }

    fn cut(ids: &[String]) -> Vec<Range<usize>> {
        ranges(ids.iter().map(String::as_str), SHORT)
    }

    /// The IDs with which ranges end.
    fn ends(ids: &[String]) -> HashSet<&str> {
        let ranges = cut(ids);
        ranges
            .iter()
            .map(|range| ids[range.end - 1].as_str())
            .collect()
    }

    proptest! {
        #[test]
        fn ranges_cover_the_list_and_keep_their_lengths(count in 0_usize..2_000, prefix in "[a-z]{0,9}") {
            let ids = ids(&prefix, count);
            let ranges = cut(&ids);
            let mut start = 0;
            for (number, range) in ranges.iter().enumerate() {
                prop_assert_eq!(range.start, start);
                prop_assert!(range.len() <= SHORT.max && !range.is_empty());
                prop_assert!(range.len() >= SHORT.min || number + 1 == ranges.len());
                start = range.end;
            }
            prop_assert_eq!(start, count);
        }
    }

    #[test]
    fn an_inserted_or_removed_id_moves_one_end_on_average_and_rarely_more() {
        const CASES: usize = 2_000;
        // 79 changes, 4%, were seen.
        const MOST_PERCENT: usize = 6;
        let mut moved_ends = 0;
        let mut moves_two = 0;
        for case in 0..CASES {
            let ids = ids(&format!("task_{case}_"), 4_000);
            let mut other = ids.clone();
            // Anywhere but near the end, where the list is too short to settle.
            let at = case * 7919 % 2_000;
            if case % 2 == 0 {
                other.insert(at, "inserted".to_owned());
            } else {
                other.remove(at);
            }
            let (before, after) = (ends(&ids), ends(&other));
            let moved = before.difference(&after).count();
            moved_ends += moved;
            moves_two += usize::from(moved >= 2);
        }
        assert!(
            moved_ends < CASES,
            "{moved_ends} ends move in {CASES} changes"
        );
        assert!(
            moves_two * 100 < CASES * MOST_PERCENT,
            "{moves_two} of {CASES} changes move two ends or more"
        );
    }

    #[test]
    fn the_ends_do_not_depend_on_the_version() {
        let ids = ids("task_", 1_000);
        let ranges = cut(&ids);
        let ends: Vec<usize> = ranges.iter().map(|range| range.end).collect();
        insta::assert_compact_debug_snapshot!(ends, @"[92, 183, 301, 422, 531, 619, 775, 881, 1000]");
    }
}
