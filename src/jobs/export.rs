//! The export job.
//!
//! ```text
//! list (if lists are the source) ──► read the journal ──► fetch, store, build ──► guard ──► compact ──► publish
//! ```
//!
//! Fetching, storing and building run side by side ([`pipeline`](crate::jobs::pipeline)), and share the
//! [`index`](crate::jobs::journal_index), which says for each ID what the journal holds.

use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::error::Exit;
use crate::event::{Event, Events};
use crate::fetch::fetcher::FetchContext;
use crate::fetch::stats::FetchStats;
use crate::jobs::compaction::{Compaction, LiveRecords};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_contents::JournalContents;
use crate::jobs::journal_index::FetchPlan;
use crate::jobs::journal_writer::{StoredResults, end_run, start_refresh};
use crate::jobs::limits::{ExportSize, SpaceWatch};
use crate::jobs::list_tasks::{Listing, list_tasks};
use crate::jobs::pipeline::{Pipeline, PipelineResult};
use crate::jobs::publication::{NextExport, Publication, manifest_time, publish_counters};
use crate::jobs::publish_job::run_and_publish;
use crate::jobs::ranges::merge::BuiltTables;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::jobs::report::{
    ExportReport, FailureCounts, JobEnd, ListReport, SavedResponses, SavedWork,
};
use crate::jobs::resume::{Resumed, open_journal, repair_journal, report_directory, unchanged};
use crate::jobs::run_summary::{JobName, RunStart};
use crate::jobs::runtime::Network;
use crate::jobs::{last_run, run_hints};
use crate::journal::error::JournalError;
use crate::journal::saved_index::remove_index;
use crate::journal::writer::Journal;
use crate::pacer::types::LearnedRate;
use crate::publish::failure_lines::FailureLines;
use crate::publish::guard::ResponseSource;
use crate::publish::manifest::{Manifest, RunCounters};
use crate::publish::output_dir::OutputDirectory;
use crate::publish::staging::Staging;
use crate::state::list_checkpoint;
use crate::state::lock::LockWait;

/// Exports tasks: fetches what is missing, builds the tables and publishes them. Blocks until the export is published,
/// `cancel` is cancelled, or the job fails. It runs on this thread, on a few others, and on those that build tables. What was fetched is kept in any case; the same call continues from there.
///
/// # Errors
///
/// [`ExportError`] says what failed; [`Explain`](crate::error::Explain) adds a hint and the exit code of the command line.
pub fn export(
    options: &ExportOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<Box<ExportReport>>, ExportError> {
    let start = RunStart::now(JobName::Export, Some(&options.out));
    let ended = export_until(options, &start, events, cancel, || Exit::Interrupted);
    ended.end
}

/// How an export ended.
#[derive(Debug)]
pub(crate) struct ExportEnd {
    pub(crate) end: Result<JobEnd<Box<ExportReport>>, ExportError>,
    /// The failures that the run knew of; none where it ended before it read its state.
    pub(crate) failures: Option<FailureCounts>,
}

/// Like [`export`]. When the job is stopped, `last_run.json` has the exit code that `stopped` returns.
pub(crate) fn export_until(
    options: &ExportOptions,
    start: &RunStart,
    events: &Events,
    cancel: &CancellationToken,
    stopped: impl FnOnce() -> Exit,
) -> ExportEnd {
    let mut failures = None;
    let end = export_and_record(options, start, (events, cancel), stopped, &mut failures);
    ExportEnd { end, failures }
}

/// Exports, and writes `last_run.json`.
fn export_and_record(
    options: &ExportOptions,
    start: &RunStart,
    (events, cancel): (&Events, &CancellationToken),
    stopped: impl FnOnce() -> Exit,
    counts: &mut Option<FailureCounts>,
) -> Result<JobEnd<Box<ExportReport>>, ExportError> {
    // What can be wrong with the options is found before anything is written.
    let fetch_options = options.fetch_options(events)?;
    let client = TaskClient::new(&fetch_options.client)?;
    let (selection, wait) = (options.selection(), LockWait { events, cancel });
    let opened = OutputDirectory::open_after_readers(&options.out, selection, options.force, wait);
    if opened.is_err() && cancel.is_cancelled() {
        return Ok(JobEnd::Stopped(SavedWork::Nothing));
    }
    let directory = opened?;
    let body_check = options.body_check();
    let state = directory.state();
    let network = Network {
        context: FetchContext {
            client: &client,
            options: &fetch_options,
            body_check: &body_check,
            events,
        },
        cancel,
        state: Some(state),
    };
    let run = Run {
        directory: &directory,
        network: &network,
        started_at: start.started_at(),
    };
    let mut failures = FailureLines::default();
    let request = options.publish_request(network.context.options);
    let job = || run.export_behind_index(options, &mut failures);
    let end = match run_and_publish(request, &directory, (events, cancel), job) {
        Err(ExportError::Interrupted(saved)) => Ok(JobEnd::Stopped(saved)),
        end => end.map(|report| JobEnd::Done(Box::new(report))),
    };
    directory.remove_temporary_files();
    if end.as_ref().is_err_and(ExportError::is_decision) {
        // The run published nothing on purpose, so the next run reads its lists from the start.
        list_checkpoint::remove(&directory.state().list_checkpoint())?;
    }
    let failed = counts.insert(failures.by_kind);
    let summary = match &end {
        Ok(end) => {
            let exit = run_hints::exit_of(end, options.guard.tolerate, stopped());
            start.ended(end, Some(failed), exit)
        }
        Err(error) => start.failed(error, Some(failed)),
    };
    last_run::write(&directory, &summary, &failures.text, events);
    end
}

/// A run that has its output directory.
#[derive(Clone, Copy)]
struct Run<'r> {
    directory: &'r OutputDirectory,
    network: &'r Network<'r>,
    started_at: &'r str,
}

