//! Estimates what a run would request, from a sample of its IDs and the first pages of lists. Pure.

use crate::api::list_request::PAGE_TASKS;
use crate::lists::list_planner::{LOSS, PAYS};

/// What a run would request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestEstimate {
    /// Tasks that the run would fetch.
    pub tasks: u64,
    /// Single requests.
    pub single: u64,
    /// Pages of lists.
    pub pages: u64,
    /// The number of lists that these belong to.
    pub lists: u64,
    /// Pages of the longest of these lists, which are requested one after the other.
    pub longest: u64,
    /// Whether this is a lower bound, because the length of a list is unknown.
    pub is_least: bool,
}

impl RequestEstimate {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.single + self.pages
    }
}

/// What the first page of a list shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstPage {
    /// Wanted tasks that the list is expected to have.
    pub(crate) expected: f64,
    pub(crate) tasks: usize,
    /// Of these, wanted tasks.
    pub(crate) wanted: usize,
    pub(crate) has_more: bool,
}

/// Estimates a run, from a sample, the first pages of some lists, and the number of wanted tasks that the other lists
/// are expected to have.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and far below 2^53"
)]
pub(crate) fn estimate(
    waiting: usize,
    sample: usize,
    first: &[FirstPage],
    rest: f64,
) -> RequestEstimate {
    let (mut pages, mut gained, mut used, mut longest) = (0.0, 0.0, 0.0, 0.0_f64);
    let mut expected = 0.0;
    for list in first {
        expected += list.expected;
        let (needed, gain) = if list.has_more {
            // The other pages are taken to have as many wanted tasks as the first one.
            let share = list.wanted as f64 / list.tasks.max(1) as f64;
            let needed = (list.expected / (share * f64::from(PAGE_TASKS))).ceil();
            (needed, list.expected)
        } else {
            (1.0, list.wanted as f64)
        };
        if gain >= needed * PAYS {
            pages += needed;
            gained += gain;
            longest = longest.max(needed);
            used += 1.0;
        } else {
            // The list is given up once its loss reaches its patience.
            pages += (list.expected * LOSS).max(1.0);
        }
    }
    if expected > 0.0 {
        // The other lists are like these.
        let others = 1.0 + rest / expected;
        (pages, gained, used) = (pages * others, gained * others, used * others);
    }
    let left = (waiting - sample.min(waiting)) as f64;
    let single = sample as f64 + (left - gained).max(0.0);
    RequestEstimate {
        tasks: waiting as u64,
        single: single.round() as u64,
        pages: pages.round() as u64,
        lists: used.round() as u64,
        longest: longest as u64,
        is_least: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_counts_the_requests_of_a_run() {
        let list = |expected, tasks, wanted, has_more| FirstPage {
            expected,
            tasks,
            wanted,
            has_more,
        };
        let of = |first: &[FirstPage], rest| {
            let estimate = estimate(10_000, 24, first, rest);
            (estimate.single, estimate.pages, estimate.lists)
        };
        let whole = list(3_325.3, 100, 100, true);
        assert_eq!(of(&[whole; 3], 0.0), (24, 102, 3));
        let half = list(9_976.0, 100, 50, true);
        assert_eq!(of(&[half], 0.0), (24, 200, 1));
        // Short lists, and more of them than were fetched.
        assert_eq!(
            of(&[list(498.8, 99, 99, false); 2], 8_978.4),
            (8_020, 20, 20)
        );
        let scattered = list(500.0, 100, 1, true);
        assert_eq!(of(&[scattered; 2], 0.0), (10_000, 40, 0));
        assert_eq!(of(&[], 0.0), (10_000, 0, 0));
    }
}
