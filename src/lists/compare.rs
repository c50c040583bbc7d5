//! Fetches tasks of a page with single requests and compares them, before the page is trusted. Used where lists
//! are the source of tasks, and where they replace single requests.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use crate::api::body_check::{ListedTask, fingerprint};
use crate::api::error::FetchError;
use crate::event::{Event, Events};
use crate::lists::comparison::{Comparison, ComparisonResult, Fingerprint};
use crate::threads;

/// The comparisons of one run.
#[derive(Debug)]
pub(crate) struct PageComparer<'e> {
    comparison: Mutex<Comparison>,
    /// Held while a page is compared, so that pages that arrive together do not compare the same shape twice.
    turn: tokio::sync::Mutex<()>,
    events: &'e Events,
}

impl<'e> PageComparer<'e> {
    pub(crate) fn new(events: &'e Events) -> Self {
        Self {
            comparison: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            events,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Comparison> {
        threads::lock(&self.comparison)
    }

    /// Compares the tasks of a page whose shape is new, one of each shape; with `any`, at least one task of the page.
    /// `may` says which tasks are worth a request. `single` makes the request, and gives `None` if the task cannot be
    /// fetched. Returns the number of tasks that were fetched both ways.
    pub(crate) async fn compare_page(
        &self,
        page: &[ListedTask],
        any: bool,
        may: impl Fn(&ListedTask) -> bool,
        single: impl AsyncFn(&ListedTask) -> Result<Option<Fingerprint>, FetchError>,
    ) -> Result<u64, FetchError> {
        let _turn = self.turn.lock().await;
        let mut tried = HashSet::new();
        let mut pairs = 0;
        loop {
            let next = self.lock().next(page, any && pairs == 0, |task| {
                !tried.contains(&task.response.task_id) && may(task)
            });
            let Some(task) = next else {
                return Ok(pairs);
            };
            tried.insert(&task.response.task_id);
            match single(task).await? {
                Some(single) => {
                    pairs += 1;
                    self.judge(task, single);
                }
                None => self.lock().record_failure(task),
            }
        }
    }

    /// Compares a task of a page with its single response. A warning says once that lists are no longer used.
    pub(crate) fn judge(&self, task: &ListedTask, single: Fingerprint) {
        let listed = fingerprint(&task.response.body);
        let mut comparison = self.lock();
        // Pages that are in flight together may all find the difference.
        let is_first = !comparison.differs();
        if comparison.record(task, listed, single) == ComparisonResult::Differs && is_first {
            self.events.send(Event::Warning(format!(
                "task {}: the list endpoint returns other JSON than GET /v2/task; \
                 fetching every task with a separate request",
                task.response.task_id
            )));
        }
    }
}
