//! Finds the way through a list, page by page: what to request next, what a response means, and whether the list is
//! complete. Pure.
//!
//! Lists are not snapshots. Tasks move between pages while they are read, page tokens expire or lead back, and pages in
//! the middle are empty. So a token that is refused restarts the list, and a token that is repeated ends it. A list
//! that moved, that has tasks which may still change, or that is filtered, is read a second and a third time, until
//! nothing new appears.

use std::collections::HashSet;

use crate::api::body_check::TaskPage;
use crate::api::list_request::{ListKind, ListSource, PAGE_TASKS, PageRequest};
use crate::api::reply::AttemptFault;
use crate::fetch::classify::{PageVerdict, classify_page};
use crate::ids::task_ids::{InsertedId, TaskIds};
use crate::lists::anomalies::ListAnomalies;

/// How often a list is read at most, until nothing new appears.
const MAX_PASSES: u32 = 3;

/// How often a list is restarted because its token was refused.
const MAX_RESTARTS: u32 = 5;

/// Pages in a row without a task that is new to this pass, each with another token, after which a list counts as
/// endless.
const MAX_PAGES_WITHOUT_NEW: u64 = 1_000;

/// A page that is too large or too slow is requested again with this many times fewer tasks.
const SMALLER: u32 = 4;

/// A position in a list, after a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CursorPosition {
    /// Whether the list is given by its name, not its ID.
    pub by_name: bool,
    /// The number of the pass, from 1.
    pub pass: u32,
    /// The token of the next page; `None` at the end of the list.
    pub token: Option<String>,
    /// Whether the list must be read once more.
    pub is_unsettled: bool,
}

/// What to do after a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CursorStep {
    /// Request the next page.
    Next,
    /// The list was read.
    Done,
    /// The list does not exist.
    NoSuchList,
    /// The list cannot be read.
    Failed,
}

/// The way through one list.
#[derive(Debug)]
pub(crate) struct PageCursor {
    request: PageRequest,
    /// The page size up to which it is doubled after a success. From there on it grows by one.
    doubled_below: u32,
    /// Tasks in the order of first appearance.
    pub(crate) ids: TaskIds,
    pub(crate) anomalies: ListAnomalies,
    pass: u32,
    /// Tokens of this pass.
    tokens: HashSet<String>,
    restarts: u32,
    /// Whether there is an empty list with this ID.
    is_empty_by_id: bool,
    /// The number of the farthest page that was reached.
    farthest: u64,
    /// Whether a task appeared in this pass, by its position in `ids`.
    seen: Vec<bool>,
    without_new_in_a_row: u64,
    is_unsettled: bool,
    /// Whether the list is read only once, and given by its ID.
    is_once: bool,
    /// Whether all of it was read, as far as that can be known.
    pub(crate) is_complete: bool,
    task_count: Option<u64>,
}

impl PageCursor {
    pub(crate) fn new(source: ListSource) -> Self {
        Self {
            request: PageRequest::first(source),
            doubled_below: PAGE_TASKS,
            ids: TaskIds::default(),
            anomalies: ListAnomalies::default(),
            pass: 1,
            tokens: HashSet::new(),
            restarts: 0,
            is_empty_by_id: false,
            farthest: 0,
            seen: Vec::new(),
            without_new_in_a_row: 0,
            is_unsettled: false,
            is_once: false,
            is_complete: true,
            task_count: None,
        }
    }

    /// Reads a list once. Its ID is known.
    pub(crate) fn once(source: ListSource) -> Self {
        Self {
            is_once: true,
            ..Self::new(source)
        }
    }

    /// Continues where an earlier run stopped, with the tasks that it saw.
    pub(crate) fn resume(source: ListSource, position: CursorPosition, ids: TaskIds) -> Self {
        let mut cursor = Self::new(source);
        cursor.request.by_id = !position.by_name;
        cursor.request.token = position.token;
        cursor.pass = position.pass.max(1);
        cursor.is_unsettled = position.is_unsettled;
        cursor.ids = ids;
        cursor
    }

    /// The page to request.
    pub(crate) fn request(&self) -> &PageRequest {
        &self.request
    }

