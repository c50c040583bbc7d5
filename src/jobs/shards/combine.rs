//! The combine job: merges the exports of shards into the export that one run over the whole list would have published.
//! Rows are copied from the tables of the shards; a range that cannot be copied is built from the raw responses.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::encode::format::Selection;
use crate::event::{AgainCounts, Event, Events};
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::journal_contents::JournalContents;
use crate::jobs::publication::Publication;
use crate::jobs::publish_job::run_and_publish;
use crate::jobs::publish_targets::{PublishRequest, PublishTargets};
use crate::jobs::published_digests::PublishedDigests;
use crate::jobs::ranges::build::{BuildTokens, TableBuild};
use crate::jobs::ranges::merge::BuiltTables;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{SourceIds, TaskSource, ranges_of};
use crate::jobs::reflatten::refuse_fetched;
use crate::jobs::report::{ExportReport, JobEnd, SavedWork};
use crate::jobs::response_cache::ResponseCache;
use crate::jobs::resume::report_directory;
use crate::jobs::shards::shard_error::ShardError;
use crate::jobs::shards::shard_set::{ShardExport, ShardSet};
use crate::journal::error::JournalError;
use crate::journal::reader::JournalReader;
use crate::journal::saved_index::remove_index;
use crate::journal::scan::break_if;
use crate::plural::plural;
use crate::publish::guard::{GuardOptions, ResponseSource};
use crate::publish::manifest::RunCounters;
use crate::publish::output_dir::{OutputDirectory, is_below};
use crate::state::lock::LockWait;
use crate::tables::row_key::RowKind;

/// What to combine, and how.
#[derive(Debug)]
pub struct CombineOptions {
    /// The directories of all shards, in any order. Format, tables and the other options are theirs.
    pub shards: Vec<PathBuf>,
    /// The output directory.
    pub out: PathBuf,
    /// Additional targets of the publication.
    pub targets: PublishTargets,
    /// Threads that copy tables. The result does not depend on their number.
    pub threads: usize,
    /// Whether files that scale-export did not create are overwritten.
    pub force: bool,
    /// What the export must be like to be published. Whether missing tasks are dropped is decided by the shards.
    pub guard: GuardOptions,
}

/// Combines shards. Blocks until the export is published.
///
/// # Errors
///
/// [`ExportError`], which is a [`ShardError`] when the shards do not fit together.
pub fn combine(
    options: &CombineOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<Box<ExportReport>>, ExportError> {
    for shard in &options.shards {
        refuse_out(shard, &options.out)?;
    }
    let shards = ShardSet::open(&options.shards)?;
    let selection = Selection {
        format: shards.options.format,
        tables: shards.options.table_selection(),
    };
    let wait = LockWait { events, cancel };
    let opened = OutputDirectory::open_after_readers(&options.out, selection, options.force, wait);
    if opened.is_err() && cancel.is_cancelled() {
        return Ok(JobEnd::Stopped(SavedWork::Nothing));
    }
    let directory = opened?;
    let job = Combination {
        directory: &directory,
        shards: &shards,
        selection,
        threads: options.threads,
        events,
        cancel,
    };
    let request = PublishRequest {
        targets: &options.targets,
        out: &options.out,
        selection,
        force: options.force,
        max_shrink: options.guard.max_shrink,
        shard: None,
        responses: ResponseSource::Journal,
        fetch: None,
    };
    let combined = run_and_publish(request, &directory, (events, cancel), || {
        job.run(&options.guard)
    });
    directory.remove_temporary_files();
    match combined {
        Ok(report) => Ok(JobEnd::Done(Box::new(report))),
        Err(ExportError::Interrupted(saved)) => Ok(JobEnd::Stopped(saved)),
        Err(error) => Err(error),
    }
}

/// Refuses to write into a shard.
fn refuse_out(shard: &Path, out: &Path) -> Result<(), ExportError> {
    let is_same = match (shard.canonicalize(), out.canonicalize()) {
        (Ok(shard), Ok(out)) => shard == out,
        _ => false,
    };
    if is_same || is_below(out, shard) {
        let out = out.to_owned();
        return Err(ShardError::OutIsShard { out }.into());
    }
    Ok(())
}

/// A job that has its output directory and the shards.
struct Combination<'c> {
    directory: &'c OutputDirectory,
    shards: &'c ShardSet,
    selection: Selection,
    threads: usize,
    events: &'c Events,
    cancel: &'c CancellationToken,
}

