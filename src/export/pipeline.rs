//! Fetching, the journal and the tables side by side: the first on the caller's thread, the others each on
//! one of their own. Depends on `fetch` and the files of this folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::build::{self, Built};
use super::index::Index;
use super::resources::SpaceWatch;
use super::store::{self, Stored};
use super::{ExportError, ExportOptions};
use crate::event::Events;
use crate::fetch::{
    CheckBody, Delivery, FetchError, FetchOptions, FetchStats, TaskClient, Wanted, fetch_all,
};
use crate::journal::Journal;
use crate::output::Staging;

/// Responses that may wait for the journal; the network waits when there are more.
const WAITING_RESPONSES: usize = 64;

/// What the threads of a run share.
pub(super) struct Pipeline<'r> {
    pub(super) options: &'r ExportOptions,
    pub(super) fetch_options: &'r FetchOptions,
    pub(super) client: &'r TaskClient,
    pub(super) index: &'r Index,
    pub(super) staging: &'r Staging,
    pub(super) events: &'r Events,
    pub(super) stop: &'r watch::Receiver<bool>,
}

/// What they leave.
pub(super) struct Done {
    pub(super) stats: FetchStats,
    pub(super) stored: Stored,
    /// Nothing when the run was stopped.
    pub(super) built: Option<Built>,
}

impl Pipeline<'_> {
    /// Fetches, stores and builds side by side, until all is done or one of them cannot go on.
    pub(super) fn run(
        &self,
        journal: Journal,
        wanted: usize,
        check: &Arc<dyn CheckBody>,
        mut space: SpaceWatch,
    ) -> Result<Done, ExportError> {
        let Self {
            options,
            index,
            stop,
            ..
        } = *self;
        let reader = journal.reader();
        let (halt_sender, halt) = watch::channel(false);
        let abandoned = AtomicBool::new(false);
        let good_id = index
            .any_held()
            .and_then(|position| options.ids.get(position))
            .map(str::to_owned);
        let target = options.target();
        let (fetched, stored, built) = thread::scope(|scope| {
            let (sink, arrived) = mpsc::channel(WAITING_RESPONSES);
            let store = scope.spawn(|| {
                let stored = store::run(journal, arrived, index, |fetched, journal| {
                    space.look(fetched, journal.bytes());
                });
                index.close();
                stored
            });
            let build = scope.spawn(|| {
                let is_over = || *stop.borrow() || abandoned.load(Ordering::Relaxed);
                let built = build::run(&target, index, reader, self.staging, self.events, is_over);
                if built.is_err() {
                    // The rest need not be fetched for tables that cannot be written now.
                    let _ = halt_sender.send(true);
                }
                built
            });
            // An ID is asked for once: those that have arrived meanwhile lie before this iterator.
            let ids = options
                .ids
                .iter()
                .enumerate()
                .filter(|(position, _)| index.is_waiting(*position))
                .map(|(position, task_id)| (position, task_id.to_owned()));
            let wanted = Wanted {
                ids,
                count: wanted,
                good_id,
            };
            let fetched = self.fetch(wanted, check, halt, sink);
            if !matches!(&fetched, Ok(stats) if !stats.stopped) {
                // Tables without the rest would not be published: they need not be built.
                abandoned.store(true, Ordering::Relaxed);
            }
            (fetched, join(store), join(build))
        });
        // Of several errors the one that caused the others is told.
        let stored = stored?;
        let stats = match (fetched, built.as_ref()) {
            (Err(ExportError::Fetch(FetchError::SinkClosed { .. })), Err(_)) => {
                FetchStats::default()
            }
            (fetched, _) => fetched?,
        };
        let built = built?;
        Ok(Done {
            stats,
            stored,
            built,
        })
    }

    /// Fetches on this thread; stops when the user or the tables' side says so.
    fn fetch(
        &self,
        wanted: Wanted<impl Iterator<Item = (usize, String)>>,
        check: &Arc<dyn CheckBody>,
        mut halt: watch::Receiver<bool>,
        sink: mpsc::Sender<Delivery>,
    ) -> Result<FetchStats, ExportError> {
        let mut stop = self.stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ExportError::Runtime)?;
        let stats = runtime.block_on(async {
            let (merged_sender, merged) = watch::channel(false);
            let merge = async move {
                tokio::select! {
                    _ = stop.wait_for(|stopped| *stopped) => {}
                    _ = halt.wait_for(|halted| *halted) => {}
                }
                let _ = merged_sender.send(true);
                // Keeps the channel open: a closed one could be read as something else.
                std::future::pending::<()>().await;
            };
            let (client, options) = (self.client, self.fetch_options);
            tokio::select! {
                stats = fetch_all(wanted, client, options, Arc::clone(check), self.events, sink, merged) => stats,
                () = merge => Ok(FetchStats::default()),
            }
        });
        // Connections that hang are not worth waiting for.
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(stats?)
    }
}

/// The result of a thread; a panic in it goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
