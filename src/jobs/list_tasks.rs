//! Lists as the source of tasks: reads them into the journal, as if each task had been fetched singly, and returns the
//! list of IDs in the order of first appearance. The list checkpoint lets an interrupted run resume at its last page.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::api::task_response::TaskResponse;
use crate::event::Event;
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::{InsertedId, TaskIds};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::jobs::found_journal::{FoundJournal, PublishedPart};
use crate::jobs::journal_writer::{SYNC_INTERVAL, start_refresh, unix_millis};
use crate::jobs::report::{ListReport, SavedWork};
use crate::jobs::resume::published_bytes;
use crate::jobs::runtime::{Network, block_on};
use crate::jobs::table_builder::{join, spawn};
use crate::journal::format::{FLAG_FINAL, JournalRecord, RecordKind};
use crate::journal::reader::{RecordEntry, break_if};
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
    /// The journal before the tasks were added.
    pub(crate) found: FoundJournal,
}

/// The responses in the journal that count: their tasks need not be stored again.
struct KeptResponses {
    refresh: Refresh,
    published: PublishedPart,
    /// Whether a refresh of all tasks has begun and is not published.
    has_started: bool,
    ids: TaskIds,
    /// Whether the response of each ID counts.
    counts: Vec<bool>,
}

impl KeptResponses {
    fn new(refresh: Refresh, published: PublishedPart) -> Self {
        Self {
            refresh,
            published,
            has_started: false,
            ids: TaskIds::default(),
            counts: Vec::new(),
        }
    }

    fn add_record(&mut self, entry: &RecordEntry<'_>) {
        self.published.see(entry);
        match entry.kind {
            RecordKind::Refresh if !self.published.has(entry.location) => {
                self.has_started = true;
                if self.refresh == Refresh::All {
                    self.counts.fill(false);
                }
            }
            RecordKind::Response => self.set(entry.task_id, entry.is_final),
            RecordKind::Failure => self.put(entry.task_id, false),
            RecordKind::Refresh | RecordKind::Refused | RecordKind::End => {}
        }
    }

    /// Adds a response.
    fn set(&mut self, task_id: &str, is_final: bool) {
        let counts = match self.refresh {
            Refresh::Pending => is_final,
            Refresh::All => self.has_started,
            Refresh::None => true,
        };
        self.put(task_id, counts);
    }

    fn put(&mut self, task_id: &str, counts: bool) {
        let Ok(InsertedId { position, is_new }) = self.ids.insert(task_id) else {
            return;
        };
        if is_new {
            self.counts.push(counts);
        } else if let Some(held) = self.counts.get_mut(position) {
            *held = counts;
        }
    }

    /// Whether the task of a page is to be stored.
    fn needs(&self, task_id: &str) -> bool {
        let place = self.ids.position(task_id);
        let is_held =
            place.is_some_and(|place| self.counts.get(place).copied().unwrap_or_default());
        !is_held && !crate::ids::task_ids::is_invalid(task_id)
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
    let (journal, kept, found) = open_journal(options, network, directory, published)?;
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
    let keeper = PageKeeper {
        journal,
        checkpoint,
        kept: &Mutex::new(kept),
        seen: resume.iter().map(|resume| resume.ids.clone()).collect(),
    };
    let kept = keeper.kept;
    let fetcher = network.fetcher(None, Vec::new());
    let (stored, listed) = thread::scope(|scope| -> Result<_, ExportError> {
        let (pages, arrived) = mpsc::channel(WAITING_PAGES);
        let keep = spawn(scope, || keeper.run(arrived))?;
        let needs = |task_id: &str| threads::lock(kept).needs(task_id);
        let sink = ListSink { pages, needs };
        let lists = options.lists.iter().cloned().zip(resume).collect();
        let listed = block_on(list_all(&fetcher, lists, &sink), network.cancel);
        // Without the sink, the journal's thread ends.
        drop(sink);
        Ok((join(keep), listed))
    })?;
    let learned = network.remember(&fetcher);
    // Of two errors, the one that caused the other is reported.
    let Stored { fetched, tasks } = stored?;
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
        found,
    })
}

