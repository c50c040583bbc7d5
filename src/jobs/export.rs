//! The main job: the pipeline put together.
//!
//! ```text
//! resume ──► fetch ──► store (journal) ──► follow ──► build (flatten, encode) ──► compact ──► publish
//! ```
//!
//! The first of these run side by side ([`pipeline`]), and share the [`index`], which says for each ID what
//! the journal holds.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::api::list_request::ListSource;
use crate::encode::table_writers::{Format, Selection};
use crate::event::{Event, Events};
use crate::fetch::options::{CheckBody, FetchOptions, Rate};
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::IdList;
use crate::jobs::compaction::Live;
use crate::jobs::error::ExportError;
use crate::jobs::journal_index::Work;
use crate::jobs::journal_writer::Stored;
use crate::jobs::limits::{SpaceWatch, fit_concurrency};
use crate::jobs::list_checkpoint::Listed;
use crate::jobs::pipeline::{Done, Pipeline};
use crate::jobs::publication::{ExportReport, ListReport, Publication, now, publish};
use crate::jobs::resume::{
    Resumed, journal_options, mend_journal, open_journal, report_directory, unchanged,
};
use crate::jobs::runtime::Network;
use crate::jobs::table_builder::Flattened;
use crate::jobs::{journal_writer, last_run, list_checkpoint, publication};
use crate::journal::error::JournalError;
use crate::lists::list_planner::Plan;
use crate::pacer::types::Learned;
use crate::publish::guard::{Candidate, GuardOptions, NotPublished, Origin};
use crate::publish::manifest::{Manifest, ManifestOptions, RunCounters};
use crate::publish::output_dir::OutputDirectory;
use crate::publish::staged_file::Staging;
use crate::publish::{guard, previous_export};
use crate::state::pace_memory;

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
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The tasks, unless they are listed.
    pub ids: IdList,
    /// Lists of the API that the tasks are taken from instead.
    pub lists: Vec<ListSource>,
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
    /// Overwrite files that scale-export did not create.
    pub force: bool,
    /// Keep live credentials inside of responses.
    pub keep_secrets: bool,
    /// What an export must be like to be published.
    pub guard: GuardOptions,
    /// Shown in the manifest and kept in the journal in place of the base URL that is asked, for a
    /// server whose port is another one each time.
    pub base_url_label: Option<String>,
    /// The network side.
    pub fetch: FetchOptions,
}

impl ExportOptions {
    /// Where the responses come from, as it is kept and shown.
    pub(super) fn base_url(&self) -> String {
        self.base_url_label
            .clone()
            .unwrap_or_else(|| self.fetch.base_url.clone())
    }

    pub(super) fn selection(&self) -> Selection<'_> {
        Selection {
            format: self.format,
            names: &self.tables,
        }
    }
}

/// What the journal holds of the tasks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// IDs whose response it holds.
    pub held: usize,
    /// Distinct IDs.
    pub requested: usize,
    /// Attempts that were sent.
    pub requests: u64,
    /// Of these, answered 429.
    pub rate_limited: u64,
    /// What was learned of the server's limit, where that was looked for.
    pub learned: Option<Learned>,
}

/// How an export ended.
#[derive(Debug)]
pub enum Ended {
    /// Published.
    Published(Box<ExportReport>),
    /// Stopped by the user; what arrived is kept.
    Stopped {
        /// What the journal holds, if that is known already.
        kept: Option<Kept>,
    },
    /// Stopped by the user while the tasks were listed; what was listed is kept.
    StoppedListing {
        /// Tasks that were listed.
        listed: usize,
    },
}

/// Open files that a request takes; with a sandbox in the process, both ends of the connection are ours, and
/// one of them twice.
const FILES_A_REQUEST: u64 = 1;
const FILES_A_SANDBOXED_REQUEST: u64 = 3;