    /// The position for a later run.
    pub(crate) fn position(&self) -> CursorPosition {
        CursorPosition {
            by_name: !self.request.by_id,
            pass: self.pass,
            token: self.request.token.clone(),
            is_unsettled: self.is_unsettled,
        }
    }

    /// Takes a page. Its tasks are kept, whatever the next step is.
    pub(crate) fn take(&mut self, page: &TaskPage) -> CursorStep {
        self.anomalies.unfit_tasks += page.unfit as u64;
        // An element that is not a task may stand for one.
        self.is_complete &= page.unfit == 0;
        self.task_count = page.task_count.or(self.task_count);
        let mut has_new = false;
        for task in &page.tasks {
            let Ok(InsertedId { position, is_new }) = self.ids.insert(&task.response.task_id)
            else {
                // It is not a valid ID.
                self.anomalies.unfit_tasks += 1;
                self.is_complete = false;
                continue;
            };
            has_new |= self.mark_seen(position);
            if !is_new {
                // Later passes and restarts return the same tasks again.
                if self.pass == 1 && self.restarts == 0 {
                    self.anomalies.repeated_tasks += 1;
                    self.is_unsettled = true;
                }
                continue;
            }
            if self.pass > 1 {
                self.anomalies.late_tasks += 1;
                self.is_unsettled = true;
            }
            if self.pass == 1 && !task.response.is_final {
                // Its position may change with it.
                self.is_unsettled = true;
            }
        }
        let is_first = self.farthest == 0;
        // A page size that was too large once may be too large again only where tasks are large.
        let limit = self.request.limit;
        let more = if limit < self.doubled_below {
            limit * 2
        } else {
            limit + 1
        };
        self.request.limit = more.min(PAGE_TASKS);
        self.request.page += 1;
        self.farthest = self.farthest.max(self.request.page);
        let Some(token) = &page.next_token else {
            if is_first && page.tasks.is_empty() && self.may_be_name() {
                self.is_empty_by_id = true;
                self.try_name();
                return CursorStep::Next;
            }
            return self.end();
        };
        if page.tasks.is_empty() && page.unfit == 0 {
            self.anomalies.empty_pages += 1;
        }
        if has_new {
            self.without_new_in_a_row = 0;
        } else {
            self.without_new_in_a_row += 1;
        }
        let is_known =
            self.request.token.as_ref() == Some(token) || !self.tokens.insert(token.clone());
        if is_known || self.without_new_in_a_row > MAX_PAGES_WITHOUT_NEW {
            self.anomalies.loops += 1;
            self.is_complete = false;
            // What was read is kept: an incomplete list is reported, and is better than none.
            return CursorStep::Done;
        }
        self.request.token = Some(token.clone());
        CursorStep::Next
    }

    /// The last page was read: decides whether the list is read once more.
    fn end(&mut self) -> CursorStep {
        let has_fewer = self
            .task_count
            .is_some_and(|count| count > self.ids.len() as u64);
        // A task may leave a filtered list at any time. The tasks after it then move up, unnoticed. A single page
        // cannot move.
        let may_lose = self.pass == 1 && self.farthest > 1 && self.is_filtered();
        if (self.is_unsettled || has_fewer || may_lose) && self.pass < MAX_PASSES && !self.is_once {
            self.pass += 1;
            self.is_unsettled = false;
            self.restart();
            return CursorStep::Next;
        }
        self.is_complete &= !has_fewer;
        CursorStep::Done
    }

    fn is_filtered(&self) -> bool {
        !self.request.source.filter.is_empty()
    }

    /// Whether the list may be given by its name. Deliveries have names only within a project.
    pub(crate) fn may_be_name(&self) -> bool {
        let is_delivery = self.request.source.kind == ListKind::Delivery;
        self.request.by_id && !is_delivery && !self.is_once
    }

    fn try_name(&mut self) {
        self.request.by_id = false;
        self.request.page = 0;
        self.farthest = 0;
    }

    fn restart(&mut self) {
        self.request.token = None;
        self.request.page = 0;
        self.tokens.clear();
        self.seen.clear();
        self.without_new_in_a_row = 0;
    }

