//! Lists as the source of tasks: all their pages, several lists side by side. Depends on `walk` and `pages`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{mpsc, oneshot, watch};

use super::client::Failure;
use super::engine::{Engine, until_stopped};
use super::walk::{Place, Step, Surprises, Walk};
use super::{CheckBody, FetchError, FetchOptions, FetchStats, ListKind, ListSource, TaskClient};
use crate::event::{Event, Events};
use crate::ids::IdList;
use crate::response::Listed;

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
    /// Its tasks.
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

/// Reads all lists to their ends; each page goes to the sink as it arrives. Nothing when it was stopped.
pub async fn list_all(
    lists: Vec<(ListSource, Resume)>,
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    sink: mpsc::Sender<PageDelivery>,
    stop: watch::Receiver<bool>,
) -> Result<(FetchStats, Option<Vec<ListedTasks>>), FetchError> {
    let engine = Engine::new(client, options, check, events, 0, None);
    let found = AtomicUsize::new(lists.iter().map(|(_, resume)| resume.ids.len()).sum());
    let lists = stream::iter(lists.into_iter().enumerate())
        .map(|(list, (source, resume))| engine.list(list, source, resume, &found, &sink))
        .buffered(options.concurrency.max(1))
        .try_collect();
    let listed = until_stopped(lists, stop).await?;
    Ok((engine.stats(listed.is_none()), listed))
}

impl Engine<'_> {
    /// Reads one list to its end.
    async fn list(
        &self,
        list: usize,
        source: ListSource,
        resume: Resume,
        found: &AtomicUsize,
        sink: &mpsc::Sender<PageDelivery>,
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
        loop {
            let known = walk.ids.len();
            let (step, tasks, _share) = match self.page(walk.request()).await? {
                Ok((page, share)) => (walk.take(&page), page.tasks, Some(share)),
                Err(failure) => (self.list_failed(&mut walk, failure)?, Vec::new(), None),
            };
            let new = walk.ids.len() - known;
            let done = found.fetch_add(new, Ordering::Relaxed) + new;
            self.events.send(Event::Progress { done, total: None });
            let is_done = step == Step::Done;
            let (kept, is_kept) = oneshot::channel();
            let delivery = PageDelivery {
                list,
                tasks,
                place: walk.place(),
                done: is_done.then_some(walk.is_complete),
                kept,
            };
            if sink.send(delivery).await.is_err() || is_kept.await.is_err() {
                let what = walk.request().to_string();
                return Err(FetchError::SinkClosed { what });
            }
            if is_done {
                break;
            }
        }
        self.tell(&source, &walk);
        Ok(ListedTasks {
            ids: walk.ids,
            surprises: walk.surprises,
            is_complete: walk.is_complete,
        })
    }

    /// What it means that a page cannot be had.
    pub(super) fn list_failed(
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

    /// Tells what was odd about a list.
    fn tell(&self, source: &ListSource, walk: &Walk) {
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
