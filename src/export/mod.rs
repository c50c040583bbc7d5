//! The main job: the pipeline put together.
//!
//! ```text
//! fetch ──► store (journal) ──► build (flatten, tables) ──► publish
//! ```
//!
//! Fetching runs on the caller's thread, the journal and the tables each on one of their own. They
//! share the [`index`], which says for each ID what the journal holds.

mod build;
mod error;
mod flatten;
mod import;
mod index;
mod publish;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use error::ExportError;
pub use flatten::{FlattenOptions, flatten};
pub use publish::ExportReport;

use crate::event::{Event, Events};
use crate::fetch::{FetchOptions, FetchStats, TaskClient, Wanted, fetch_all};
use crate::ids::IdList;
use crate::journal::Journal;
use crate::journal::format::{Options as JournalOptions, RecordKind};
use crate::output::{Format, ManifestOptions, OutputDirectory, RunCounters, Staging};
use index::Index;
use publish::{Publication, Target, now, publish};

/// Responses that may wait for the journal; the network waits when there are more.
const WAITING_RESPONSES: usize = 64;

/// Which tasks of an earlier run are fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Those that were not in a final state, or failed.
    Pending,
    /// All.
    All,
    /// Only those that failed.
    None,
}

/// What to export, and how.
#[derive(Debug)]
pub struct ExportOptions {
    /// The tasks.
    pub ids: IdList,
    /// The output directory.
    pub out: PathBuf,
    /// File format.
    pub format: Format,
    /// Tables to write; all when empty.
    pub tables: Vec<String>,
    /// Which tasks are fetched again.
    pub refresh: Refresh,
    /// Write into a directory with foreign files.
    pub force: bool,
    /// Names in the output directory that are welcome there, though not of the export.
    pub welcome: Vec<String>,
    /// Keep live credentials inside of responses.
    pub keep_secrets: bool,
    /// Shown in the manifest and kept in the journal in place of the base URL that is asked, for a
    /// server whose port is another one each time.
    pub base_url_label: Option<String>,
    /// The network side.
    pub fetch: FetchOptions,
}

impl ExportOptions {
    fn target(&self) -> Target<'_> {
        Target {
            ids: &self.ids,
            format: self.format,
            tables: &self.tables,
        }
    }
}

/// How an export ended.
#[derive(Debug)]
pub enum Ended {
    /// Published.
    Published(ExportReport),
    /// Stopped by the user; what arrived is kept.
    Stopped {
        /// IDs whose response the journal holds.
        held: usize,
        /// Distinct IDs.
        requested: usize,
    },
}