    /// Marks the task at a position in `ids` as seen in this pass. Returns whether it is the first time.
    fn mark_seen(&mut self, position: usize) -> bool {
        if self.seen.len() <= position {
            self.seen.resize(position + 1, false);
        }
        self.seen
            .get_mut(position)
            .is_some_and(|seen| !std::mem::replace(seen, true))
    }

    /// The page cannot be fetched, for this reason.
    pub(crate) fn fail(&mut self, fault: AttemptFault) -> CursorStep {
        let is_first = self.request.token.is_none();
        match classify_page(fault) {
            PageVerdict::TooLarge if self.request.limit > 1 => {
                self.anomalies.large_pages += 1;
                // Doubling up to the size that failed would fail again and again.
                self.doubled_below = self.request.limit / 2;
                self.request.limit = (self.request.limit / SMALLER).max(1);
                CursorStep::Next
            }
            // The API may know the list by its name, not its ID.
            PageVerdict::Rejected if is_first && self.farthest == 0 => {
                if self.may_be_name() {
                    self.try_name();
                    CursorStep::Next
                } else if self.is_empty_by_id {
                    CursorStep::Done
                } else {
                    CursorStep::NoSuchList
                }
            }
            PageVerdict::Rejected | PageVerdict::Gone if !is_first => {
                self.anomalies.refused_tokens += 1;
                if self.restarts >= MAX_RESTARTS {
                    return CursorStep::Failed;
                }
                // Tasks that were seen stay in the list, so only the requests are lost.
                self.restarts += 1;
                self.restart();
                CursorStep::Next
            }
            _ => CursorStep::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::body_check::ListedTask;
    use crate::api::task_response::TaskResponse;

    fn source(kind: ListKind) -> ListSource {
        ListSource {
            kind,
            name: "b".into(),
            filter: crate::api::list_request::ListFilter::default(),
        }
    }

    fn page(ids: &[&str], next: Option<&str>) -> TaskPage {
        let tasks = ids.iter().map(|id| ListedTask {
            response: TaskResponse::stored(id, Vec::new(), !id.starts_with('p')),
            shape: 0,
        });
        TaskPage {
            tasks: tasks.collect(),
            next_token: next.map(str::to_owned),
            ..TaskPage::default()
        }
    }

    fn ids(cursor: &PageCursor) -> Vec<&str> {
        cursor.ids.iter().collect()
    }

    #[test]
    fn a_list_of_final_tasks_is_read_once() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        assert_eq!(cursor.take(&page(&["a", "b"], Some("1"))), CursorStep::Next);
        assert_eq!(cursor.request().token.as_deref(), Some("1"));
        assert_eq!(cursor.take(&page(&["c"], None)), CursorStep::Done);
        assert_eq!(ids(&cursor), ["a", "b", "c"]);
        assert!(cursor.is_complete && cursor.anomalies.count() == 0);
    }

    #[test]
    fn a_list_that_moves_is_read_until_nothing_new_appears() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        cursor.take(&page(&["a", "b"], Some("1")));
        // `a` has moved to the next page, and `c` before the pages that were read.
        assert_eq!(cursor.take(&page(&["a", "d"], None)), CursorStep::Next);
        assert_eq!(cursor.request().token, None);
        cursor.take(&page(&["c", "b"], Some("1")));
        assert_eq!(cursor.take(&page(&["a", "d"], None)), CursorStep::Next);
        cursor.take(&page(&["c", "b"], Some("1")));
        assert_eq!(cursor.take(&page(&["a", "d"], None)), CursorStep::Done);
        assert_eq!(ids(&cursor), ["a", "b", "d", "c"]);
        let anomalies = cursor.anomalies;
        assert_eq!((anomalies.repeated_tasks, anomalies.late_tasks), (1, 1));
        assert!(cursor.is_complete);
    }

    #[test]
    fn a_list_that_changes_is_read_twice() {
        let mut cursor = PageCursor::new(source(ListKind::Project));
        assert_eq!(cursor.take(&page(&["a", "p1"], None)), CursorStep::Next);
        assert_eq!(cursor.take(&page(&["a", "p1"], None)), CursorStep::Done);
        assert_eq!(cursor.anomalies.count(), 0);
    }