/// Opens the journal, reports what was found, and sees which of its responses count. Begins a refresh of all tasks if one is to begin.
fn open_journal(
    options: &ExportOptions,
    network: &Network<'_>,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
) -> Result<(Journal, KeptResponses, FoundJournal), ExportError> {
    let (events, cancel) = (network.context.events, network.cancel);
    let published_bytes = published_bytes(directory.path(), published);
    let mut kept = KeptResponses::new(options.refresh, PublishedPart::new(published_bytes));
    events.send(Event::Phase("reading the journal"));
    let path = directory.state().journal();
    let (mut journal, scan) = Journal::open(&path, &options.journal_options(), |entry| {
        kept.add_record(&entry);
        break_if(cancel.is_cancelled())
    })?;
    let is_other = kept.published.settle(journal.bytes());
    let found = FoundJournal::report(&scan, journal.bytes(), published_bytes, is_other, events);
    if options.refresh == Refresh::All && !kept.has_started {
        start_refresh(&mut journal)?;
        kept.has_started = true;
        // Pages that were read before the refresh are not part of it.
        list_checkpoint::remove(&directory.state().list_checkpoint())?;
    }
    Ok((journal, kept, found))
}

/// The tasks of all lists in the order of first appearance, and what was unexpected.
fn merge(lists: Vec<ListedTasks>) -> (TaskIds, ListReport) {
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
            // A task in two lists is not a duplicate, and every listed ID is valid.
            if all.position(task_id).is_none() {
                let _ = all.insert(task_id);
            }
        }
        report.incomplete += u64::from(!is_complete);
        for (what, count) in anomalies.parts() {
            if count > 0 {
                *report.surprises.entry(what).or_default() += count;
            }
        }
    }
    all.shrink();
    (all, report)
}

/// What is left when all pages have arrived.
struct Stored {
    /// Responses that were appended to the journal.
    fetched: u64,
    /// Tasks that are listed then.
    tasks: usize,
}

/// Appends the tasks of pages to the journal, and the pages to the checkpoint.
struct PageKeeper<'k> {
    journal: Journal,
    checkpoint: ListCheckpoint,
    kept: &'k Mutex<KeptResponses>,
    /// The tasks of each list.
    seen: Vec<TaskIds>,
}

impl PageKeeper<'_> {
    /// Runs until the channel closes.
    fn run(mut self, mut arrived: mpsc::Receiver<PageDelivery>) -> Result<Stored, ExportError> {
        let mut synced = Instant::now();
        let mut fetched = 0;
        while let Some(delivery) = arrived.blocking_recv() {
            let PageDelivery {
                list,
                mut ids,
                tasks,
                position,
                done,
                stored,
            } = delivery;
            ids.retain(|task_id| {
                let inserted = self.seen.get_mut(list).map(|seen| seen.insert(task_id));
                inserted.is_some_and(|inserted| inserted.is_ok_and(|inserted| inserted.is_new))
            });
            for task in &tasks {
                fetched += u64::from(self.append(task));
            }
            // The tasks come first: a page that is not in the checkpoint is only requested again.
            self.journal.flush()?;
            self.checkpoint
                .append(&CheckpointPage::new(list, position, done, ids))?;
            // The receiver may have been stopped meanwhile.
            let _ = stored.send(());
            if synced.elapsed() >= SYNC_INTERVAL {
                self.sync()?;
                synced = Instant::now();
            }
        }
        self.sync()?;
        Ok(Stored {
            fetched,
            tasks: self.seen.iter().map(TaskIds::len).sum(),
        })
    }

    /// Appends a task to the journal if it is needed; returns whether it was.
    fn append(&mut self, task: &TaskResponse) -> bool {
        let mut kept = threads::lock(self.kept);
        if !kept.needs(&task.task_id) {
            return false;
        }
        self.journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: if task.is_final { FLAG_FINAL } else { 0 },
            attempts: 1,
            time: unix_millis(),
            task_id: &task.task_id,
            body: &task.body,
        });
        kept.set(&task.task_id, task.is_final);
        true
    }

    fn sync(&mut self) -> Result<(), ExportError> {
        self.journal.sync()?;
        Ok(self.checkpoint.sync()?)
    }
}