/// Runs the whole job on this thread and two more, until it is published, stopped or has failed.
pub fn export(
    options: &ExportOptions,
    check: &Arc<dyn crate::fetch::CheckBody>,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<Ended, ExportError> {
    let started_at = now();
    // What can be wrong with the options is found before anything is written.
    let client = TaskClient::new(&options.fetch)?;
    let directory = OutputDirectory::open(&options.out, options.force, &options.welcome)?;
    let index = Arc::new(Index::new(options.ids.len()));
    let journal = open_journal(options, &directory, &index, events)?;
    let wanted = index.plan(options.refresh);
    events.send(Event::Planned {
        requested: options.ids.len(),
        held: options.ids.len() - wanted,
        duplicates: usize::try_from(options.ids.duplicates()).unwrap_or(usize::MAX),
    });

    let staging = Staging::begin(directory.path())?;
    let reader = journal.reader();
    let (halt_sender, halt) = watch::channel(false);
    let abandoned = AtomicBool::new(false);
    let good_id = index
        .any_held()
        .and_then(|position| options.ids.get(position))
        .map(str::to_owned);
    let target = options.target();
    let (fetched, journal, built) = thread::scope(|scope| {
        let (sink, arrived) = mpsc::channel(WAITING_RESPONSES);
        let store = scope.spawn(|| {
            let stored = store::run(journal, arrived, &index);
            index.close();
            stored
        });
        let build = scope.spawn(|| {
            let built = build::run(&target, &index, reader, &staging, events, || {
                *stop.borrow() || abandoned.load(Ordering::Relaxed)
            });
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
        let stops = (stop.clone(), halt);
        let fetched = fetch(options, wanted, &client, check, events, stops, sink);
        if !matches!(&fetched, Ok(stats) if !stats.stopped) {
            // Tables without the rest would not be published: they need not be built.
            abandoned.store(true, Ordering::Relaxed);
        }
        (fetched, join(store), join(build))
    });
    let mut journal = journal?;
    let stats = match (fetched, built.as_ref()) {
        (Err(ExportError::Fetch(crate::fetch::FetchError::SinkClosed { .. })), Err(_)) => {
            FetchStats::default()
        }
        (fetched, _) => fetched?,
    };
    let Some(built) = built?.filter(|_| !*stop.borrow()) else {
        return Ok(Ended::Stopped {
            held: index.held(),
            requested: options.ids.len(),
        });
    };
    events.send(Event::Phase("publishing"));
    let publication = Publication {
        target: options.target(),
        options: ManifestOptions {
            base_url: base_url(options),
            expand: options.fetch.expand.clone(),
            opts: options.fetch.opts.clone(),
            format: options.format,
            tables: options.tables.clone(),
            keep_secrets: options.keep_secrets,
        },
        duplicates: options.ids.duplicates(),
        run: RunCounters {
            started_at,
            finished_at: now(),
            requests: stats.requests,
            retries: stats.retries,
            rate_limited: stats.rate_limited,
            bytes_received: stats.bytes_received,
            journal_bytes: Some(journal.bytes()),
        },
    };
    let report = publish(publication, &directory, staging, built)?;
    let report = ExportReport {
        reused: report.exported.saturating_sub(stats.fetched),
        ..report
    };
    journal.append(&store::mark(RecordKind::Published));
    journal.sync()?;
    Ok(Ended::Published(report))
}

/// Opens the journal and shows its records to the index.
fn open_journal(
    options: &ExportOptions,
    directory: &OutputDirectory,
    index: &Index,
    events: &Events,
) -> Result<Journal, ExportError> {
    let journal_options = JournalOptions {
        base_url: base_url(options),
        expand: options.fetch.expand.clone(),
        opts: options.fetch.opts.clone(),
        keep_secrets: options.keep_secrets,
        copied: false,
    };
    let (journal, opened) = Journal::open(&directory.state(), &journal_options, |entry| {
        index.see(options.ids.position(entry.task_id), &entry);
    })?;
    if opened.damaged > 0 {
        events.send(Event::Warning(format!(
            "{} damaged places in the journal were passed over; what stood there is fetched again",
            opened.damaged
        )));
    }
    if opened.torn_bytes > 0 {
        events.send(Event::Detail(format!(
            "cut off {} bytes at the journal's end that an earlier run did not finish writing",
            opened.torn_bytes
        )));
    }
    Ok(journal)
}

fn base_url(options: &ExportOptions) -> String {
    options
        .base_url_label
        .clone()
        .unwrap_or_else(|| options.fetch.base_url.clone())
}

/// Fetches on this thread; stops when the user or the tables' side says so.
fn fetch(
    options: &ExportOptions,
    wanted: Wanted<impl Iterator<Item = (usize, String)>>,
    client: &TaskClient,
    check: &Arc<dyn crate::fetch::CheckBody>,
    events: &Events,
    (mut stop, mut halt): (watch::Receiver<bool>, watch::Receiver<bool>),
    sink: mpsc::Sender<crate::fetch::Fetched>,
) -> Result<FetchStats, ExportError> {
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
        tokio::select! {
            stats = fetch_all(wanted, client, &options.fetch, Arc::clone(check), events, sink, merged) => stats,
            () = merge => Ok(FetchStats::default()),
        }
    });
    // Connections that hang are not worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(stats?)
}

/// The result of a thread; a panic in it goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