    #[test]
    fn a_list_that_is_filtered_is_read_twice_unless_it_is_one_page() {
        let filtered = || ListSource {
            filter: crate::api::list_request::ListFilter {
                status: Some("completed".into()),
                ..Default::default()
            },
            ..source(ListKind::Batch)
        };
        let mut cursor = PageCursor::new(filtered());
        assert_eq!(cursor.take(&page(&["a"], None)), CursorStep::Done);
        let mut cursor = PageCursor::new(filtered());
        cursor.take(&page(&["a", "b"], Some("1")));
        // `b` has left, and `c` is in its place.
        assert_eq!(cursor.take(&page(&["d"], None)), CursorStep::Next);
        cursor.take(&page(&["a", "c"], Some("1")));
        assert_eq!(cursor.take(&page(&["d"], None)), CursorStep::Next);
        cursor.take(&page(&["a", "c"], Some("1")));
        assert_eq!(cursor.take(&page(&["d"], None)), CursorStep::Done);
        assert_eq!(ids(&cursor), ["a", "b", "d", "c"]);
        assert_eq!(cursor.anomalies.late_tasks, 1);
    }

    #[test]
    fn a_list_that_leads_back_ends_and_reports_a_loop() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        cursor.take(&page(&["a"], Some("1")));
        cursor.take(&page(&["b"], Some("2")));
        assert_eq!(cursor.take(&page(&["c"], Some("1"))), CursorStep::Done);
        assert_eq!((cursor.anomalies.loops, cursor.is_complete), (1, false));
        assert_eq!(ids(&cursor), ["a", "b", "c"]);
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        cursor.take(&page(&["a"], Some("1")));
        assert_eq!(cursor.take(&page(&["b"], Some("1"))), CursorStep::Done);
    }

    #[test]
    fn pages_without_new_tasks_under_ever_new_tokens_end_the_list() {
        for repeated in [&[][..], &["a", "b"]] {
            let mut cursor = PageCursor::new(source(ListKind::Batch));
            cursor.take(&page(&["a", "b"], Some("first")));
            let pages = (0..=MAX_PAGES_WITHOUT_NEW).map(|n| page(repeated, Some(&n.to_string())));
            let steps: Vec<CursorStep> = pages.map(|page| cursor.take(&page)).collect();
            let (last, before) = steps.split_last().unwrap();
            assert_eq!(*last, CursorStep::Done);
            assert!(before.iter().all(|step| *step == CursorStep::Next));
            assert_eq!((cursor.anomalies.loops, cursor.is_complete), (1, false));
            assert_eq!(ids(&cursor), ["a", "b"]);
        }
    }

    /// In a second pass every task is known, but appears once more.
    #[test]
    fn a_long_list_can_be_read_twice() {
        let count = MAX_PAGES_WITHOUT_NEW + 5;
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        for pass in 1..=2 {
            for n in 1..=count {
                let next = n.to_string();
                // It may still change, so the list is read again.
                let task = format!("p{n}");
                let step = cursor.take(&page(&[&task], (n < count).then_some(next.as_str())));
                let is_end = n == count && pass == 2;
                assert_eq!(
                    step,
                    if is_end {
                        CursorStep::Done
                    } else {
                        CursorStep::Next
                    }
                );
            }
        }
        assert!(cursor.is_complete && cursor.anomalies.count() == 0);
    }

    #[test]
    fn an_empty_page_with_a_next_token_does_not_end_the_list() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        cursor.take(&page(&["a"], Some("1")));
        assert_eq!(cursor.take(&page(&[], Some("2"))), CursorStep::Next);
        assert_eq!(cursor.take(&page(&["b"], None)), CursorStep::Done);
        assert_eq!(
            (cursor.anomalies.empty_pages, cursor.is_complete),
            (1, true)
        );
    }

    #[test]
    fn a_refused_token_restarts_the_list_a_few_times() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        for _ in 0..MAX_RESTARTS {
            cursor.take(&page(&["a"], Some("1")));
            assert_eq!(cursor.fail(AttemptFault::Status(400)), CursorStep::Next);
            assert_eq!(cursor.request().token, None);
        }
        cursor.take(&page(&["a"], Some("1")));
        assert_eq!(cursor.fail(AttemptFault::Status(410)), CursorStep::Failed);
        // Repeated tasks after a restart are not unexpected.
        assert_eq!(cursor.anomalies.repeated_tasks, 0);
        assert_eq!(ids(&cursor), ["a"]);
    }

    #[test]
    fn an_unknown_id_may_be_a_name() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        assert_eq!(cursor.fail(AttemptFault::Status(404)), CursorStep::Next);
        assert!(cursor.request().query().starts_with("batch_name=b&"));
        assert_eq!(
            cursor.fail(AttemptFault::Status(404)),
            CursorStep::NoSuchList
        );
        // Some servers return an empty list for one that does not exist.
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        assert_eq!(cursor.take(&page(&[], None)), CursorStep::Next);
        assert!(cursor.request().query().starts_with("batch_name=b&"));
        assert_eq!(cursor.fail(AttemptFault::Status(404)), CursorStep::Done);
        let mut cursor = PageCursor::new(source(ListKind::Delivery));
        assert_eq!(
            cursor.fail(AttemptFault::Status(400)),
            CursorStep::NoSuchList
        );
        assert_eq!(cursor.fail(AttemptFault::Status(500)), CursorStep::Failed);
    }

    #[test]
    fn pages_that_are_too_large_get_smaller() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        for limit in [25, 6, 1] {
            assert_eq!(cursor.fail(AttemptFault::TooLarge), CursorStep::Next);
            assert_eq!(cursor.request().limit, limit);
        }
        assert_eq!(cursor.fail(AttemptFault::Timeout), CursorStep::Failed);
        cursor.take(&page(&["a"], Some("1")));
        assert_eq!(cursor.request().limit, 2);
    }

    #[test]
    fn after_pages_that_are_too_large_few_others_are() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        let (mut failed, mut tasks) = (0, 0);
        for number in 0..100 {
            // Pages of more than eleven tasks are too large.
            if cursor.request().limit > 11 {
                assert_eq!(cursor.fail(AttemptFault::TooLarge), CursorStep::Next);
                failed += 1;
            } else {
                tasks += cursor.request().limit;
                let id = number.to_string();
                cursor.take(&page(&[&id], Some(&id)));
            }
        }
        assert!(
            failed <= 16 && tasks > 600,
            "{failed} failed, {tasks} tasks"
        );
    }

    #[test]
    fn the_task_count_of_a_delivery_is_read() {
        let counted = |ids: &[&str]| TaskPage {
            task_count: Some(2),
            ..page(ids, None)
        };
        let mut cursor = PageCursor::new(source(ListKind::Delivery));
        assert_eq!(cursor.take(&counted(&["a"])), CursorStep::Next);
        assert_eq!(cursor.take(&counted(&["b"])), CursorStep::Next);
        assert_eq!(cursor.take(&counted(&["a", "b"])), CursorStep::Done);
        assert!(cursor.is_complete);
        let mut cursor = PageCursor::new(source(ListKind::Delivery));
        let steps = [0; 3].map(|_| cursor.take(&counted(&["a"])));
        assert_eq!(
            steps,
            [CursorStep::Next, CursorStep::Next, CursorStep::Done]
        );
        assert!(!cursor.is_complete);
    }

    #[test]
    fn a_stopped_list_continues_where_it_stopped() {
        let mut cursor = PageCursor::new(source(ListKind::Batch));
        cursor.fail(AttemptFault::Status(404));
        cursor.take(&page(&["a"], Some("1")));
        let mut next = PageCursor::resume(
            source(ListKind::Batch),
            cursor.position(),
            cursor.ids.clone(),
        );
        assert_eq!(next.request().query(), cursor.request().query());
        assert_eq!(next.take(&page(&["b"], None)), CursorStep::Done);
        assert_eq!(ids(&next), ["a", "b"]);
    }
}
