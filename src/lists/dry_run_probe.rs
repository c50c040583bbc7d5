//! What a run would ask, found out with a few requests: a sample of the IDs, and the first pages of the lists that
//! they belong to. Nothing is kept. Depends on `thrift`, `pages` and `compare`.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::api::body_check::Page;
use crate::api::client::TaskClient;
use crate::api::error::FetchError;
use crate::api::list_request::{ListSource, PAGE_TASKS, PageRequest};
use crate::event::Events;
use crate::fetch::fetcher::{Engine, Wanted, until_stopped};
use crate::fetch::options::{CheckBody, FetchOptions, Outcome};
use crate::lists::compare::Comparer;
use crate::lists::estimate::{Estimate, FirstPage, estimate};
use crate::lists::list_planner::{Thrift, spread};
use crate::lists::page_cursor::Walk;

/// Lists whose first page is looked at; the others are taken to be like them.
const MAX_LISTS: usize = 8;

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// What a run would ask.
    pub estimate: Estimate,
    /// Bytes of a task, on average; nothing when none was seen.
    pub task_bytes: Option<f64>,
    /// Requests that were made to find this out.
    pub requests: u64,
}

/// Bytes and tasks that were seen.
#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    tasks: usize,
}

impl Seen {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.tasks += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "an average for the eye")]
    fn mean(&self) -> Option<f64> {
        (self.tasks > 0).then(|| self.bytes as f64 / self.tasks as f64)
    }
}

/// Finds out what fetching these IDs would take. Nothing when it was stopped.
pub async fn survey_ids(
    wanted: &dyn Wanted,
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Option<Survey>, FetchError> {
    let engine = Engine::new(client, options, check, events, wanted.good_ids());
    until_stopped(engine.survey_ids(wanted), cancel).await
}

/// Finds out what reading these lists would take. Nothing when it was stopped.
pub async fn survey_lists(
    lists: &[ListSource],
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Option<Survey>, FetchError> {
    let engine = Engine::new(client, options, check, events, Vec::new());
    until_stopped(engine.survey_lists(lists), cancel).await
}

impl Engine<'_> {
    async fn survey_ids(&self, wanted: &dyn Wanted) -> Result<Survey, FetchError> {
        let waiting: Vec<usize> = (0..wanted.ids())
            .filter(|position| wanted.is_waiting(*position))
            .collect();
        let mut thrift = Thrift::new(self.options.plan, waiting.len());
        let mut seen = Seen::default();
        let Some(size) = thrift.next_sample(waiting.len()) else {
            // Whether the key is accepted is known only when something was requested with it.
            let first = waiting.first().and_then(|position| wanted.id(*position));
            if let Some(task_id) = first
                && let Outcome::Task { body, .. } =
                    self.fetch(0, task_id.to_owned()).await?.0.outcome
            {
                seen.add(body.len());
            }
            let estimate = estimate(waiting.len(), 0, &[], 0.0);
            return Ok(self.surveyed(estimate, &seen));
        };
        let sample: Vec<&str> = spread(&waiting, size)
            .into_iter()
            .filter_map(|position| wanted.id(position))
            .collect();
        let fetched: Vec<Outcome> = stream::iter(&sample)
            .map(async |task_id| Ok(self.fetch(0, (*task_id).to_owned()).await?.0.outcome))
            .buffer_unordered(self.options.concurrency.max(1))
            .try_collect()
            .await?;
        let mut belongs = Vec::new();
        for outcome in &fetched {
            if let Outcome::Task { body, .. } = outcome {
                seen.add(body.len());
                belongs.push(self.check.belongs(body));
            }
        }
        let left = waiting.len() - sample.len();
        let candidates = thrift.candidates(&belongs, left);
        let mut pages = Vec::new();
        let mut rest = 0.0;
        for candidate in candidates {
            if pages.len() >= MAX_LISTS {
                rest += candidate.expected;
                continue;
            }
            let request = PageRequest::first(candidate.source);
            let Ok((page, _share)) = self.page(&request).await? else {
                continue;
            };
            let found = page.tasks.iter().filter(|task| {
                let position = wanted.position(&task.task_id);
                position.is_some_and(|position| wanted.is_waiting(position))
            });
            pages.push(FirstPage {
                expected: candidate.expected,
                tasks: page.tasks.len(),
                wanted: found.count(),
                has_more: page.next_token.is_some(),
            });
        }
        let estimate = estimate(waiting.len(), sample.len(), &pages, rest);
        Ok(self.surveyed(estimate, &seen))
    }

    async fn survey_lists(&self, lists: &[ListSource]) -> Result<Survey, FetchError> {
        let mut seen = Seen::default();
        let mut estimate = Estimate::default();
        let comparer = Comparer::default();
        for source in lists {
            let first = self.first_page(source).await?;
            for task in &first.tasks {
                seen.add(task.body.len());
            }
            let listed = first.tasks.len() as u64;
            estimate.lists += 1;
            let tasks = match (&first.next_token, first.task_count) {
                (None, _) => listed,
                (Some(_), Some(count)) => count.max(listed),
                (Some(_), None) => {
                    estimate.is_least = true;
                    listed + 1
                }
            };
            let pages = tasks.div_ceil(u64::from(PAGE_TASKS)).max(1);
            // A list that is worked on is read once more.
            let is_living = first.tasks.iter().any(|task| !task.is_final);
            let readings = 1 + u64::from(is_living);
            estimate.tasks += tasks;
            estimate.pages += pages * readings;
            estimate.longest = estimate.longest.max(pages * readings);
            let page = self
                .compare_listed(&comparer, first.tasks, true, |_| true)
                .await?;
            estimate.single += page.pairs;
        }
        if comparer.lock().differs() {
            estimate.single = estimate.tasks;
        }
        Ok(self.surveyed(estimate, &seen))
    }

    /// The first page of a list that is named by its ID or its name.
    async fn first_page(&self, source: &ListSource) -> Result<Page, FetchError> {
        let mut walk = Walk::new(source.clone());
        loop {
            match self.page(walk.request()).await? {
                Ok((page, _)) if !page.tasks.is_empty() || !walk.may_be_name() => return Ok(page),
                Ok((page, _)) => {
                    walk.take(&page);
                }
                Err(failure) => {
                    self.list_failed(&mut walk, failure)?;
                }
            }
        }
    }

    fn surveyed(&self, estimate: Estimate, seen: &Seen) -> Survey {
        let requests = self.stats(false).requests;
        Survey {
            estimate,
            task_bytes: seen.mean(),
            requests,
        }
    }
}
