//! Lists as the source of tasks: reads them into the journal, as if each task had been fetched singly, and returns the
//! list of IDs in the order of first appearance. The list checkpoint lets an interrupted run resume at its last page.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::api::task_response::TaskResponse;
use crate::event::Event;
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::{InsertedId, TaskIds, is_invalid};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::jobs::journal_writer::{SYNC_INTERVAL, start_refresh, unix_millis};
use crate::jobs::report::{ListReport, SavedWork};
use crate::jobs::resume::{ScannedJournal, scan_journal};
use crate::jobs::runtime::{Network, block_on};
use crate::jobs::threads::{join, spawn};
use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalRecord, RecordKind};
use crate::journal::index::{IndexEntry, StoredResponse};
use crate::journal::location::Location;
use crate::journal::writer::Journal;
use crate::lists::list_all::{ListSink, ListedTasks, PageDelivery, list_all};
use crate::pacer::types::LearnedRate;
use crate::plural::plural;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::state::list_checkpoint;
use crate::state::list_checkpoint::{CheckpointHead, CheckpointPage, ListCheckpoint};
use crate::threads;

/// The maximum number of pages that wait for the journal. With more, the network waits.
const WAITING_PAGES: usize = 4;

/// The tasks of all lists.
pub(crate) struct Listing {
    /// All tasks in the order of first appearance.
    pub(crate) ids: TaskIds,
    pub(crate) stats: FetchStats,
    pub(crate) learned: Option<LearnedRate>,
    pub(crate) report: ListReport,
    /// The journal with the tasks.
    pub(crate) journal: Journal,
    /// What it holds.
    pub(crate) scanned: ScannedJournal,
}

/// A task that was appended to the journal, and whose place is not yet known.
struct AppendedTask {
    position: usize,
    is_final: bool,
    digest: BodyDigest,
}

/// The responses in the journal while pages arrive. Tasks whose response counts need not be stored again.
struct KeptResponses {
    refresh: Refresh,
    scanned: ScannedJournal,
    /// Tasks that were appended to the journal and are not yet written.
    appended: Vec<AppendedTask>,
}

impl KeptResponses {
    /// Whether the task of a page is to be stored: its ID is valid and no response in the journal counts for it.
    fn needs(&self, task_id: &str) -> bool {
        match self.scanned.tasks.ids.position(task_id) {
            Some(position) => !self.counts(position),
            None => !is_invalid(task_id),
        }
    }

    /// Whether a response counts for the ID at a position.
    fn counts(&self, position: usize) -> bool {
        if self.appended.iter().any(|other| other.position == position) {
            return true;
        }
        let journal = &self.scanned.tasks.journal;
        let IndexEntry::Response(response) = journal.get(position) else {
            return false;
        };
        let is_recent = match self.refresh {
            Refresh::Pending => journal.is_final(position),
            Refresh::All => {
                let begun = self.scanned.marks.unpublished_refresh();
                begun.is_some_and(|begun| response.offset() > begun)
            }
            Refresh::None => true,
        };
        // An ID whose failure was revoked is fetched again, as `SharedIndex::plan` decides.
        is_recent && !journal.is_due(position)
    }

    /// Appends a task to the journal if it is needed; returns whether it was.
    fn append(&mut self, journal: &mut Journal, task: &TaskResponse) -> bool {
        let Ok(InsertedId { position, .. }) = self.scanned.tasks.insert(&task.task_id) else {
            return false;
        };
        // Another list can have delivered the task after this page was compared.
        if self.counts(position) {
            return false;
        }
        let digest = task.sha256();
        journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: if task.is_final { FLAG_FINAL } else { 0 },
            attempts: 1,
            time: unix_millis(),
            task_id: &task.task_id,
            body: &task.body,
            digest: Some(digest),
        });
        self.appended.push(AppendedTask {
            position,
            is_final: task.is_final,
            digest,
        });
        true
    }

    /// Adds the tasks that were written, with their locations.
    fn add_written(&mut self, locations: Vec<Location>) {
        let index = &mut self.scanned.tasks.journal;
        for (task, location) in self.appended.drain(..).zip(locations) {
            let stored = StoredResponse {
                location,
                is_final: task.is_final,
                digest: Some(task.digest),
            };
            index.set_response(task.position, stored);
        }
    }
}

