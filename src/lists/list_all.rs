//! Lists as the source of tasks: all their pages, several lists side by side. Depends on `walk`, `pages`
//! and `compare`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::api::body_check::Listed;
use crate::api::client::{Failure, TaskClient};
use crate::api::error::FetchError;
use crate::api::list_request::{ListKind, ListSource};
use crate::event::{Event, Events};
use crate::fetch::fetcher::{Engine, until_stopped};
use crate::fetch::options::{CheckBody, FetchOptions, Outcome};
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::IdList;
use crate::lists::compare::Comparer;
use crate::lists::page_cursor::{Place, Step, Surprises, Walk};
use crate::threads;

/// Where an earlier run stopped in a list.
#[derive(Debug, Default)]
pub struct Resume {
    /// The place.
    pub place: Place,
    /// The tasks that it saw.
    pub ids: IdList,
    /// Had it come to the end? Then whether all was there.
    pub done: Option<bool>,
}

/// A page on its way to whoever keeps it.
#[derive(Debug)]
pub struct PageDelivery {
    /// Which list, by its place among all.
    pub list: usize,
    /// IDs of its tasks.
    pub ids: Vec<String>,
    /// Those of its tasks that can be kept. The others are fetched singly.
    pub tasks: Vec<Listed>,
    /// Where the list goes on behind it.
    pub place: Place,
    /// Is it the end of the list? Then whether all was there.
    pub done: Option<bool>,
    /// To be told when it is kept.
    pub kept: oneshot::Sender<()>,
}

/// A list that has been read.
#[derive(Debug)]
pub struct ListedTasks {
    /// Its tasks in the order of first appearance.
    pub ids: IdList,
    /// What was odd about it.
    pub surprises: Surprises,
    /// Did all of it come, as far as can be known?
    pub is_complete: bool,
}

/// A page that has been compared with single requests.
#[derive(Debug)]
pub(crate) struct ComparedPage {
    /// Those of its tasks that can be kept.
    pub(crate) tasks: Vec<Listed>,
    /// Tasks that were fetched both ways.
    pub(crate) pairs: u64,
    /// Tasks that can be kept although no task like them could be compared.
    pub(crate) uncompared: u64,
}

/// Where the pages of all lists go.
#[derive(Debug)]
pub struct ListSink<N> {
    /// Takes each page as it arrives.
    pub pages: mpsc::Sender<PageDelivery>,
    /// Whether a task is to be kept: one that is not needs no comparison.
    pub needs: N,
}

/// What all lists of a run share.
struct Shared<'s, N> {
    sink: &'s ListSink<N>,
    comparer: Comparer,
    /// Tasks so far.
    found: AtomicUsize,
}

/// Reads all lists to their ends; each page goes to the sink as it arrives. Nothing when it was stopped.
pub async fn list_all<N: Fn(&str) -> bool>(
    lists: Vec<(ListSource, Resume)>,
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    sink: ListSink<N>,
    cancel: &CancellationToken,
) -> Result<(FetchStats, Option<Vec<ListedTasks>>), FetchError> {
    let engine = Engine::new(client, options, check, events, Vec::new());
    let shared = Shared {
        sink: &sink,
        comparer: Comparer::default(),
        found: AtomicUsize::new(lists.iter().map(|(_, resume)| resume.ids.len()).sum()),
    };
    let lists = stream::iter(lists.into_iter().enumerate())
        .map(|(list, (source, resume))| engine.list(list, source, resume, &shared))
        .buffered(options.concurrency.max(1))
        .try_collect();
    let listed = until_stopped(lists, cancel).await?;
    Ok((engine.stats(listed.is_none()), listed))
}

