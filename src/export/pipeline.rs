//! Fetching, the journal and the tables side by side: the first on the caller's thread, the others on
//! their own. Depends on `fetch` and the files of this folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::{mpsc, watch};

use super::build::{self, Built, Site, join, spawn};
use super::follow::Followed;
use super::index::Index;
use super::network::{Network, block_on};
use super::recent::Recent;
use super::resources::SpaceWatch;
use super::store::{self, Stored};
use super::{ExportError, ExportOptions};
use crate::fetch::{FetchError, FetchStats, GOOD_IDS, Wanted, fetch_all};
use crate::ids::IdList;
use crate::journal::Journal;
use crate::output::Staging;

/// Responses that may wait for the journal; the network waits when there are more.
const WAITING_RESPONSES: usize = 64;

/// The IDs that the journal has nothing for.
#[derive(Debug)]
pub(super) struct Waiting<'r> {
    pub(super) ids: &'r IdList,
    pub(super) index: &'r Index,
    pub(super) count: usize,
}

impl Wanted for Waiting<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn ids(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, position: usize) -> Option<&str> {
        self.ids.get(position)
    }

    fn position(&self, task_id: &str) -> Option<usize> {
        self.ids.position(task_id)
    }

    fn is_waiting(&self, position: usize) -> bool {
        self.index.is_waiting(position)
    }

    fn good_ids(&self) -> Vec<String> {
        let held = self.index.good(GOOD_IDS).into_iter();
        held.filter_map(|position| self.ids.get(position))
            .map(str::to_owned)
            .collect()
    }
}

/// Says that nothing more will come, when it goes.
struct ClosesIndex<'i>(&'i Index);

impl Drop for ClosesIndex<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the threads of a run share.
pub(super) struct Pipeline<'r> {
    pub(super) options: &'r ExportOptions,
    pub(super) network: &'r Network<'r>,
    pub(super) index: &'r Index,
    pub(super) staging: &'r Staging,
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
        mut space: SpaceWatch,
    ) -> Result<Done, ExportError> {
        let Self {
            options,
            network,
            index,
            staging,
        } = *self;
        let Network { events, stop, .. } = *network;
        let reader = journal.reader();
        let (halt_sender, halt) = watch::channel(false);
        let abandoned = AtomicBool::new(false);
        let recent = Recent::default();
        let in_flight = network.options.concurrency;
        let (fetched, stored, built) = thread::scope(|scope| -> Result<_, ExportError> {
            let (sink, arrived) = mpsc::channel(WAITING_RESPONSES);
            let store = spawn(scope, || {
                // However it ends: whoever waits for more would wait for ever.
                let _closes = ClosesIndex(index);
                store::run(
                    journal,
                    arrived,
                    in_flight,
                    index,
                    &recent,
                    |fetched, journal| {
                        space.look(fetched, journal.bytes());
                    },
                )
            })?;
            let build = spawn(scope, || {
                let is_over = || *stop.borrow() || abandoned.load(Ordering::Relaxed);
                // The rest need not be fetched for tables that cannot be written now.
                let give_up = || {
                    let _ = halt_sender.send(true);
                };
                let followed = Followed {
                    ids: &options.ids,
                    index,
                    reader,
                    recent: &recent,
                    drop_missing: options.guard.drop_missing,
                };
                let site = Site {
                    selection: options.selection(),
                    staging,
                    events,
                };
                let built = build::run(site, is_over, give_up, |feed| followed.feed(feed));
                if built.is_err() {
                    give_up();
                }
                built.map(|((), built)| built)
            })?;
            let wanted = Waiting {
                ids: &options.ids,
                index,
                count: wanted,
            };
            let fetched = block_on(stop, Some(halt), |stop| {
                fetch_all(
                    &wanted,
                    network.client,
                    network.options,
                    Arc::clone(network.check),
                    events,
                    sink,
                    stop,
                )
            });
            if !matches!(&fetched, Ok(stats) if !stats.stopped) {
                // Tables without the rest would not be published: they need not be built.
                abandoned.store(true, Ordering::Relaxed);
            }
            Ok((fetched, join(store), join(build)))
        })?;
        // Of several errors the one that caused the others is reported.
        let mut stored = stored?;
        if let Err(error) = &fetched
            && error.is_decision()
        {
            store::end_run(&mut stored.journal, index)?;
        }
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
}
