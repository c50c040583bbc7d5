//! Fetching, the journal and the tables side by side: the first on the caller's thread, the others on separate
//! threads.

use std::thread;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::error::FetchError;
use crate::fetch::fetcher::Fetcher;
use crate::fetch::liveness::GOOD_IDS;
use crate::fetch::stats::FetchStats;
use crate::fetch::task_result::FetchedTask;
use crate::fetch::wanted::WantedTasks;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::journal_writer;
use crate::jobs::journal_writer::{JournalWriter, StoredResults};
use crate::jobs::limits::SpaceWatch;
use crate::jobs::ranges::build::{BuildTokens, build_tables};
use crate::jobs::ranges::merge::BuiltTables;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{SourceIds, TaskSource, ranges_of};
use crate::jobs::response_cache::ResponseCache;
use crate::jobs::runtime::{Network, block_on};
use crate::jobs::threads::{join, spawn};
use crate::journal::reader::JournalReader;
use crate::journal::writer::Journal;
use crate::lists::list_prefetch::prefetch;
use crate::pacer::types::LearnedRate;
use crate::publish::staging::Staging;

/// Responses that may wait for the journal; the network waits when there are more.
const WAITING_RESPONSES: usize = 64;

/// Closes the index when the journal's thread ends, however it ends: a thread that waits for more would wait forever.
struct IndexCloser<'i>(&'i SharedIndex);

impl Drop for IndexCloser<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the threads of a run share.
pub(crate) struct Pipeline<'r> {
    pub(crate) options: &'r ExportOptions,
    pub(crate) network: &'r Network<'r>,
    pub(crate) index: &'r SharedIndex,
    pub(crate) staging: &'r Staging,
    /// The published tables, where ranges can be copied from them.
    pub(crate) saved: Option<SavedTables>,
    /// What this run has learned of the rate before, from lists.
    pub(crate) learned: Option<LearnedRate>,
}

/// What the threads leave.
pub(crate) struct PipelineResult {
    pub(crate) stats: FetchStats,
    /// What was learned of the rate, where that was to be learned.
    pub(crate) learned: Option<LearnedRate>,
    pub(crate) stored: StoredResults,
    /// `None` when the run was stopped.
    pub(crate) built: Option<BuiltTables>,
}

impl Pipeline<'_> {
    /// Fetches, stores and builds side by side, until all is done or one of them cannot go on.
    pub(crate) fn run(
        &self,
        journal: Journal,
        wanted: usize,
        mut space: SpaceWatch,
    ) -> Result<PipelineResult, ExportError> {
        let Self { network, index, .. } = *self;
        let reader = journal.reader();
        let fetcher = network.fetcher(self.learned, good_ids(&self.options.ids, index));
        // Cancelled by the user, and when one part of the run cannot go on: the others need not finish then.
        let run = network.cancel.child_token();
        let cache = ResponseCache::default();
        let in_flight = fetcher.concurrency();
        let (fetch_end, stored, built) = thread::scope(|scope| -> Result<_, ExportError> {
            let (sink, arrived) = mpsc::channel(WAITING_RESPONSES);
            let writer_thread = spawn(scope, || {
                let _closer = IndexCloser(index);
                let watch = |count, journal: &Journal| space.check(count, journal.bytes());
                let writer = JournalWriter {
                    index,
                    cache: &cache,
                    in_flight,
                };
                writer.run(journal, arrived, watch)
            })?;
            let builder_thread = spawn(scope, || self.build(&reader, &cache, &run))?;
            let fetch_end = block_on(self.fetch(&fetcher, wanted, sink), &run);
            if !matches!(&fetch_end, Ok(Some(()))) {
                // Tables without the rest would not be published: they need not be built.
                run.cancel();
            }
            Ok((fetch_end, join(writer_thread), join(builder_thread)))
        })?;
        let learned = network.remember(&fetcher);
        // Of several errors the one that caused the others is reported.
        let mut stored = stored?;
        if let Err(error) = &fetch_end
            && error.is_decision()
        {
            journal_writer::end_run(&mut stored.journal, index)?;
        }
        let stats = match (fetch_end, built.as_ref()) {
            (Err(ExportError::Fetch(FetchError::SinkClosed { .. })), Err(_)) => {
                FetchStats::default()
            }
            (fetch_end, _) => {
                fetch_end?;
                fetcher.stats()
            }
        };
        let built = built?;
        Ok(PipelineResult {
            stats,
            learned,
            stored,
            built,
        })
    }

    /// Fetches all tasks that wait: from lists where that takes fewer requests, then with single requests.
    async fn fetch(
        &self,
        fetcher: &Fetcher<'_>,
        count: usize,
        sink: mpsc::Sender<FetchedTask>,
    ) -> Result<(), FetchError> {
        let wanted = WantedTasks {
            ids: &self.options.ids,
            count,
            is_waiting: &|position| self.index.is_waiting(position),
        };
        prefetch(fetcher, self.options.list_plan(), &wanted, &sink).await?;
        fetcher.fetch_all(&wanted, &sink).await
    }

    /// Builds the tables from what the journal has, as it arrives.
    fn build(
        &self,
        reader: &JournalReader,
        cache: &ResponseCache,
        run: &CancellationToken,
    ) -> Result<Option<BuiltTables>, ExportError> {
        let ids = &self.options.ids;
        let source = TaskSource {
            ids: SourceIds::Complete(ids),
            ranges: &ranges_of(ids),
            index: self.index,
            cache,
            drop_missing: self.options.guard.drop_missing,
        };
        let target = TableTarget {
            selection: self.options.selection(),
            staging: self.staging,
            events: self.network.context.events,
            workers: self.options.threads,
            saved: self.saved.as_ref(),
        };
        build_tables(target, source, reader, BuildTokens::of_run(run))
    }
}

/// IDs whose tasks an earlier run received, the most likely to succeed first: they tell a server that is down, or a key
/// that is refused, from an ID that fails.
pub(crate) fn good_ids(ids: &TaskIds, index: &SharedIndex) -> Vec<String> {
    let good = index.good(GOOD_IDS).into_iter();
    good.filter_map(|position| ids.get(position))
        .map(str::to_owned)
        .collect()
}