impl Engine<'_> {
    /// Reads one list to its end.
    async fn list<N: Fn(&str) -> bool>(
        &self,
        list: usize,
        source: ListSource,
        resume: Resume,
        shared: &Shared<'_, N>,
    ) -> Result<ListedTasks, FetchError> {
        let Resume { place, ids, done } = resume;
        if let Some(is_complete) = done {
            return Ok(ListedTasks {
                ids,
                surprises: Surprises::default(),
                is_complete,
            });
        }
        let mut walk = Walk::resume(source.clone(), place, ids);
        let (mut is_compared, mut uncompared) = (false, 0);
        loop {
            let known = walk.ids.len();
            let (step, page, _share) = match self.page(walk.request()).await? {
                Ok((page, share)) => (walk.take(&page), page.tasks, Some(share)),
                Err(failure) => (self.list_failed(&mut walk, failure)?, Vec::new(), None),
            };
            let ids = page.iter().map(|task| task.task_id.clone()).collect();
            let needs = |task: &Listed| (shared.sink.needs)(&task.task_id);
            let compared = self
                .compare_listed(&shared.comparer, page, !is_compared, needs)
                .await?;
            is_compared |= compared.pairs > 0;
            uncompared += compared.uncompared;
            let tasks = compared.tasks;
            let new = walk.ids.len() - known;
            let done = shared.found.fetch_add(new, Ordering::Relaxed) + new;
            self.events.send(Event::Progress { done, total: None });
            let is_done = step == Step::Done;
            let (kept, is_kept) = oneshot::channel();
            let delivery = PageDelivery {
                list,
                ids,
                tasks,
                place: walk.place(),
                done: is_done.then_some(walk.is_complete),
                kept,
            };
            let pages = &shared.sink.pages;
            if pages.send(delivery).await.is_err() || is_kept.await.is_err() {
                let what = walk.request().to_string();
                return Err(FetchError::SinkClosed { what });
            }
            if is_done {
                break;
            }
        }
        self.tell(&source, &walk, uncompared);
        Ok(ListedTasks {
            ids: walk.ids,
            surprises: walk.surprises,
            is_complete: walk.is_complete,
        })
    }

    /// What it means that a page cannot be had.
    pub(crate) fn list_failed(
        &self,
        walk: &mut Walk,
        failure: Failure,
    ) -> Result<Step, FetchError> {
        let request = walk.request();
        let (list, page) = (request.source.to_string(), request.page + 1);
        let (status, message) = (failure.status, failure.message);
        if status == Some(403) {
            return Err(FetchError::Refused {
                what: list,
                status: 403,
                message,
            });
        }
        let detail = format!("{request}: {message}");
        let step = walk.fail(failure.trouble);
        match step {
            Step::NoSuchList => Err(FetchError::NoSuchList { list, message }),
            Step::Failed => Err(FetchError::ListFailed {
                list,
                page,
                message,
            }),
            Step::Next | Step::Done => {
                self.events.send(Event::Detail(detail));
                Ok(step)
            }
        }
    }

    /// Compares a page with single requests, as far as it is needed, and keeps those of its tasks that may be kept.
    pub(crate) async fn compare_listed(
        &self,
        comparer: &Comparer,
        page: Vec<Listed>,
        any: bool,
        needs: impl Fn(&Listed) -> bool,
    ) -> Result<ComparedPage, FetchError> {
        let younger: Mutex<HashMap<String, Listed>> = Mutex::default();
        let single = async |task: &Listed| {
            let (fetched, _share) = self.fetch(0, task.task_id.clone()).await?;
            let Outcome::Task { body, is_final, .. } = fetched.outcome else {
                return Ok(None);
            };
            let fingerprint = self.check.fingerprint(&body);
            // It is the younger of the two. A checked body is UTF-8.
            let task = Listed {
                body: String::from_utf8(body.into()).unwrap_or_default(),
                is_final,
                ..task.clone()
            };
            let mut younger = threads::lock(&younger);
            younger.insert(fetched.task_id, task);
            Ok(Some(fingerprint))
        };
        let pairs = self
            .compare_page(comparer, &page, any, &needs, single)
            .await?;
        let younger = younger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let comparison = comparer.lock();
        let mut uncompared = 0;
        let kept = page.into_iter().filter_map(|task| {
            if let Some(task) = younger.get(&task.task_id) {
                return Some(task.clone());
            }
            let is_known = comparison.covers(&task);
            // Where single requests fail, the list is all there is.
            let is_kept = is_known || (comparison.has_same() && !comparison.differs());
            uncompared += u64::from(is_kept && !is_known && needs(&task));
            is_kept.then_some(task)
        });
        Ok(ComparedPage {
            tasks: kept.collect(),
            pairs,
            uncompared,
        })
    }

    /// Tells what was odd about a list.
    fn tell(&self, source: &ListSource, walk: &Walk, uncompared: u64) {
        if uncompared > 0 {
            self.events.send(Event::Warning(format!(
                "{source}: could not compare {uncompared} {} with single requests; exporting what the list returned",
                if uncompared == 1 { "task" } else { "tasks" }
            )));
        }
        let count = walk.ids.len();
        self.events
            .send(Event::Detail(format!("{source} has {count} tasks")));
        if walk.surprises.count() > 0 {
            let parts = walk.surprises.parts();
            let told = parts.iter().filter(|(_, count)| *count > 0);
            let told: Vec<String> = told
                .map(|(what, count)| format!("{count} {what}"))
                .collect();
            let told = told.join(", ");
            self.events
                .send(Event::Warning(format!("{source} surprised with {told}")));
        }
        if !walk.is_complete {
            let what = match source.kind {
                ListKind::Delivery => "delivery",
                ListKind::Project | ListKind::Batch => "list",
            };
            self.events.send(Event::Warning(format!(
                "{source}: not all of the {what} could be read; what has come is exported"
            )));
        }
    }
}
