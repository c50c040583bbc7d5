//! What a run would request, found out with a few requests: a sample of the IDs, and the first pages of the lists that
//! they belong to. Nothing is stored.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::api::body_check::{TaskLists, TaskPage, lists_of};
use crate::api::error::FetchError;
use crate::api::list_request::{ListSource, PAGE_TASKS, PageRequest};
use crate::fetch::fetcher::Fetcher;
use crate::fetch::task_result::{TaskFailure, TaskResult};
use crate::fetch::wanted::WantedTasks;
use crate::lists::compare::PageComparer;
use crate::lists::estimate::{FirstPage, RequestEstimate, estimate};
use crate::lists::list_all::{compare_listed, list_failed};
use crate::lists::list_planner::{ListCandidate, ListPlan, ListPlanner, spread};
use crate::lists::page_cursor::PageCursor;
use crate::lists::page_fetch::fetch_page;

/// Lists whose first page is fetched. The others are taken to be like them.
const MAX_LISTS: usize = 8;

/// What the probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// What a run would request.
    pub estimate: RequestEstimate,
    /// The mean size of a task in bytes; `None` if no task was seen.
    pub task_bytes: Option<f64>,
    /// Tasks that were requested and failed.
    pub failed: Vec<TaskFailure>,
    /// Requests that the probe made.
    pub requests: u64,
}

/// Bytes and tasks that were seen.
#[derive(Debug, Default)]
struct SeenBodies {
    bytes: usize,
    tasks: usize,
}

impl SeenBodies {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.tasks += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "an average for the eye")]
    fn mean(&self) -> Option<f64> {
        (self.tasks > 0).then(|| self.bytes as f64 / self.tasks as f64)
    }
}

/// Estimates what fetching these IDs would take.
pub async fn probe_ids(
    fetcher: &Fetcher<'_>,
    plan: ListPlan,
    wanted: &WantedTasks<'_>,
) -> Result<ProbeResult, FetchError> {
    let estimate = estimate_ids(fetcher, plan, wanted).await;
    estimate.map_err(FetchError::unsaved)
}

async fn estimate_ids(
    fetcher: &Fetcher<'_>,
    plan: ListPlan,
    wanted: &WantedTasks<'_>,
) -> Result<ProbeResult, FetchError> {
    let waiting: Vec<usize> = wanted.waiting().collect();
    let mut planner = ListPlanner::new(plan, waiting.len());
    let mut seen = SeenBodies::default();
    let Some(size) = planner.next_sample(waiting.len()) else {
        // Only a request shows whether the key is accepted.
        let first = waiting
            .first()
            .and_then(|position| wanted.ids.get(*position));
        let mut failed = Vec::new();
        if let Some(task_id) = first {
            match fetcher.fetch(task_id).await?.0 {
                Ok(response) => seen.add(response.body.len()),
                Err(failure) => failed.push(failure),
            }
        }
        let estimate = estimate(waiting.len(), 0, &[], 0.0);
        return Ok(ProbeResult {
            failed,
            ..probed(fetcher, estimate, &seen)
        });
    };
    let sample: Vec<&str> = spread(&waiting, size)
        .into_iter()
        .filter_map(|position| wanted.ids.get(position))
        .collect();
    let results: Vec<TaskResult> = stream::iter(&sample)
        .map(async |task_id| Ok(fetcher.fetch(task_id).await?.0))
        .buffer_unordered(fetcher.concurrency())
        .try_collect()
        .await?;
    let mut lists: Vec<TaskLists> = Vec::new();
    for response in results.iter().flatten() {
        seen.add(response.body.len());
        lists.push(lists_of(&response.body));
    }
    let left = waiting.len() - sample.len();
    let candidates = planner.candidates(&lists, left);
    let (pages, rest) = first_pages(fetcher, wanted, candidates).await?;
    let estimate = estimate(waiting.len(), sample.len(), &pages, rest);
    Ok(ProbeResult {
        failed: results.into_iter().filter_map(Result::err).collect(),
        ..probed(fetcher, estimate, &seen)
    })
}

