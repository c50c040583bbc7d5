//! Imports raw responses into a new journal: from the journals of other exports, and from files of JSON lines, plain or
//! compressed.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::import::import_batch::BatchChecker;
use crate::jobs::import::journal_appender::{WAITING_BATCHES, append_all};
use crate::jobs::import::journal_source::is_export;
use crate::jobs::import::ordered_workers::{OrderedWorkers, queue};
use crate::jobs::import::shared_import::{Feed, ListCloser, ReadEnd, SharedImport};
use crate::jobs::import::source_reader::SourceReader;
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::ranges::build::{BuildTokens, build_tables};
use crate::jobs::ranges::merge::BuiltTables;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{SourceIds, TaskSource};
use crate::jobs::response_cache::{CacheEnd, ResponseCache};
use crate::jobs::threads::{join, spawn};
use crate::journal::writer::Journal;

/// An import into a journal.
pub(crate) struct Import<'i> {
    pub(crate) journal: Journal,
    /// Exports, and files of tasks.
    pub(crate) sources: &'i [PathBuf],
    pub(crate) keep_secrets: bool,
    /// Threads that check tasks, and encode them for the journal and the tables.
    pub(crate) threads: usize,
    pub(crate) events: &'i Events,
}

/// The result of an import.
pub(crate) struct Imported {
    pub(crate) journal: Journal,
    pub(crate) tasks: JournalTasks,
    /// The tasks in the order of the sources, where exports among them have lists; `None` when the order is that of
    /// `tasks`.
    pub(crate) order: Option<TaskIds>,
    /// How often a task came again.
    pub(crate) duplicates: u64,
    /// Lines that are not valid tasks.
    pub(crate) unreadable: u64,
}

/// What the reading thread leaves.
struct ReadTasks {
    journal: Journal,
    order: Option<TaskIds>,
    duplicates: u64,
    unreadable: u64,
}

/// Of so many threads, one checks tasks and the others build tables, which is about as much work.
const CHECKING_PART: usize = 2;

impl ReadTasks {
    /// What was imported, when all threads have ended.
    fn imported(self, shared: SharedImport) -> Imported {
        Imported {
            journal: self.journal,
            tasks: JournalTasks::new(shared.ids.into_ids(), shared.index.into_journal()),
            order: self.order,
            duplicates: self.duplicates,
            unreadable: self.unreadable,
        }
    }
}

impl Import<'_> {
    /// Imports all sources into the journal, which a second thread writes, and syncs it. `run` is cancelled when the
    /// journal cannot be written.
    pub(crate) fn run(self, run: &CancellationToken) -> Result<Imported, ExportError> {
        let shared = SharedImport::new();
        let checkers = self.threads;
        let read = self.read(&shared, checkers, None, run)?;
        Ok(read.imported(shared))
    }

    /// Like [`run`](Self::run), and builds the tables at the same time. There are no tables if a task came twice, or if the
    /// run was cancelled. The import ends early when the tables cannot be built.
    pub(crate) fn run_and_build(
        self,
        target: TableTarget<'_>,
        run: &CancellationToken,
    ) -> Result<(Imported, Option<BuiltTables>), ExportError> {
        let shared = SharedImport::new();
        let build = run.child_token();
        let checkers = (self.threads / CHECKING_PART).max(1);
        let workers = self.threads.saturating_sub(checkers).max(1);
        let target = TableTarget { workers, ..target };
        let cache = if workers == 1 {
            // A single worker must not fall behind: reading responses back takes longer than waiting for it.
            ResponseCache::in_order()
        } else {
            ResponseCache::default()
        };
        let feed = Feed {
            cache: &cache,
            build: &build,
        };
        let reader = self.journal.reader();
        let (read, tables) = thread::scope(|scope| {
            let builder = spawn(scope, || {
                let source = TaskSource {
                    ids: SourceIds::Growing(&shared.ids),
                    ranges: &shared.ranges,
                    index: &shared.index,
                    cache: &cache,
                    drop_missing: false,
                };
                let tokens = BuildTokens { run, build: &build };
                let _end = CacheEnd(&cache);
                build_tables(target, source, &reader, tokens)
            })?;
            let read = {
                // Without a thread for the journal, nothing is read.
                let _closer = ListCloser(&shared);
                let _end = ReadEnd {
                    shared: &shared,
                    feed: Some(feed),
                };
                self.read(&shared, checkers, Some(feed), run)
            };
            Ok::<_, ExportError>((read, join(builder)))
        })?;
        // An error of the tables has cancelled the import.
        let tables = tables?;
        Ok((read?.imported(shared), tables))
    }

    fn read(
        self,
        shared: &SharedImport,
        checkers: usize,
        feed: Option<Feed<'_>>,
        run: &CancellationToken,
    ) -> Result<ReadTasks, ExportError> {
        let journal = self.journal;
        let (end, batches) = queue();
        let (keep_secrets, keep_nodes) = (self.keep_secrets, feed.is_some());
        let checker = || {
            let mut checker = BatchChecker::new(keep_secrets, keep_nodes);
            move |batch| checker.check(batch)
        };
        thread::scope(|scope| {
            let workers = OrderedWorkers::start(scope, (end, &batches), checkers, &checker)?;
            let (appends, records) = sync_channel(WAITING_BATCHES);
            let appender = spawn(scope, move || {
                let _closer = ListCloser(shared);
                append_all(journal, &records, &shared.index).inspect_err(|_| run.cancel())
            })?;
            let mut reading = SourceReader {
                workers,
                appends,
                shared,
                run,
                events: self.events,
                has_response: Vec::new(),
                order: (self.sources.iter().any(|source| is_export(source))).then(TaskIds::default),
                feed,
                duplicates: 0,
                unreadable: 0,
            };
            let read = {
                let _end = ReadEnd { shared, feed };
                reading.all(self.sources)
            };
            let SourceReader {
                workers,
                appends,
                order,
                duplicates,
                unreadable,
                ..
            } = reading;
            drop(appends);
            workers.end();
            // Of two errors, the one that caused the other is reported.
            let journal = join(appender)?;
            read?;
            Ok(ReadTasks {
                journal,
                order,
                duplicates,
                unreadable,
            })
        })
    }
}