impl Run<'_> {
    /// Exports. If the index hides damage of the journal, exports again without it, which fetches what is lost.
    fn export_behind_index(
        self,
        options: &ExportOptions,
        failures: &mut FailureLines,
    ) -> Result<ExportReport, ExportError> {
        let error = match self.export(options, failures) {
            Err(ExportError::Journal(error @ JournalError::Record { .. })) => error,
            end => return end,
        };
        if !remove_index(&self.directory.state().journal()) {
            return Err(error.into());
        }
        let text = format!("{error}; reading the whole journal");
        self.network.context.events.send(Event::Warning(text));
        self.directory.remove_temporary_files();
        *failures = FailureLines::default();
        self.export(options, failures)
    }

    /// Lists the tasks if they come from lists, and exports them; `failures` becomes what `failures.jsonl` would have.
    fn export(
        self,
        options: &ExportOptions,
        failures: &mut FailureLines,
    ) -> Result<ExportReport, ExportError> {
        let Self {
            directory, network, ..
        } = self;
        report_directory(directory, network.context.events);
        let published = directory.manifest();
        let published = published.as_ref();
        options.refuse_other_shard(published)?;
        repair_journal(directory, published, network.context.events)?;
        if options.lists.is_empty() {
            let (journal, resumed) = open_journal(options, directory, published, network)?;
            let tasks = TaskExport {
                run: self,
                options,
                published,
                listed: ListingSummary::default(),
                resumed,
            };
            return tasks.export(journal, failures);
        }
        let Listing {
            ids,
            stats,
            learned,
            report,
            journal,
            scanned,
        } = list_tasks(options, network, directory, published)?;
        if network.cancel.is_cancelled() {
            let saved = SavedWork::Listed { tasks: ids.len() };
            return Err(ExportError::Interrupted(saved));
        }
        let with_ids = ExportOptions {
            ids,
            ..options.clone()
        };
        let tasks = TaskExport {
            run: self,
            options: &with_ids,
            published,
            listed: ListingSummary {
                stats,
                learned,
                report: Some(report),
            },
            resumed: scanned.resume(&with_ids.ids, directory, published),
        };
        tasks.export(journal, failures)
    }
}

/// What listing did before; nothing when the tasks come from a list of IDs.
#[derive(Default)]
struct ListingSummary {
    stats: FetchStats,
    /// What listing learned of the rate limit.
    learned: Option<LearnedRate>,
    report: Option<ListReport>,
}

/// The export of a list of IDs, with what the journal has for them.
struct TaskExport<'r> {
    run: Run<'r>,
    options: &'r ExportOptions,
    published: Option<&'r Manifest>,
    listed: ListingSummary,
    resumed: Resumed,
}

/// What fetching and building left.
struct BuiltExport {
    /// Of the whole run, listing included.
    stats: FetchStats,
    /// What the run learned of the rate limit.
    learned: Option<LearnedRate>,
    stored: StoredResults,
    built: BuiltTables,
}