/// Runs the whole job on this thread and two more, until it is published, stopped or has failed.
///
/// `summary` says how it ended, for `last_run.json`: that is written before another run may begin.
pub fn export(
    options: &ExportOptions,
    check: &Arc<dyn CheckBody>,
    events: &Events,
    cancel: &CancellationToken,
    summary: impl FnOnce(&Result<Ended, ExportError>) -> serde_json::Value,
) -> Result<Ended, ExportError> {
    let started_at = now();
    // What can be wrong with the options is found before anything is written.
    let fetch_options = fitting(options, events)?;
    let client = TaskClient::new(&fetch_options)?;
    let directory = OutputDirectory::open(&options.out, options.selection(), options.force)?;
    let network = Network {
        client: &client,
        options: &fetch_options,
        check,
        events,
        cancel,
        out: &options.out,
    };
    let mut failures = Vec::new();
    let run = Run {
        directory: &directory,
        network: &network,
        started_at: started_at.clone(),
    };
    let ended = run.work(options, &mut failures);
    if ended.as_ref().is_err_and(ExportError::is_decision) {
        // A list that led to nothing is read again: what it was then binds no later run.
        list_checkpoint::forget(&directory)?;
    }
    last_run::write(&directory, started_at, summary(&ended), &failures, events);
    ended
}

/// A run that has its directory.
struct Run<'r> {
    directory: &'r OutputDirectory,
    network: &'r Network<'r>,
    started_at: String,
}

impl Run<'_> {
    /// Lists, fetches, builds and publishes; `failures` becomes what `failures.jsonl` would have.
    fn work(self, options: &ExportOptions, failures: &mut Vec<u8>) -> Result<Ended, ExportError> {
        let Self {
            directory, network, ..
        } = self;
        let Network { events, cancel, .. } = *network;
        report_directory(directory, events);
        let published = directory.manifest();
        let published = published.as_ref();
        mend_journal(directory, published, events)?;
        if options.lists.is_empty() {
            return self.tasks(options, None, published, failures);
        }
        let listing = match list_checkpoint::list(options, network, directory, published)? {
            Listed::Whole(listing) => *listing,
            Listed::Stopped { tasks } => return Ok(Ended::StoppedListing { listed: tasks }),
        };
        if cancel.is_cancelled() {
            let listed = listing.ids.len();
            return Ok(Ended::StoppedListing { listed });
        }
        let with_ids = ExportOptions {
            ids: listing.ids,
            ..options.clone()
        };
        let listed = Some((listing.stats, listing.report));
        self.tasks(&with_ids, listed, published, failures)
    }

    /// The same for a list of IDs.
    fn tasks(
        self,
        options: &ExportOptions,
        listed: Option<(FetchStats, ListReport)>,
        published: Option<&Manifest>,
        failures: &mut Vec<u8>,
    ) -> Result<Ended, ExportError> {
        let Self {
            directory,
            network,
            started_at,
        } = self;
        let Network {
            client,
            events,
            cancel,
            ..
        } = *network;
        let is_over = || cancel.is_cancelled();
        let (listed, lists) = listed.map_or_else(
            || (FetchStats::default(), None),
            |(stats, report)| (stats, Some(report)),
        );
        let resumed = open_journal(options, directory, published, events, is_over);
        let Resumed {
            mut journal,
            index,
            unlisted,
            refused: refused_before,
            is_damaged,
        } = match resumed {
            Err(ExportError::Journal(JournalError::Interrupted { .. })) => {
                let listed = options.ids.len();
                return Ok(match lists {
                    Some(_) => Ended::StoppedListing { listed },
                    None => Ended::Stopped { kept: None },
                });
            }
            resumed => resumed?,
        };
        let Work {
            wanted,
            again,
            begins_refresh,
        } = index.plan(options.refresh);
        let not_listed = unlisted.ids.len() as u64;
        let must_prune = options.prune && !unlisted.ids.is_empty();
        // Damage that was passed over must not stay for `verify` to find.
        let must_compact = must_prune || is_damaged;
        if wanted == 0
            && !must_compact
            && let Some(published) = published
            && let Some(report) = unchanged(options, directory, published, &index, not_listed)
        {
            if listed.requests > 0 {
                let run = RunCounters {
                    started_at,
                    finished_at: now(),
                    requests: listed.requests,
                    retries: listed.retries,
                    rate_limited: listed.rate_limited,
                    bytes_received: listed.bytes_received,
                    ..published.run.clone()
                };
                publication::counters(directory, published, run)?;
            }
            list_checkpoint::forget(directory)?;
            return Ok(Ended::Published(Box::new(ExportReport {
                requests: listed.requests,
                retries: listed.retries,
                rate_limited: listed.rate_limited,
                bytes_received: listed.bytes_received,
                lists,
                ..report
            })));
        }
        if begins_refresh {
            journal_writer::begin_refresh(&mut journal)?;
        }
        let held = options.ids.len() - wanted;
        events.send(Event::Planned {
            requested: options.ids.len(),
            held,
            duplicates: usize::try_from(options.ids.duplicates()).unwrap_or(usize::MAX),
            listed: lists.is_some(),
            again,
        });
        let mut space = SpaceWatch::new(
            directory.path(),
            (wanted, held),
            index.bytes(),
            journal.bytes(),
            options.format,
            published,
            events,
        );
        space.look(0, journal.bytes());

        let staging = Staging::begin(directory);
        let pipeline = Pipeline {
            options,
            network,
            index: &index,
            staging: &staging,
        };
        let mut reader = journal.reader();
        let done = pipeline.run(journal, wanted, space);
        if !matches!(&done, Ok(Done { built: Some(_), .. })) {
            *failures = last_run::failure_lines(&options.ids, &index, &mut reader);
        }
        let Done {
            stats,
            stored: Stored {
                mut journal,
                refused,
            },
            built,
        } = done?;
        let stats = listed.and(&stats);
        let learned = client
            .learned()
            .filter(|_| options.fetch.rate == Rate::Learned);
        let stopped = || {
            Ok(Ended::Stopped {
                kept: Some(Kept {
                    held: index.held(),
                    requested: options.ids.len(),
                    requests: stats.requests,
                    rate_limited: stats.rate_limited,
                    learned,
                }),
            })
        };
        let Some(built) = built else {
            return stopped();
        };
        failures.clone_from(&built.flattened.failures.lines);
        if is_over() {
            return stopped();
        }
        let guarded = guard(
            &options.guard,
            Origin::Api,
            directory,
            published,
            &options.ids,
            &built.flattened,
        );
        if let Err(refused) = guarded {
            journal_writer::end_run(&mut journal, &index)?;
            return Err(refused.into());
        }
        let live = Live {
            ids: &options.ids,
            index: &index,
            refused: &[refused_before, refused].concat(),
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
        let with_journal = compacted.is_some();
        let publication = Publication {
            ids: &options.ids,
            selection: options.selection(),
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
            with_journal,
        };
        let report = publish(publication, directory, staging, built)?;
        list_checkpoint::forget(directory)?;
        let (pruned, unlisted) = if options.prune {
            (not_listed, 0)
        } else {
            (0, not_listed)
        };
        Ok(Ended::Published(Box::new(ExportReport {
            reused: report.exported.saturating_sub(stats.fetched),
            unlisted,
            pruned,
            lists,
            pages: stats.pages,
            from_lists: stats.from_lists,
            learned,
            ..report
        })))
    }
}

