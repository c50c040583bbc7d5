//! The main job: the pipeline put together.
//!
//! ```text
//! resume ──► fetch ──► store (journal) ──► build (flatten, tables) ──► compact ──► publish
//! ```
//!
//! Fetching runs on the caller's thread, the journal and the tables each on one of their own. They
//! share the [`index`], which says for each ID what the journal holds.

mod build;
mod compact;
mod error;
mod flatten;
mod found;
mod import;
mod index;
mod publish;
mod resources;
mod resume;
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
use crate::output::{Format, ManifestOptions, OutputDirectory, RunCounters, Staging};
use compact::Live;
use publish::{Publication, Target, now, publish};
use resources::{SpaceWatch, fit_concurrency};
use resume::{Resumed, journal_options, open_journal, tell_recovered, unchanged};
use store::Stored;

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
    /// Drop raw responses of IDs that are not in the list.
    pub prune: bool,
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
    /// Where the responses come from, as it is kept and shown.
    fn base_url(&self) -> String {
        self.base_url_label
            .clone()
            .unwrap_or_else(|| self.fetch.base_url.clone())
    }

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

/// Open files that a request takes; with a sandbox in the process, both ends of the connection are ours, and
/// one of them twice.
const FILES_A_REQUEST: u64 = 1;
const FILES_A_SANDBOXED_REQUEST: u64 = 3;

/// Runs the whole job on this thread and two more, until it is published, stopped or has failed.
pub fn export(
    options: &ExportOptions,
    check: &Arc<dyn crate::fetch::CheckBody>,
    events: &Events,
    stop: &watch::Receiver<bool>,
) -> Result<Ended, ExportError> {
    let started_at = now();
    // What can be wrong with the options is found before anything is written.
    let fetch_options = fitting(options, events);
    let client = TaskClient::new(&fetch_options)?;
    let directory = OutputDirectory::open(&options.out, options.force, &options.welcome)?;
    tell_recovered(&directory, events);
    let published = directory.manifest();
    let Resumed {
        journal,
        index,
        unlisted,
        is_damaged,
    } = open_journal(options, &directory, published.as_ref(), events)?;
    let wanted = index.plan(options.refresh);
    let must_prune = options.prune && !unlisted.ids.is_empty();
    // Damage that was passed over must not stay for `verify` to find.
    let must_compact = must_prune || is_damaged;
    if wanted == 0
        && !must_compact
        && let Some(published) = &published
        && let Some(report) = unchanged(options, &directory, published, &index)
    {
        return Ok(Ended::Published(report));
    }
    let held = options.ids.len() - wanted;
    events.send(Event::Planned {
        requested: options.ids.len(),
        held,
        duplicates: usize::try_from(options.ids.duplicates()).unwrap_or(usize::MAX),
    });
    let mut space = SpaceWatch::new(
        directory.path(),
        (wanted, held),
        index.bytes(),
        journal.bytes(),
        options.format,
        published.as_ref(),
        events,
    );
    space.look(0, journal.bytes());

    let staging = Staging::begin(&directory);
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
            let stored = store::run(journal, arrived, &index, |fetched, journal| {
                space.look(fetched, journal.bytes());
            });
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
        let fetched = fetch(&fetch_options, wanted, &client, check, events, stops, sink);
        if !matches!(&fetched, Ok(stats) if !stats.stopped) {
            // Tables without the rest would not be published: they need not be built.
            abandoned.store(true, Ordering::Relaxed);
        }
        (fetched, join(store), join(build))
    });
    let Stored { journal, refused } = stored?;
    let stats = match (fetched, built.as_ref()) {
        (Err(ExportError::Fetch(crate::fetch::FetchError::SinkClosed { .. })), Err(_)) => {
            FetchStats::default()
        }
        (fetched, _) => fetched?,
    };
    let stopped = || {
        Ok(Ended::Stopped {
            held: index.held(),
            requested: options.ids.len(),
        })
    };
    let is_over = || *stop.borrow();
    let Some(built) = built?.filter(|_| !is_over()) else {
        return stopped();
    };
    let live = Live {
        ids: &options.ids,
        index: &index,
        refused: &refused,
        unlisted: Some(&unlisted).filter(|_| !options.prune),
    };
    let compacted = live.compact(
        &journal,
        &journal_options(options),
        &staging,
        must_compact,
        events,
        is_over,
    )?;
    if is_over() {
        return stopped();
    }
    events.send(Event::Phase("publishing"));
    let is_compacted = compacted.is_some();
    let publication = Publication {
        target: options.target(),
        options: manifest_options(options),
        duplicates: options.ids.duplicates(),
        run: RunCounters {
            started_at,
            finished_at: now(),
            requests: stats.requests,
            retries: stats.retries,
            rate_limited: stats.rate_limited,
            bytes_received: stats.bytes_received,
            journal_bytes: Some(compacted.unwrap_or(journal).bytes()),
        },
        with_journal: is_compacted,
    };
    let report = publish(publication, &directory, staging, built)?;
    let not_listed = unlisted.ids.len() as u64;
    let (pruned, unlisted) = if must_prune {
        (not_listed, 0)
    } else {
        (0, not_listed)
    };
    Ok(Ended::Published(ExportReport {
        reused: report.exported.saturating_sub(stats.fetched),
        unlisted,
        pruned,
        ..report
    }))
}

/// The options of the network side, with no more requests in flight than there can be open files.
fn fitting(options: &ExportOptions, events: &Events) -> FetchOptions {
    let files_a_request = if options.base_url_label.is_some() {
        FILES_A_SANDBOXED_REQUEST
    } else {
        FILES_A_REQUEST
    };
    FetchOptions {
        concurrency: fit_concurrency(options.fetch.concurrency, files_a_request, events),
        ..options.fetch.clone()
    }
}

fn manifest_options(options: &ExportOptions) -> ManifestOptions {
    ManifestOptions {
        base_url: options.base_url(),
        expand: options.fetch.expand.clone(),
        opts: options.fetch.opts.clone(),
        format: options.format,
        tables: options.tables.clone(),
        keep_secrets: options.keep_secrets,
    }
}

/// Fetches on this thread; stops when the user or the tables' side says so.
fn fetch(
    options: &FetchOptions,
    wanted: Wanted<impl Iterator<Item = (usize, String)>>,
    client: &TaskClient,
    check: &Arc<dyn crate::fetch::CheckBody>,
    events: &Events,
    (mut stop, mut halt): (watch::Receiver<bool>, watch::Receiver<bool>),
    sink: mpsc::Sender<crate::fetch::Delivery>,
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
            stats = fetch_all(wanted, client, options, Arc::clone(check), events, sink, merged) => stats,
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