/// Reads all lists into the journal.
pub(crate) fn list_tasks(
    options: &ExportOptions,
    network: &Network<'_>,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
) -> Result<Listing, ExportError> {
    let events = network.context.events;
    let (mut journal, mut scanned) = scan_journal(options, directory, published, network)?;
    if options.refresh == Refresh::All && scanned.marks.unpublished_refresh().is_none() {
        let mark = start_refresh(&mut journal)?;
        scanned.marks.refresh = Some(mark.offset());
        // Pages that were read before the refresh are not part of it.
        list_checkpoint::remove(&directory.state().list_checkpoint())?;
    }
    let head = CheckpointHead::new(
        options.list_texts(),
        published.map(|manifest| manifest.run.finished_at.clone()),
    );
    let (checkpoint, resume) = ListCheckpoint::open(directory.state().list_checkpoint(), &head)?;
    let known: usize = resume.iter().map(|resume| resume.ids.len()).sum();
    if known > 0 {
        let text = format!(
            "an earlier run listed {}; continuing after its last page",
            plural(known as u64, "task")
        );
        events.send(Event::Detail(text));
    }
    events.send(Event::Phase("listing"));
    let kept = Mutex::new(KeptResponses {
        refresh: options.refresh,
        scanned,
        appended: Vec::new(),
    });
    let keeper = PageKeeper {
        journal,
        checkpoint,
        kept: &kept,
        listed: known,
        fetched: 0,
    };
    let fetcher = network.fetcher(None, Vec::new());
    let (stored, listed) = thread::scope(|scope| -> Result<_, ExportError> {
        let (pages, arrived) = mpsc::channel(WAITING_PAGES);
        let keep = spawn(scope, || keeper.run(arrived))?;
        let needs = |task_id: &str| threads::lock(&kept).needs(task_id);
        let sink = ListSink { pages, needs };
        let lists = options.lists.iter().cloned().zip(resume).collect();
        let listed = block_on(list_all(&fetcher, lists, &sink), network.cancel);
        // Without the sink, the journal's thread ends.
        drop(sink);
        Ok((join(keep), listed))
    })?;
    let learned = network.remember(&fetcher);
    // Of two errors, the one that caused the other is reported.
    let PageKeeper {
        journal,
        listed: tasks,
        fetched,
        ..
    } = stored?;
    let Some(lists) = listed? else {
        return Err(ExportError::Interrupted(SavedWork::Listed { tasks }));
    };
    let (ids, report) = merge(lists);
    if ids.is_empty() {
        let text = "the lists have no tasks";
        events.send(Event::Warning(text.to_owned()));
    }
    Ok(Listing {
        ids,
        stats: FetchStats {
            fetched,
            ..fetcher.stats()
        },
        learned,
        report,
        journal,
        scanned: threads::into_inner(kept).scanned,
    })
}

/// The tasks of all lists in the order of first appearance, and what was unexpected.
pub(crate) fn merge(lists: Vec<ListedTasks>) -> (TaskIds, ListReport) {
    let mut all = TaskIds::default();
    let mut report = ListReport {
        lists: lists.len() as u64,
        ..ListReport::default()
    };
    for ListedTasks {
        ids,
        anomalies,
        is_complete,
    } in lists
    {
        for task_id in ids.iter() {
            // Every listed ID is valid.
            let _ = all.insert(task_id);
        }
        report.incomplete += u64::from(!is_complete);
        for (what, count) in anomalies.parts() {
            if count > 0 {
                *report.anomalies.entry(what).or_default() += count;
            }
        }
    }
    // A task in two lists is not a duplicate.
    all.forget_duplicates();
    all.shrink();
    (all, report)
}

/// Appends the tasks of pages to the journal, and the pages to the checkpoint.
struct PageKeeper<'k> {
    journal: Journal,
    checkpoint: ListCheckpoint,
    kept: &'k Mutex<KeptResponses>,
    /// Tasks of all lists so far.
    listed: usize,
    /// Responses that were appended to the journal.
    fetched: u64,
}

impl PageKeeper<'_> {
    /// Runs until the channel closes.
    fn run(mut self, mut arrived: mpsc::Receiver<PageDelivery>) -> Result<Self, ExportError> {
        let mut synced = Instant::now();
        while let Some(delivery) = arrived.blocking_recv() {
            let PageDelivery {
                list,
                new_ids,
                tasks,
                position,
                done,
                stored,
            } = delivery;
            self.listed += new_ids.len();
            for task in &tasks {
                let mut kept = threads::lock(self.kept);
                self.fetched += u64::from(kept.append(&mut self.journal, task));
            }
            // The tasks come first: a page that is not in the checkpoint is only requested again.
            let locations = self.journal.flush()?;
            threads::lock(self.kept).add_written(locations);
            self.checkpoint
                .append(&CheckpointPage::new(list, position, done, new_ids))?;
            // The receiver may have been stopped meanwhile.
            let _ = stored.send(());
            if synced.elapsed() >= SYNC_INTERVAL {
                self.sync()?;
                synced = Instant::now();
            }
        }
        self.sync()?;
        Ok(self)
    }

    fn sync(&mut self) -> Result<(), ExportError> {
        self.journal.sync()?;
        Ok(self.checkpoint.sync()?)
    }
}
