//! The flatten job: rebuilds tables from raw responses, without key or requests to the API. The tables have the same bytes as those
//! of an export of the same responses and IDs.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::encode::format::{Format, Selection};
use crate::event::{AgainCounts, Event, Events};
use crate::ids::shard::ShardPlace;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::import::import_job::{Import, Imported};
use crate::jobs::import::journal_source::{ReadJournal, is_export, list_of, read_journal};
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::publication::{Publication, manifest_time};
use crate::jobs::publish_job::run_and_publish;
use crate::jobs::publish_targets::{PublishRequest, PublishTargets};
use crate::jobs::ranges::build::{BuildTokens, build_tables};
use crate::jobs::ranges::merge::BuiltTables;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{SourceIds, TaskSource, ranges_of};
use crate::jobs::report::{ExportReport, JobEnd, SavedWork};
use crate::jobs::response_cache::ResponseCache;
use crate::jobs::resume::{repair_journal, report_directory};
use crate::jobs::shards::shard_binding::refuse_other_shard;
use crate::jobs::source_error::SourceError;
use crate::journal::format::JournalOptions;
use crate::journal::reader::JournalReader;
use crate::journal::writer::Journal;
use crate::publish::guard::{GuardOptions, ResponseSource};
use crate::publish::manifest::{Manifest, ManifestOptions, RunCounters};
use crate::publish::output_dir::{OutputDirectory, is_below};
use crate::state::lock::LockWait;
use crate::state::paths::{JOURNAL, StateDir};
use crate::tables::selection::TableSelection;

/// Replaces the base URL of responses from files.
const FILES: &str = "files";

/// What to flatten, and how.
#[derive(Debug)]
pub struct FlattenOptions {
    /// Directories of exports, and files with one task per line; `-` is standard input. Of several responses for one task
    /// the last counts.
    pub sources: Vec<PathBuf>,
    /// The tasks and their order; `None` for all tasks of the sources, in their order.
    pub ids: Option<TaskIds>,
    /// The output directory. It may be the only source.
    pub out: PathBuf,
    /// Additional targets of the publication.
    pub targets: PublishTargets,
    /// File format.
    pub format: Format,
    /// Tables to write.
    pub tables: TableSelection,
    /// Threads that build tables. The tables do not depend on their number.
    pub threads: usize,
    /// Whether files that scale-export did not create are overwritten.
    pub force: bool,
    /// Whether live credentials in responses from files are kept.
    pub keep_secrets: bool,
    /// What the tables must be like to be published. If an export among the sources dropped missing tasks, so does this
    /// job.
    pub guard: GuardOptions,
}

impl FlattenOptions {
    fn selection(&self) -> Selection {
        Selection {
            format: self.format,
            tables: self.tables,
        }
    }
}

/// The sources, read into a journal.
struct ReadSources {
    tasks: JournalTasks,
    /// The tasks that are exported, in this order. `None` for all tasks in their own order.
    list: Option<TaskIds>,
    reader: JournalReader,
    /// The tables, if they have been built meanwhile.
    built: Option<BuiltTables>,
    facts: SourceFacts,
}

/// What the manifest and the report say of the sources.
struct SourceFacts {
    options: JournalOptions,
    /// Whether there is a staged journal, which is not the directory's own yet.
    has_new_journal: bool,
    journal_bytes: u64,
    duplicates: u64,
    unreadable: u64,
}

