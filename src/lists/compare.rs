//! Fetches tasks of a page both ways, before the page is trusted. Used by `listing`, where lists are the source of
//! tasks, and by `substitute`, where they replace single requests.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use crate::api::body_check::Listed;
use crate::api::error::FetchError;
use crate::event::Event;
use crate::fetch::fetcher::Engine;
use crate::lists::comparison::{Comparison, Fingerprint, Verdict};
use crate::threads;

/// The comparisons of one run.
#[derive(Debug, Default)]
pub(crate) struct Comparer {
    comparison: Mutex<Comparison>,
    /// Held while a page is compared, so that pages that arrive together do not compare the same look twice.
    turn: tokio::sync::Mutex<()>,
}

impl Comparer {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Comparison> {
        // Plain sets and numbers, whole whatever happened to a thread.
        threads::lock(&self.comparison)
    }
}

impl Engine<'_> {
    /// Compares the tasks of a page whose look is new, one of each look, with `any` at least one of the page. `may`
    /// says which tasks are worth a request; `single` makes it, and gives nothing when the task cannot be fetched.
    /// How many were fetched both ways.
    pub(crate) async fn compare_page(
        &self,
        comparer: &Comparer,
        page: &[Listed],
        any: bool,
        may: impl Fn(&Listed) -> bool,
        single: impl AsyncFn(&Listed) -> Result<Option<Fingerprint>, FetchError>,
    ) -> Result<u64, FetchError> {
        let _turn = comparer.turn.lock().await;
        let mut tried = HashSet::new();
        let mut pairs = 0;
        loop {
            let next = comparer.lock().next(page, any && pairs == 0, |task| {
                !tried.contains(&task.task_id) && may(task)
            });
            let Some(task) = next else {
                return Ok(pairs);
            };
            tried.insert(&task.task_id);
            match single(task).await? {
                Some(single) => {
                    pairs += 1;
                    self.judge_listed(comparer, task, single);
                }
                None => comparer.lock().fail(task),
            }
        }
    }

    /// Compares a task of a page with its single response. A warning says once that lists are not used any more.
    pub(crate) fn judge_listed(&self, comparer: &Comparer, task: &Listed, single: Fingerprint) {
        let listed = self.check.fingerprint(task.body.as_bytes());
        let mut comparison = comparer.lock();
        let is_first = !comparison.differs();
        if comparison.see(task, listed, single) == Verdict::Differs && is_first {
            self.warn_that_lists_differ(&task.task_id);
        }
    }

    fn warn_that_lists_differ(&self, task_id: &str) {
        self.events.send(Event::Warning(format!(
            "task {task_id}: the list endpoint returns other JSON than GET /v2/task; \
             fetching every task with a request of its own"
        )));
    }
}
