//! Lists as the source of tasks: all their pages, several lists side by side.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};

use crate::api::body_check::{ListedTask, fingerprint};
use crate::api::error::FetchError;
use crate::api::list_request::{ListKind, ListSource};
use crate::api::task_response::TaskResponse;
use crate::event::Event;
use crate::fetch::attempts::FailedAttempt;
use crate::fetch::classify::Verdict;
use crate::fetch::fetcher::Fetcher;
use crate::ids::task_ids::TaskIds;
use crate::lists::anomalies::ListAnomalies;
use crate::lists::compare::PageComparer;
use crate::lists::page_cursor::{CursorPosition, CursorStep, PageCursor};
use crate::lists::page_fetch::fetch_page;
use crate::plural::plural;
use crate::threads::lock;

/// Where an earlier run stopped in a list.
#[derive(Debug, Default)]
pub struct ListResume {
    /// The position.
    pub position: CursorPosition,
    /// The tasks that it saw.
    pub ids: TaskIds,
    /// If it came to the end, whether the list was complete.
    pub done: Option<bool>,
}

/// A page on its way to the journal.
#[derive(Debug)]
pub struct PageDelivery {
    /// The index of the list.
    pub list: usize,
    /// The IDs of its tasks that no page of the list had before.
    pub new_ids: Vec<String>,
    /// Those of its tasks that can be kept. The others are fetched with single requests.
    pub tasks: Vec<TaskResponse>,
    /// The position in the list after this page.
    pub position: CursorPosition,
    /// At the end of the list, whether the list is complete.
    pub done: Option<bool>,
    /// To be notified when the page is stored.
    pub stored: oneshot::Sender<()>,
}

/// A list that was read.
#[derive(Debug)]
pub struct ListedTasks {
    /// Its tasks in the order of first appearance.
    pub ids: TaskIds,
    /// What was unexpected.
    pub anomalies: ListAnomalies,
    /// Whether all of it was read, as far as that can be known.
    pub is_complete: bool,
}

/// A page that was compared with single requests.
#[derive(Debug)]
pub(crate) struct ComparedPage {
    /// Those of its tasks that can be kept.
    pub(crate) tasks: Vec<TaskResponse>,
    /// Tasks that were fetched both ways.
    pub(crate) pairs: u64,
    /// Tasks that can be kept although no task of their shape could be compared.
    pub(crate) uncompared: u64,
}

/// Where the pages of all lists go.
#[derive(Debug)]
pub struct ListSink<N> {
    /// Receives each page as it arrives.
    pub pages: mpsc::Sender<PageDelivery>,
    /// Whether a task is to be kept. A task that is not needs no comparison.
    pub needs: N,
}

/// Reads the lists of a run.
struct ListEndpointReader<'s, N> {
    fetcher: &'s Fetcher<'s>,
    sink: &'s ListSink<N>,
    comparer: PageComparer<'s>,
    /// Tasks so far.
    listed: AtomicUsize,
}

/// Reads all lists to their ends, and hands each page over as it arrives.
pub async fn list_all<N: Fn(&str) -> bool>(
    fetcher: &Fetcher<'_>,
    lists: Vec<(ListSource, ListResume)>,
    sink: &ListSink<N>,
) -> Result<Vec<ListedTasks>, FetchError> {
    let reader = ListEndpointReader {
        fetcher,
        sink,
        comparer: PageComparer::new(fetcher.events),
        listed: AtomicUsize::new(lists.iter().map(|(_, resume)| resume.ids.len()).sum()),
    };
    stream::iter(lists.into_iter().enumerate())
        .map(|(list, (source, resume))| reader.list(list, source, resume))
        // In order, so that the IDs of the export have the order in which the lists were given.
        .buffered(fetcher.concurrency())
        .try_collect()
        .await
}