/// Runs the whole job.
pub fn flatten(
    options: &FlattenOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<Box<ExportReport>>, ExportError> {
    let started_at = manifest_time();
    for source in &options.sources {
        refuse_source(source, &options.out)?;
    }
    let (selection, wait) = (options.selection(), LockWait { events, cancel });
    let opened = OutputDirectory::open_after_readers(&options.out, selection, options.force, wait);
    if opened.is_err() && cancel.is_cancelled() {
        return Ok(JobEnd::Stopped(SavedWork::Nothing));
    }
    let directory = opened?;
    let request = PublishRequest {
        targets: &options.targets,
        out: &options.out,
        selection,
        force: options.force,
        max_shrink: options.guard.max_shrink,
        shard: shard_of(options).map(|place| place.shard),
        responses: ResponseSource::Journal,
        fetch: None,
    };
    let flattened = run_and_publish(request, &directory, (events, cancel), || {
        flatten_into(&directory, options, started_at, events, cancel)
    });
    directory.remove_temporary_files();
    match flattened {
        Ok(report) => Ok(JobEnd::Done(Box::new(report))),
        Err(ExportError::Interrupted(saved)) => Ok(JobEnd::Stopped(saved)),
        Err(error) => Err(error),
    }
}

/// The job, in its output directory.
fn flatten_into(
    directory: &OutputDirectory,
    options: &FlattenOptions,
    started_at: String,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ExportReport, ExportError> {
    let guard_options = GuardOptions {
        drop_missing: options.guard.drop_missing
            || options.sources.iter().any(|source| drops_missing(source)),
        ..options.guard
    };
    let selection = options.selection();
    report_directory(directory, events);
    let shard = shard_of(options);
    refuse_other_shard(&options.out, directory.manifest().as_ref(), shard.as_ref())?;
    let staging = directory.stage();
    let target = TableTarget {
        selection,
        staging: &staging,
        events,
        workers: options.threads,
        saved: None,
    };
    events.send(Event::Phase("reading raw responses"));
    let sources = if is_in_place(options) {
        repair_journal(directory, directory.manifest().as_ref(), events)?;
        in_place(directory, options.ids.clone(), events, cancel)?
    } else {
        import(options, directory, target, cancel)?
    };
    let saved = SavedTables::open(directory.path(), selection, events);
    let target = TableTarget {
        saved: saved.as_ref(),
        ..target
    };
    let (tables, facts) = sources.build(options, &guard_options, target, cancel)?;
    let TasksWithTables { ids, built } = tables;
    stop_if_cancelled(cancel)?;
    let unreadable = facts.unreadable;
    let publication = Publication {
        ids: &ids,
        shard,
        duplicates: duplicates(options).unwrap_or(facts.duplicates),
        run: counters(started_at, facts.journal_bytes),
        with_journal: facts.has_new_journal,
        options: manifest_options(options, facts.options, guard_options.drop_missing),
    };
    let place = (directory, staging);
    let report = publication.publish_offline(place, built, &guard_options, events)?;
    Ok(ExportReport {
        unreadable,
        ..report
    })
}

fn stop_if_cancelled(cancel: &CancellationToken) -> Result<(), ExportError> {
    if cancel.is_cancelled() {
        return Err(ExportError::Interrupted(SavedWork::Nothing));
    }
    Ok(())
}

/// The tables, and the tasks in them.
struct TasksWithTables {
    ids: TaskIds,
    built: BuiltTables,
}

impl ReadSources {
    /// Builds the tables, unless they have been built while the sources were read.
    fn build(
        self,
        options: &FlattenOptions,
        guard_options: &GuardOptions,
        target: TableTarget<'_>,
        cancel: &CancellationToken,
    ) -> Result<(TasksWithTables, SourceFacts), ExportError> {
        // From here on only what the tables need stays in memory.
        let (ids, index) = match self.list {
            Some(list) => {
                let index = self.tasks.index(&list);
                (list, index)
            }
            None => self.tasks.into_index(),
        };
        stop_if_cancelled(cancel)?;
        // The export of an empty list has no tasks, and is valid all the same.
        if ids.is_empty() && !has_list(options) {
            return Err(ExportError::NoTasks);
        }
        target.events.send(Event::Planned {
            requested: ids.len(),
            kept: 0,
            duplicates: 0,
            listed: false,
            again: AgainCounts::default(),
        });
        let built = if let Some(built) = self.built {
            built
        } else {
            target.events.send(Event::Phase("building tables"));
            let source = TaskSource {
                ids: SourceIds::Complete(&ids),
                ranges: &ranges_of(&ids),
                index: &index,
                cache: &ResponseCache::default(),
                drop_missing: guard_options.drop_missing,
            };
            let run = cancel.child_token();
            let tokens = BuildTokens::of_run(&run);
            let built = build_tables(target, source, &self.reader, tokens)?;
            built.ok_or(ExportError::Interrupted(SavedWork::Nothing))?
        };
        Ok((TasksWithTables { ids, built }, self.facts))
    }
}

/// The counters of a run that requests nothing.
fn counters(started_at: String, journal_bytes: u64) -> RunCounters {
    RunCounters {
        started_at,
        finished_at: manifest_time(),
        requests: 0,
        retries: 0,
        rate_limited: 0,
        bytes_received: 0,
        journal_bytes: Some(journal_bytes),
    }
}

fn manifest_options(
    options: &FlattenOptions,
    sources: JournalOptions,
    drop_missing: bool,
) -> ManifestOptions {
    ManifestOptions {
        base_url: sources.base_url,
        expand: sources.expand,
        opts: sources.opts,
        format: options.format,
        tables: options.tables.names(),
        keep_secrets: sources.keep_secrets,
        drop_missing,
        lists: Vec::new(),
    }
}

/// Whether a list of IDs, given or of a source, says which tasks are exported.
fn has_list(options: &FlattenOptions) -> bool {
    let mut exports = options.sources.iter().filter(|source| is_export(source));
    options.ids.is_some() || exports.any(|export| StateDir::of_output(export).ids().exists())
}

/// Refuses an invalid source, before anything is written.
fn refuse_source(source: &Path, out: &Path) -> Result<(), ExportError> {
    let wrong = |cause| {
        Err(ExportError::Source {
            name: source.display().to_string(),
            cause,
        })
    };
    if source.as_os_str() == "-" {
        return Ok(());
    }
    if !source.exists() {
        return wrong(SourceError::Missing);
    }
    if !is_export(source) {
        return Ok(());
    }
    if !JournalReader::is_there(&StateDir::of_output(source).journal())? {
        return wrong(SourceError::NoJournal);
    }
    if is_below(out, source) {
        return wrong(SourceError::HoldsOutput);
    }
    Ok(())
}

/// Whether the output is the only source.
fn is_in_place(options: &FlattenOptions) -> bool {
    let same = |source: &PathBuf| match (source.canonicalize(), options.out.canonicalize()) {
        (Ok(source), Ok(out)) => source == out,
        _ => false,
    };
    matches!(options.sources.as_slice(), [source] if same(source))
}

/// Reads the journal of the output directory, which stays unchanged. `ids` replaces the list of the export.
fn in_place(
    directory: &OutputDirectory,
    ids: Option<TaskIds>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ReadSources, ExportError> {
    let list = match ids {
        Some(ids) => Some(ids),
        None => list_of(directory.path(), events)?,
    };
    let ReadJournal {
        tasks,
        reader,
        options,
        damaged,
        bytes: journal_bytes,
    } = read_journal(directory.path(), list, events, cancel)?;
    Ok(ReadSources {
        tasks,
        list: None,
        reader,
        built: None,
        facts: SourceFacts {
            options,
            has_new_journal: false,
            journal_bytes,
            duplicates: 0,
            unreadable: damaged,
        },
    })
}

/// Imports all sources into a new journal. Builds the tables at the same time if tasks arrive in the order of the tables
/// and none comes twice.
fn import(
    options: &FlattenOptions,
    directory: &OutputDirectory,
    target: TableTarget<'_>,
    cancel: &CancellationToken,
) -> Result<ReadSources, ExportError> {
    refuse_fetched(directory)?;
    let journal_options = copied_options(options)?;
    let journal = Journal::create(target.staging.place(JOURNAL), &journal_options)?;
    // An export has a list with its own order.
    let is_in_order =
        options.ids.is_none() && !options.sources.iter().any(|source| is_export(source));
    let import = Import {
        journal,
        sources: &options.sources,
        keep_secrets: options.keep_secrets,
        threads: options.threads.max(1),
        events: target.events,
    };
    let run = cancel.child_token();
    let (imported, built) = if is_in_order {
        import.run_and_build(target, &run)?
    } else {
        (import.run(&run)?, None)
    };
    let Imported {
        journal,
        tasks,
        order,
        duplicates,
        unreadable,
    } = imported;
    Ok(ReadSources {
        tasks,
        // The order of the sources is not always the order in which their records came.
        list: options.ids.clone().or(order),
        reader: journal.reader(),
        built,
        facts: SourceFacts {
            options: journal_options,
            has_new_journal: true,
            journal_bytes: journal.bytes(),
            duplicates,
            unreadable,
        },
    })
}

/// The options of a journal of copies: those of a single source, or the base URL of files.
fn copied_options(options: &FlattenOptions) -> Result<JournalOptions, ExportError> {
    let mut copied = JournalOptions {
        base_url: FILES.to_owned(),
        expand: Vec::new(),
        opts: Vec::new(),
        keep_secrets: options.keep_secrets,
        copied: true,
    };
    for source in options.sources.iter().filter(|source| is_export(source)) {
        let theirs = JournalReader::options(&StateDir::of_output(source).journal())?;
        copied.keep_secrets |= theirs.keep_secrets;
        if options.sources.len() == 1 {
            copied = JournalOptions {
                copied: true,
                ..theirs
            };
        }
    }
    Ok(copied)
}

/// Refuses to replace responses that were fetched into the output directory.
pub(crate) fn refuse_fetched(directory: &OutputDirectory) -> Result<(), ExportError> {
    let journal = directory.state().journal();
    if !JournalReader::is_there(&journal)? {
        return Ok(());
    }
    let mut records = 0_u64;
    let (_, options, _) = JournalReader::open(&journal, None, |_| {
        records += 1;
        ControlFlow::Continue(())
    })?;
    if records > 0 && !options.copied {
        return Err(ExportError::Fetched {
            out: directory.path().to_owned(),
        });
    }
    Ok(())
}

/// Whether a source is an export with `--drop-missing`.
fn drops_missing(source: &Path) -> bool {
    let manifest = is_export(source)
        .then(|| Manifest::read(source).ok())
        .flatten();
    let manifest = manifest.flatten().and_then(Result::ok);
    manifest.is_some_and(|manifest| manifest.options.drop_missing)
}

/// How often an ID is repeated in the list of IDs: the given one, or that of the only source.
fn duplicates(options: &FlattenOptions) -> Option<u64> {
    if let Some(ids) = &options.ids {
        return Some(ids.duplicates());
    }
    only_source(options).map(|manifest| manifest.ids.duplicates)
}

/// The shard that the tasks are, with the list of IDs of the only source.
fn shard_of(options: &FlattenOptions) -> Option<ShardPlace> {
    let has_its_list = options.ids.is_none();
    only_source(options).filter(|_| has_its_list)?.shard
}

/// The manifest of the only source, if that is an export.
fn only_source(options: &FlattenOptions) -> Option<Manifest> {
    match options.sources.as_slice() {
        [source] if is_export(source) => Manifest::read(source).ok()??.ok(),
        _ => None,
    }
}
