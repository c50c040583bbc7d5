//! Whether list endpoints return the tasks that `GET /v2/task` returns: which task of a page to fetch both ways, and
//! what a difference means. Pure.
//!
//! A list may omit members from some tasks only, such as the completed ones. So one task of each *shape* is compared:
//! its status, the names of its members, and which of these are empty.

use std::collections::{HashMap, HashSet};

use crate::api::body_check::ListedTask;

/// The number of shapes after which no other one is compared. Tasks that differ in more ways than this have
/// different member names, so that each task would be a shape.
const MAX_SHAPES: usize = 24;

/// Tasks in a row that are not final and differ. A single one may have changed after its page was sent.
const MAX_CHANGED: u32 = 2;

/// Tasks of one shape whose single requests fail, after which the shape stays unknown.
const MAX_FAILED: u32 = 3;

/// The checksum of a checked body.
pub(crate) type Fingerprint = [u8; 32];

/// The result of comparing a task that was fetched both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComparisonResult {
    /// The list returned the same JSON.
    Same,
    /// The task may have changed after the page was sent.
    Changed,
    /// The list returned other JSON.
    Differs,
}

/// The results of all comparisons of one run.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Shapes of tasks that were the same both ways.
    shapes: HashSet<u64>,
    /// How often a task of a shape could not be fetched with a single request.
    failed: HashMap<u64, u32>,
    changed: u32,
    differs: bool,
}

impl Comparison {
    /// Whether a list has returned other JSON.
    pub(crate) fn differs(&self) -> bool {
        self.differs
    }

    /// Whether any task was the same both ways.
    pub(crate) fn has_same(&self) -> bool {
        !self.shapes.is_empty()
    }

    /// Whether the list's version of a task may be kept.
    pub(crate) fn covers(&self, task: &ListedTask) -> bool {
        !self.differs && (self.shapes.len() >= MAX_SHAPES || self.shapes.contains(&task.shape))
    }

    /// The task of a page to compare next: the largest whose shape is new, and a final one if there is any. With `any`,
    /// a task whose shape is known will do too.
    pub(crate) fn next<'p>(
        &self,
        page: &'p [ListedTask],
        any: bool,
        may: impl Fn(&ListedTask) -> bool,
    ) -> Option<&'p ListedTask> {
        let can = |task: &ListedTask| {
            let failed = self.failed.get(&task.shape).copied().unwrap_or_default();
            !self.differs && failed < MAX_FAILED
        };
        let candidates = page.iter().filter(|task| can(task) && may(task));
        let (known, new): (Vec<_>, Vec<_>) = candidates.partition(|task| self.covers(task));
        let best = |tasks: Vec<&'p ListedTask>| {
            // A final task cannot have changed since its page was sent, and a large one has most members to differ in.
            let key = |task: &&ListedTask| (task.response.is_final, task.response.body.len());
            tasks.into_iter().max_by_key(key)
        };
        best(new).or_else(|| best(known).filter(|_| any))
    }

    /// Notes that a task could not be fetched with a single request.
    pub(crate) fn record_failure(&mut self, task: &ListedTask) {
        *self.failed.entry(task.shape).or_default() += 1;
    }

    /// Notes the two versions of a task that was fetched both ways.
    pub(crate) fn record(
        &mut self,
        task: &ListedTask,
        listed: Fingerprint,
        single: Fingerprint,
    ) -> ComparisonResult {
        if listed == single {
            // A list that returned a task exactly is not one that always differs.
            self.changed = 0;
            self.shapes.insert(task.shape);
            return ComparisonResult::Same;
        }
        self.changed += 1;
        if task.response.is_final || self.changed >= MAX_CHANGED {
            self.differs = true;
            return ComparisonResult::Differs;
        }
        ComparisonResult::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::task_response::TaskResponse;

    fn task(id: &str, shape: u64, size: usize, is_final: bool) -> ListedTask {
        ListedTask {
            response: TaskResponse::stored(id, vec![b'x'; size], is_final),
            shape,
        }
    }

    #[test]
    fn one_task_of_each_shape_is_compared_the_largest_final_one_first() {
        let page = [
            task("pending", 1, 90, false),
            task("small", 2, 10, true),
            task("large", 2, 80, true),
        ];
        let mut comparison = Comparison::default();
        let next = |comparison: &Comparison, any| {
            let next = comparison.next(&page, any, |_| true);
            next.map(|task| task.response.task_id.clone())
        };
        assert_eq!(next(&comparison, false).as_deref(), Some("large"));
        assert!(!comparison.covers(&page[1]) && !comparison.has_same());
        assert_eq!(
            comparison.record(&page[2], [1; 32], [1; 32]),
            ComparisonResult::Same
        );
        assert!(comparison.covers(&page[1]) && comparison.has_same());
        assert_eq!(next(&comparison, false).as_deref(), Some("pending"));
        comparison.record(&page[0], [1; 32], [1; 32]);
        assert_eq!(next(&comparison, false), None);
        assert_eq!(next(&comparison, true).as_deref(), Some("large"));
    }

    #[test]
    fn one_final_task_or_two_others_that_differ_reject_the_lists() {
        let mut comparison = Comparison::default();
        let pending = task("p", 1, 1, false);
        let differ = |comparison: &mut Comparison, task| comparison.record(task, [1; 32], [2; 32]);
        assert_eq!(differ(&mut comparison, &pending), ComparisonResult::Changed);
        comparison.record(&pending, [1; 32], [1; 32]);
        assert_eq!(differ(&mut comparison, &pending), ComparisonResult::Changed);
        assert!(comparison.covers(&pending));
        assert_eq!(differ(&mut comparison, &pending), ComparisonResult::Differs);
        assert!(comparison.differs() && !comparison.covers(&pending));
        let page = [task("f", 2, 1, true)];
        assert_eq!(comparison.next(&page, true, |_| true), None);
        let mut comparison = Comparison::default();
        assert_eq!(differ(&mut comparison, &page[0]), ComparisonResult::Differs);
    }

    #[test]
    fn a_shape_whose_single_requests_fail_is_skipped() {
        let mut comparison = Comparison::default();
        let page = [task("gone", 1, 9, true), task("there", 2, 1, true)];
        for _ in 0..MAX_FAILED {
            let next = comparison.next(&page, true, |_| true);
            assert_eq!(next, Some(&page[0]));
            comparison.record_failure(&page[0]);
        }
        assert_eq!(comparison.next(&page, true, |_| true), Some(&page[1]));
        assert!(!comparison.covers(&page[0]));
    }

    #[test]
    fn comparisons_end_after_too_many_shapes() {
        let mut comparison = Comparison::default();
        for shape in 0..MAX_SHAPES as u64 {
            comparison.record(&task("t", shape, 1, true), [1; 32], [1; 32]);
        }
        let page = [task("new", 999, 1, true)];
        assert_eq!(comparison.next(&page, false, |_| true), None);
        assert!(comparison.covers(&page[0]));
    }
}