/// Fetches the first pages of the most promising lists. Returns those, and how many wanted tasks the other lists are
/// expected to have.
async fn first_pages(
    fetcher: &Fetcher<'_>,
    wanted: &WantedTasks<'_>,
    candidates: Vec<ListCandidate>,
) -> Result<(Vec<FirstPage>, f64), FetchError> {
    let mut pages = Vec::new();
    let mut rest = 0.0;
    for candidate in candidates {
        if pages.len() >= MAX_LISTS {
            rest += candidate.expected;
            continue;
        }
        let request = PageRequest::first(candidate.source);
        let Ok((page, _share)) = fetch_page(fetcher, &request).await? else {
            continue;
        };
        let found = page
            .tasks
            .iter()
            .filter(|task| wanted.waiting_position(&task.response.task_id).is_some());
        pages.push(FirstPage {
            expected: candidate.expected,
            tasks: page.tasks.len(),
            wanted: found.count(),
            has_more: page.next_token.is_some(),
        });
    }
    Ok((pages, rest))
}

/// Estimates what reading these lists would take.
pub async fn probe_lists(
    fetcher: &Fetcher<'_>,
    lists: &[ListSource],
) -> Result<ProbeResult, FetchError> {
    let estimate = estimate_lists(fetcher, lists).await;
    estimate.map_err(FetchError::unsaved)
}

async fn estimate_lists(
    fetcher: &Fetcher<'_>,
    lists: &[ListSource],
) -> Result<ProbeResult, FetchError> {
    let mut seen = SeenBodies::default();
    let mut estimate = RequestEstimate::default();
    let comparer = PageComparer::new(fetcher.events);
    for source in lists {
        let first = first_page(fetcher, source).await?;
        for task in &first.tasks {
            seen.add(task.response.body.len());
        }
        let listed = first.tasks.len() as u64;
        estimate.lists += 1;
        let tasks = match (&first.next_token, first.task_count) {
            (None, _) => listed,
            (Some(_), Some(count)) => count.max(listed),
            // Without a count, only the first page and the existence of a second one are known.
            (Some(_), None) => {
                estimate.is_least = true;
                listed + 1
            }
        };
        let pages = tasks.div_ceil(u64::from(PAGE_TASKS)).max(1);
        // A list with tasks that may still change is read a second time.
        let is_changing = first.tasks.iter().any(|task| !task.response.is_final);
        let readings = 1 + u64::from(is_changing);
        estimate.tasks += tasks;
        estimate.pages += pages * readings;
        estimate.longest = estimate.longest.max(pages * readings);
        let page = compare_listed(fetcher, &comparer, first.tasks, true, |_| true).await?;
        estimate.single += page.pairs;
    }
    // A run would then fetch every task with a single request, after reading the lists for their IDs.
    if comparer.lock().differs() {
        estimate.single = estimate.tasks;
    }
    Ok(probed(fetcher, estimate, &seen))
}

/// The first page of a list that is given by its ID or its name.
async fn first_page(fetcher: &Fetcher<'_>, source: &ListSource) -> Result<TaskPage, FetchError> {
    let mut cursor = PageCursor::new(source.clone());
    loop {
        match fetch_page(fetcher, cursor.request()).await? {
            Ok((page, _)) if !page.tasks.is_empty() || !cursor.may_be_name() => return Ok(page),
            Ok((page, _)) => {
                cursor.take(&page);
            }
            Err(failed) => {
                list_failed(fetcher, &mut cursor, failed)?;
            }
        }
    }
}

fn probed(fetcher: &Fetcher<'_>, estimate: RequestEstimate, seen: &SeenBodies) -> ProbeResult {
    ProbeResult {
        estimate,
        task_bytes: seen.mean(),
        failed: Vec::new(),
        requests: fetcher.stats().requests,
    }
}
