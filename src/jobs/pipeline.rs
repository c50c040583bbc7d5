//! Fetching, the journal and the tables side by side: the first on the caller's thread, the others on
//! their own. Depends on `fetch` and the files of this folder.

use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use crate::api::error::FetchError;
use crate::fetch::fetcher::{Wanted, fetch_all};
use crate::fetch::liveness::GOOD_IDS;
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_index::Index;
use crate::jobs::journal_writer::Stored;
use crate::jobs::limits::SpaceWatch;
use crate::jobs::ordered_reader::Followed;
use crate::jobs::response_cache::Recent;
use crate::jobs::runtime::{Network, block_on};
use crate::jobs::table_builder::{Built, Site, join, spawn};
use crate::jobs::{journal_writer, table_builder};
use crate::journal::writer::Journal;
use crate::publish::staging::Staging;

/// Responses that may wait for the journal; the network waits when there are more.
const WAITING_RESPONSES: usize = 64;

/// The IDs that the journal has nothing for.
#[derive(Debug)]
pub(crate) struct Waiting<'r> {
    pub(crate) ids: &'r TaskIds,
    pub(crate) index: &'r Index,
    pub(crate) count: usize,
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
pub(crate) struct Pipeline<'r> {
    pub(crate) options: &'r ExportOptions,
    pub(crate) network: &'r Network<'r>,
    pub(crate) index: &'r Index,
    pub(crate) staging: &'r Staging,
}

/// What they leave.
pub(crate) struct Done {
    pub(crate) stats: FetchStats,
    pub(crate) stored: Stored,
    /// Nothing when the run was stopped.
    pub(crate) built: Option<Built>,
}

impl Pipeline<'_> {
    /// Fetches, stores and builds side by side, until all is done or one of them cannot go on.
    pub(crate) fn run(
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
        let Network { events, cancel, .. } = *network;
        let reader = journal.reader();
        // Cancelled by the user, and when one part of the run cannot go on: the others need not finish then.
        let run = cancel.child_token();
        let recent = Recent::default();
        let in_flight = network.options.concurrency;
        let (fetched, stored, built) = thread::scope(|scope| -> Result<_, ExportError> {
            let (sink, arrived) = mpsc::channel(WAITING_RESPONSES);
            let store = spawn(scope, || {
                // However it ends: whoever waits for more would wait for ever.
                let _closes = ClosesIndex(index);
                journal_writer::run(
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
                let built = table_builder::run(site, &run, |feed| followed.feed(feed));
                built.map(|((), built)| built)
            })?;
            let wanted = Waiting {
                ids: &options.ids,
                index,
                count: wanted,
            };
            let fetched = block_on(fetch_all(
                &wanted,
                network.client,
                network.options,
                Arc::clone(network.check),
                events,
                sink,
                &run,
            ));
            if !matches!(&fetched, Ok(stats) if !stats.stopped) {
                // Tables without the rest would not be published: they need not be built.
                run.cancel();
            }
            Ok((fetched, join(store), join(build)))
        })?;
        // Of several errors the one that caused the others is reported.
        let mut stored = stored?;
        if let Err(error) = &fetched
            && error.is_decision()
        {
            journal_writer::end_run(&mut stored.journal, index)?;
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