impl<N: Fn(&str) -> bool> ListEndpointReader<'_, N> {
    /// Reads one whole list.
    async fn list(
        &self,
        list: usize,
        source: ListSource,
        resume: ListResume,
    ) -> Result<ListedTasks, FetchError> {
        let ListResume {
            position,
            ids,
            done,
        } = resume;
        if let Some(is_complete) = done {
            return Ok(ListedTasks {
                ids,
                anomalies: ListAnomalies::default(),
                is_complete,
            });
        }
        let mut cursor = PageCursor::resume(source.clone(), position, ids);
        let (mut is_compared, mut uncompared) = (false, 0);
        loop {
            let known = cursor.ids.len();
            let (step, page, _share) = match fetch_page(self.fetcher, cursor.request()).await? {
                Ok((page, share)) => (cursor.take(&page), page.tasks, Some(share)),
                Err(failed) => {
                    let step = list_failed(self.fetcher, &mut cursor, failed)?;
                    (step, Vec::new(), None)
                }
            };
            let needs = |task: &ListedTask| (self.sink.needs)(&task.response.task_id);
            // At least one task of every list: lists of one API may differ from each other.
            let compared =
                compare_listed(self.fetcher, &self.comparer, page, !is_compared, needs).await?;
            is_compared |= compared.pairs > 0;
            uncompared += compared.uncompared;
            let new_ids = (known..cursor.ids.len()).filter_map(|position| cursor.ids.get(position));
            let new_ids: Vec<String> = new_ids.map(str::to_owned).collect();
            let new = new_ids.len();
            let done = self.listed.fetch_add(new, Ordering::Relaxed) + new;
            self.fetcher
                .events
                .send(Event::Progress { done, total: None });
            let is_done = step == CursorStep::Done;
            let (stored, is_stored) = oneshot::channel();
            let delivery = PageDelivery {
                list,
                new_ids,
                tasks: compared.tasks,
                position: cursor.position(),
                done: is_done.then_some(cursor.is_complete),
                stored,
            };
            let pages = &self.sink.pages;
            if pages.send(delivery).await.is_err() || is_stored.await.is_err() {
                let what = cursor.request().to_string();
                return Err(FetchError::SinkClosed { what });
            }
            if is_done {
                break;
            }
        }
        self.report(&source, &cursor, uncompared);
        Ok(ListedTasks {
            ids: cursor.ids,
            anomalies: cursor.anomalies,
            is_complete: cursor.is_complete,
        })
    }

    /// Reports what was unexpected in a list.
    fn report(&self, source: &ListSource, cursor: &PageCursor, uncompared: u64) {
        if uncompared > 0 {
            self.fetcher.events.send(Event::Warning(format!(
                "{source}: could not compare {} with single requests; exporting what the list returned",
                plural(uncompared, "task")
            )));
        }
        let count = cursor.ids.len();
        self.fetcher.events.send(Event::Detail(format!(
            "{source} has {}",
            plural(count as u64, "task")
        )));
        if cursor.anomalies.count() > 0 {
            let texts = cursor.anomalies.texts().join(", ");
            self.fetcher
                .events
                .send(Event::Warning(format!("{source} is irregular: {texts}")));
        }
        if !cursor.is_complete {
            let what = match source.kind {
                ListKind::Delivery => "delivery",
                ListKind::Project | ListKind::Batch => "list",
            };
            self.fetcher.events.send(Event::Warning(format!(
                "{source}: could not read all of the {what}; exporting what was read"
            )));
        }
    }
}

/// What a failed page means for its list: the next step, or the end of the run.
pub(crate) fn list_failed(
    fetcher: &Fetcher<'_>,
    cursor: &mut PageCursor,
    failed: FailedAttempt,
) -> Result<CursorStep, FetchError> {
    let request = cursor.request();
    let (list, page) = (request.source.to_string(), request.page + 1);
    let message = failed.error.message;
    // A list has no other ID with which the key could be tested.
    if failed.verdict == Verdict::Forbidden {
        return Err(FetchError::Refused {
            what: list,
            status: failed.status.unwrap_or_default(),
            message,
            has_succeeded: fetcher.liveness().has_task(),
        });
    }
    let detail = format!("{request}: {message}");
    let step = cursor.fail(failed.error.fault);
    match step {
        CursorStep::NoSuchList => Err(FetchError::NoSuchList { list, message }),
        CursorStep::Failed => Err(FetchError::ListFailed {
            list,
            page,
            message,
        }),
        CursorStep::Next | CursorStep::Done => {
            fetcher.events.send(Event::Detail(detail));
            Ok(step)
        }
    }
}

/// Compares a page with single requests as far as needed, and keeps those of its tasks that may be kept. With `any`, at
/// least one task of the page is compared.
pub(crate) async fn compare_listed(
    fetcher: &Fetcher<'_>,
    comparer: &PageComparer<'_>,
    page: Vec<ListedTask>,
    any: bool,
    needs: impl Fn(&ListedTask) -> bool,
) -> Result<ComparedPage, FetchError> {
    let single_responses: Mutex<HashMap<String, TaskResponse>> = Mutex::default();
    let single = async |task: &ListedTask| {
        let (result, _, _share) = fetcher.fetch(&task.response.task_id).await?;
        let Ok(response) = result else {
            return Ok(None);
        };
        let fingerprint = fingerprint(&response.body);
        lock(&single_responses).insert(response.task_id.clone(), response);
        Ok(Some(fingerprint))
    };
    let pairs = comparer.compare_page(&page, any, &needs, single).await?;
    let single_responses = lock(&single_responses);
    let comparison = comparer.lock();
    let mut uncompared = 0;
    let kept = page.into_iter().filter_map(|task| {
        // The single response is the later one of the two.
        if let Some(response) = single_responses.get(&task.response.task_id) {
            return Some(response.clone());
        }
        let is_known = comparison.covers(&task);
        // If single requests fail, only the list's version is available.
        let is_kept = is_known || (comparison.has_same() && !comparison.differs());
        uncompared += u64::from(is_kept && !is_known && needs(&task));
        is_kept.then_some(task.response)
    });
    Ok(ComparedPage {
        tasks: kept.collect(),
        pairs,
        uncompared,
    })
}
