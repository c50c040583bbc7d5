//! Lists the IDs of the tasks of list endpoints, without fetching or saving the tasks.

use std::thread;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::event::{Event, Events};
use crate::fetch::fetcher::FetchContext;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::list_tasks::merge;
use crate::jobs::report::{JobEnd, ListReport, SavedWork};
use crate::jobs::runtime::{Network, block_on};
use crate::jobs::threads::{join, spawn};
use crate::lists::list_all::{ListResume, ListSink, PageDelivery, list_all};

/// The IDs of all lists.
#[derive(Debug, Serialize)]
pub(crate) struct ListedIds {
    /// Distinct IDs, in the order of first appearance.
    #[serde(skip)]
    pub(crate) ids: TaskIds,
    /// How many.
    pub(crate) listed: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) lists: ListReport,
}

/// Reads the lists of the options.
pub(crate) fn list_ids(
    options: &ExportOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<ListedIds>, ExportError> {
    let fetch_options = options.fetch_options(events)?;
    let client = TaskClient::new(&fetch_options.client)?;
    let body_check = options.body_check();
    let network = Network {
        context: FetchContext {
            client: &client,
            options: &fetch_options,
            body_check: &body_check,
            events,
        },
        cancel,
        // No output directory keeps what is learned of the rate.
        state: None,
    };
    let fetcher = network.fetcher(None, Vec::new());
    events.send(Event::Phase("listing"));
    let listed = thread::scope(|scope| -> Result<_, ExportError> {
        let (pages, arrived) = mpsc::channel(1);
        let receiver = spawn(scope, || discard(arrived))?;
        // A task that is not needed is not compared with a single request.
        let needs = |_: &str| false;
        let sink = ListSink { pages, needs };
        let lists = options.lists.iter().cloned();
        let lists = lists.map(|list| (list, ListResume::default())).collect();
        let listed = block_on(list_all(&fetcher, lists, &sink), cancel);
        drop(sink);
        join(receiver);
        listed
    })?;
    let Some(lists) = listed else {
        return Ok(JobEnd::Stopped(SavedWork::Nothing));
    };
    let stats = fetcher.stats();
    let (ids, lists) = merge(lists);
    Ok(JobEnd::Done(ListedIds {
        listed: ids.len() as u64,
        ids,
        requests: stats.requests,
        retries: stats.retries,
        lists,
    }))
}

/// Takes pages until the channel closes: the lists keep the IDs themselves.
fn discard(mut arrived: mpsc::Receiver<PageDelivery>) {
    while let Some(PageDelivery { stored, .. }) = arrived.blocking_recv() {
        // The reader of the list can have been stopped meanwhile.
        let _ = stored.send(());
    }
}