/// May this be published? `origin` is where its responses come from.
pub(super) fn guard(
    options: &GuardOptions,
    origin: Origin,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
    ids: &IdList,
    flattened: &Flattened,
) -> Result<(), NotPublished> {
    let Flattened {
        failures, exported, ..
    } = flattened;
    let is_exported = |task_id: &str| {
        let position = ids.position(task_id);
        position.is_some_and(|position| !failures.has(position))
    };
    let candidate = Candidate {
        origin,
        requested: ids.len() as u64,
        exported: *exported,
        by_kind: failures.counted(options.drop_missing),
        shrink: previous_export::compare(directory.path(), published, *exported, is_exported),
    };
    guard::check(options, &candidate)
}

/// The options of the network side, with no more requests in flight than there can be open files.
pub(super) fn fitting(
    options: &ExportOptions,
    events: &Events,
) -> Result<FetchOptions, ExportError> {
    let files_a_request = if options.base_url_label.is_some() {
        FILES_A_SANDBOXED_REQUEST
    } else {
        FILES_A_REQUEST
    };
    Ok(FetchOptions {
        concurrency: fit_concurrency(options.fetch.concurrency, files_a_request, events)?,
        remembered: pace_memory::recall(&options.out, &options.fetch),
        // What the lists that are the source did not give is not sought in lists once more.
        plan: if options.lists.is_empty() {
            options.fetch.plan
        } else {
            Plan::Ids
        },
        ..options.fetch.clone()
    })
}

pub(super) fn manifest_options(options: &ExportOptions) -> ManifestOptions {
    ManifestOptions {
        base_url: options.base_url(),
        expand: options.fetch.expand.clone(),
        opts: options.fetch.opts.clone(),
        format: options.format,
        tables: options.tables.clone(),
        keep_secrets: options.keep_secrets,
        drop_missing: options.guard.drop_missing,
        lists: options
            .lists
            .iter()
            .map(list_checkpoint::describe)
            .collect(),
    }
}