impl Combination<'_> {
    fn run(&self, guard: &GuardOptions) -> Result<ExportReport, ExportError> {
        let Self {
            directory, shards, ..
        } = *self;
        report_directory(directory, self.events);
        refuse_fetched(directory).map_err(|error| match error {
            ExportError::Fetched { out } => ShardError::OutHasResponses { out }.into(),
            error => error,
        })?;
        let guard = GuardOptions {
            drop_missing: shards.options.drop_missing,
            ..*guard
        };
        let ids = shards.ids()?;
        let staging = directory.stage();
        let target = TableTarget {
            selection: self.selection,
            staging: &staging,
            events: self.events,
            workers: self.threads,
            saved: None,
        };
        let built = self.build(&ids, target)?;
        self.stop_if_cancelled()?;
        let publication = Publication {
            ids: &ids,
            shard: None,
            duplicates: shards.duplicates,
            run: self.counters(),
            with_journal: false,
            options: shards.options.clone(),
        };
        let place = (directory, staging);
        let report = publication.publish_offline(place, built, &guard, self.events)?;
        // The manifest has the requests of the shards; this run has sent none.
        Ok(ExportReport {
            requests: 0,
            retries: 0,
            rate_limited: 0,
            bytes_received: 0,
            ..report
        })
    }

    fn stop_if_cancelled(&self) -> Result<(), ExportError> {
        if self.cancel.is_cancelled() {
            return Err(ExportError::Interrupted(SavedWork::Nothing));
        }
        Ok(())
    }

    /// Builds the tables from the shards, one after the other.
    fn build(&self, ids: &TaskIds, target: TableTarget<'_>) -> Result<BuiltTables, ExportError> {
        self.events.send(Event::Planned {
            requested: ids.len(),
            kept: 0,
            duplicates: 0,
            listed: false,
            again: AgainCounts::default(),
        });
        self.events.send(Event::Phase("building tables"));
        let mut tables = TableBuild::begin(target, SourceIds::Complete(ids))?;
        for shard in &self.shards.shards {
            self.add(&mut tables, shard, target)?;
        }
        let (ranges, copied) = tables.ranges();
        self.events.send(Event::Detail(format!(
            "copied {copied} of {} from the tables of the shards",
            plural(ranges as u64, "range")
        )));
        let built = tables.finish()?;
        self.compare_rows(&built)?;
        Ok(built)
    }

    /// Adds the tasks of a shard.
    fn add(
        &self,
        tables: &mut TableBuild<'_>,
        shard: &ShardExport,
        target: TableTarget<'_>,
    ) -> Result<(), ExportError> {
        let ids = shard.ids()?;
        let (contents, journal) = self.journal(shard, &ids)?;
        let saved = SavedTables::open(&shard.path, self.selection, self.events);
        let target = TableTarget {
            saved: saved.as_ref(),
            ..target
        };
        let source = TaskSource {
            ids: SourceIds::Complete(&ids),
            ranges: &ranges_of(&ids),
            index: &contents.index,
            cache: &ResponseCache::default(),
            drop_missing: self.shards.options.drop_missing,
        };
        let run = self.cancel.child_token();
        let before = tables.counts();
        let added = tables.add(target, source, &journal, BuildTokens::of_run(&run));
        let added = added.map_err(|error| match error {
            // The index hid it. Without the index, the next run of the shard finds it and fetches what is lost.
            ExportError::Journal(JournalError::Record { .. }) => {
                remove_index(&shard.state().journal());
                shard.unpublished("its raw responses are damaged").into()
            }
            error => error,
        });
        if !added? {
            return Err(ExportError::Interrupted(SavedWork::Nothing));
        }
        let after = tables.counts();
        let published = &shard.manifest.ids;
        let is_same = after.exported - before.exported == published.exported
            && after.failed - before.failed == published.failed
            && after.stale - before.stale == published.stale;
        if is_same {
            Ok(())
        } else {
            let cause = "it has other tasks than its manifest says";
            Err(shard.unpublished(cause).into())
        }
    }

    /// What the journal of a shard holds. Its tables must have been made from all of it.
    fn journal(
        &self,
        shard: &ShardExport,
        ids: &TaskIds,
    ) -> Result<(JournalContents, JournalReader), ExportError> {
        let path = shard.state().journal();
        let published_bytes = shard.manifest.run.journal_bytes;
        let digests = PublishedDigests::of(&shard.path, Some(&shard.manifest));
        let mut contents = JournalContents::new(ids, published_bytes, digests);
        let (reader, _, mut scan) = JournalReader::open_with_index(&path, |entry| {
            contents.add_record(ids, &entry);
            break_if(self.cancel.is_cancelled())
        })?;
        contents.finish_scan(ids, &mut scan);
        // What follows the published part is not part of the tables.
        let is_published = |offset: u64| published_bytes.is_some_and(|bytes| offset < bytes);
        let has_lost = scan.lost.iter().any(|lost| is_published(lost.offset));
        if scan.damaged > 0 || has_lost || is_published(scan.end) {
            // It did not hide this damage, and may be of another journal.
            remove_index(&path);
            return Err(shard.unpublished("its raw responses are damaged").into());
        }
        if !contents.index.is_all_published() {
            let cause = "its last run did not publish all responses that it has";
            return Err(shard.unpublished(cause).into());
        }
        contents.index.close();
        Ok((contents, reader))
    }

    /// The tables must have the rows that the shards published: a state that does not fit to them is damaged.
    fn compare_rows(&self, built: &BuiltTables) -> Result<(), ExportError> {
        let of_tasks = built.tables.iter();
        let of_tasks = of_tasks.filter(|written| written.table.row_kind != RowKind::Entity);
        for written in of_tasks {
            let published = self.shards.shards.iter().map(|shard| {
                let mut tables = shard.manifest.tables.iter();
                let table = tables.find(|(name, _)| name == written.table.name);
                table.map_or(0, |(_, table)| table.rows)
            });
            let published = published.fold(0, u64::saturating_add);
            if published != written.rows {
                return Err(ShardError::OtherRows {
                    table: written.table.name,
                    published,
                    found: written.rows,
                }
                .into());
            }
        }
        Ok(())
    }

    /// The counters of the runs of all shards, from the first start to the last end, and no bytes of a journal.
    fn counters(&self) -> RunCounters {
        let runs = || {
            let shards = self.shards.shards.iter();
            shards.map(|shard| &shard.manifest.run)
        };
        // Times in UTC with the same number of digits are in order as texts.
        let started_at = runs().map(|run| run.started_at.clone()).min();
        let finished_at = runs().map(|run| run.finished_at.clone()).max();
        let mut all = RunCounters {
            started_at: started_at.unwrap_or_default(),
            finished_at: finished_at.unwrap_or_default(),
            requests: 0,
            retries: 0,
            rate_limited: 0,
            bytes_received: 0,
            journal_bytes: None,
        };
        for run in runs() {
            all.requests = all.requests.saturating_add(run.requests);
            all.retries = all.retries.saturating_add(run.retries);
            all.rate_limited = all.rate_limited.saturating_add(run.rate_limited);
            all.bytes_received = all.bytes_received.saturating_add(run.bytes_received);
        }
        all
    }
}