impl TaskExport<'_> {
    /// Fetches, builds and publishes; `failures` becomes what `failures.jsonl` would have.
    fn export(
        &self,
        mut journal: Journal,
        failures: &mut FailureLines,
    ) -> Result<ExportReport, ExportError> {
        let work = self.resumed.contents.index.plan(self.options.refresh);
        if let Some(report) = self.skip_if_unchanged(&work)? {
            return Ok(report);
        }
        if work.starts_refresh {
            start_refresh(&mut journal)?;
        }
        let staging = self.run.directory.stage();
        let mut fetched = self.fetch(journal, &work, &staging, failures)?;
        self.check(&mut fetched)?;
        let compacted = self.compact(&fetched, &work, &staging)?;
        self.stop_if_cancelled(&work, &fetched.stats, fetched.learned)?;
        self.publish(fetched, compacted, staging)
    }

    /// Ends the run early if nothing is to be fetched and the same tables are published already.
    fn skip_if_unchanged(&self, work: &FetchPlan) -> Result<Option<ExportReport>, ExportError> {
        let Some(published) = self.published else {
            return Ok(None);
        };
        if work.wanted > 0 || self.has_to_compact() {
            return Ok(None);
        }
        let directory = self.run.directory;
        let index = &self.resumed.contents.index;
        let report = unchanged(self.options, directory, published, index);
        let Some(report) = report else {
            return Ok(None);
        };
        let stats = &self.listed.stats;
        if stats.requests > 0 {
            let run = RunCounters {
                journal_bytes: published.run.journal_bytes,
                ..self.counters(stats)
            };
            publish_counters(directory, published, run)?;
        }
        list_checkpoint::remove(&directory.state().list_checkpoint())?;
        Ok(Some(ExportReport {
            unlisted: self.not_listed(),
            requests: stats.requests,
            retries: stats.retries,
            rate_limited: stats.rate_limited,
            bytes_received: stats.bytes_received,
            lists: self.listed.report.clone(),
            ..report
        }))
    }

    /// Fetches what is missing and builds the tables meanwhile.
    fn fetch(
        &self,
        journal: Journal,
        work: &FetchPlan,
        staging: &Staging,
        failures: &mut FailureLines,
    ) -> Result<BuiltExport, ExportError> {
        let index = &self.resumed.contents.index;
        let ids = &self.options.ids;
        let events = self.run.network.context.events;
        let kept = ids.len() - work.wanted;
        events.send(Event::Planned {
            requested: ids.len(),
            kept,
            duplicates: usize::try_from(ids.duplicates()).unwrap_or(usize::MAX),
            listed: self.listed.report.is_some(),
            again: work.again,
        });
        let size = ExportSize {
            wanted: work.wanted,
            kept,
            kept_bytes: index.bytes(),
            journal_bytes: journal.bytes(),
        };
        let directory = self.run.directory.path();
        let format = self.options.format;
        let mut space = SpaceWatch::new(directory, size, format, self.published, events);
        space.check(0, journal.bytes());
        let pipeline = Pipeline {
            options: self.options,
            network: self.run.network,
            index,
            staging,
            saved: SavedTables::open(directory, self.options.selection(), events),
            learned: self.listed.learned,
        };
        let mut reader = journal.reader();
        let done = pipeline.run(journal, work.wanted, space);
        if !matches!(&done, Ok(PipelineResult { built: Some(_), .. })) {
            *failures = last_run::failure_lines(ids, index, &mut reader);
        }
        let PipelineResult {
            stats,
            learned,
            stored,
            built,
        } = done?;
        let stats = self.listed.stats.clone().and(&stats);
        let Some(built) = built else {
            return Err(ExportError::Interrupted(self.saved(work, &stats, learned)));
        };
        failures.clone_from(&built.flattened.failures.lines);
        self.stop_if_cancelled(work, &stats, learned)?;
        Ok(BuiltExport {
            stats,
            learned,
            stored,
            built,
        })
    }

    /// Refuses an export that must not be published. Then the run ends by decision.
    fn check(&self, fetched: &mut BuiltExport) -> Result<(), ExportError> {
        let next = NextExport {
            response_source: ResponseSource::Api,
            directory: self.run.directory.path(),
            published: self.published,
            ids: &self.options.ids,
            failures: &fetched.built.flattened.failures,
            exported: fetched.built.flattened.exported,
        };
        if let Err(refused) = next.check(&self.options.guard) {
            end_run(&mut fetched.stored.journal, &self.resumed.contents.index)?;
            return Err(refused.into());
        }
        Ok(())
    }

    /// Stages a new journal if the old one has too much that does not count.
    fn compact(
        &self,
        fetched: &BuiltExport,
        work: &FetchPlan,
        staging: &Staging,
    ) -> Result<Option<Journal>, ExportError> {
        let JournalContents {
            index,
            unlisted,
            refused,
            ..
        } = &self.resumed.contents;
        let compaction = Compaction {
            journal: &fetched.stored.journal,
            records: LiveRecords {
                ids: &self.options.ids,
                index,
                refused: &[refused.as_slice(), &fetched.stored.refused].concat(),
                unlisted: Some(unlisted).filter(|_| !self.options.prune),
            },
            is_required: self.has_to_compact(),
        };
        let (events, cancel) = (self.run.network.context.events, self.run.network.cancel);
        compaction
            .run(&self.options.journal_options(), staging, events, cancel)
            .map_err(|error| error.with_saved(self.saved(work, &fetched.stats, fetched.learned)))
    }

    /// Publishes the tables, with the new journal if there is one.
    fn publish(
        &self,
        fetched: BuiltExport,
        compacted: Option<Journal>,
        staging: Staging,
    ) -> Result<ExportReport, ExportError> {
        let BuiltExport {
            stats,
            learned,
            stored,
            built,
        } = fetched;
        let directory = self.run.directory;
        self.run
            .network
            .context
            .events
            .send(Event::Phase("publishing"));
        let with_journal = compacted.is_some();
        let journal = compacted.unwrap_or(stored.journal);
        let publication = Publication {
            ids: &self.options.ids,
            shard: self.options.shard.clone(),
            options: self.options.manifest_options(),
            duplicates: self.options.ids.duplicates(),
            run: RunCounters {
                journal_bytes: Some(journal.bytes()),
                ..self.counters(&stats)
            },
            with_journal,
        };
        let report = publication.publish(directory, staging, built)?;
        list_checkpoint::remove(&directory.state().list_checkpoint())?;
        let (pruned, unlisted) = if self.options.prune {
            (self.not_listed(), 0)
        } else {
            (0, self.not_listed())
        };
        Ok(ExportReport {
            reused: report.exported.saturating_sub(stats.fetched),
            unlisted,
            pruned,
            lists: self.listed.report.clone(),
            pages: stats.pages,
            from_lists: stats.from_lists,
            learned,
            ..report
        })
    }

    /// What the manifest says of the run, apart from the journal.
    fn counters(&self, stats: &FetchStats) -> RunCounters {
        RunCounters {
            started_at: self.run.started_at.to_owned(),
            finished_at: manifest_time(),
            requests: stats.requests,
            retries: stats.retries,
            rate_limited: stats.rate_limited,
            bytes_received: stats.bytes_received,
            journal_bytes: None,
        }
    }

    /// Tasks in the journal that are not in the list.
    fn not_listed(&self) -> u64 {
        self.resumed.contents.unlisted.ids.len() as u64
    }

    /// Whether the journal is rewritten whatever its size. Skipped damage must not stay for `verify` to find.
    fn has_to_compact(&self) -> bool {
        self.resumed.is_damaged || (self.options.prune && self.not_listed() > 0)
    }

    fn stop_if_cancelled(
        &self,
        work: &FetchPlan,
        stats: &FetchStats,
        learned: Option<LearnedRate>,
    ) -> Result<(), ExportError> {
        if self.run.network.cancel.is_cancelled() {
            return Err(ExportError::Interrupted(self.saved(work, stats, learned)));
        }
        Ok(())
    }

    /// What a stopped run saved.
    fn saved(
        &self,
        work: &FetchPlan,
        stats: &FetchStats,
        learned: Option<LearnedRate>,
    ) -> SavedWork {
        SavedWork::Fetched(SavedResponses {
            kept: self.resumed.contents.index.kept(),
            requested: self.options.ids.len(),
            wanted: work.wanted,
            again: work.again_with_response,
            fetched: stats.fetched,
            has_export: self.published.is_some(),
            requests: stats.requests,
            rate_limited: stats.rate_limited,
            learned,
        })
    }
}
