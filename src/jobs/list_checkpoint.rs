//! Lists as the source of tasks: reads them into the journal, as if each task had been fetched by itself, and
//! gives the list of IDs in the order of first appearance. Where it stands is kept in a file beside the journal,
//! so that a run which was cut short goes on from its last page. Depends on `fetch` and `journal`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::api::list_request::ListSource;
use crate::durable_fs::Access;
use crate::event::Event;
use crate::fetch::stats::FetchStats;
use crate::ids::task_ids::IdList;
use crate::jobs::error::ExportError;
use crate::jobs::export::{ExportOptions, Refresh};
use crate::jobs::journal_writer::{SYNC_INTERVAL, begin_refresh, now};
use crate::jobs::publication::ListReport;
use crate::jobs::resume::journal_options;
use crate::jobs::runtime::{Network, block_on};
use crate::journal::error::JournalError;
use crate::journal::format::{FLAG_FINAL, Record, RecordKind};
use crate::journal::reader::{Entry, break_if};
use crate::journal::writer::Journal;
use crate::lists::list_all::{ListResume, ListSink, ListedTasks, PageDelivery, list_all};
use crate::lists::page_cursor::CursorPosition;
use crate::pacer::types::LearnedRate;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::{durable_fs, threads};

/// Its name in the state directory.
const FILE_NAME: &str = "listing";

/// Version of the file's format.
const VERSION: u32 = 1;

/// Bytes of the file, at most: it holds every ID once.
const MAX_BYTES: u64 = 1 << 30;

/// Pages that may wait for the journal; the network waits when there are more.
const WAITING_PAGES: usize = 4;

/// What was listed.
pub(crate) struct Listing {
    /// All tasks in the order of first appearance.
    pub(crate) ids: IdList,
    pub(crate) stats: FetchStats,
    pub(crate) learned: Option<LearnedRate>,
    pub(crate) report: ListReport,
}

/// How listing ended.
pub(crate) enum Listed {
    /// All lists were read.
    Whole(Box<Listing>),
    /// The user stopped it.
    Stopped {
        /// Tasks that are known already, and kept.
        tasks: usize,
    },
}

/// The first line of the file: what it is about.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    version: u32,
    lists: Vec<String>,
    /// When the export was made that stood there: a later one ends the listing that it was made from.
    published: Option<String>,
}

/// Any other line: a page.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    list: usize,
    by_name: bool,
    pass: u32,
    token: Option<String>,
    is_unsettled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
    /// Tasks that had not come before.
    ids: Vec<String>,
}

/// The file.
struct ListingFile {
    path: PathBuf,
    file: File,
    end: u64,
}

impl ListingFile {
    fn failed(&self, operation: &'static str, error: std::io::Error) -> ExportError {
        JournalError::io(operation, &self.path)(error).into()
    }

    /// Opens what an earlier run left of the same lists, or begins anew.
    fn open(
        path: PathBuf,
        head: &Head,
        lists: usize,
    ) -> Result<(Self, Vec<ListResume>), ExportError> {
        let mut resume: Vec<ListResume> = (0..lists).map(|_| ListResume::default()).collect();
        // One that cannot be read is begun anew: it only saves requests.
        let text = durable_fs::read_small(&path, MAX_BYTES).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let end = read(&text, head, &mut resume).unwrap_or(0);
        let opened = durable_fs::open(&path, Access::Owner);
        let file = opened.map_err(|error| JournalError::io("open", &path)(error))?;
        let mut listing = Self {
            path,
            file,
            end: end as u64,
        };
        // What was not written to its end goes.
        durable_fs::set_length(&listing.file, &listing.path, listing.end)
            .map_err(|error| listing.failed("cut the torn tail of", error))?;
        if end == 0 {
            listing.write(head)?;
        }
        Ok((listing, resume))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), ExportError> {
        // Strings and numbers: serialization cannot fail.
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        durable_fs::write_all_at(&self.file, &self.path, &text, self.end)
            .map_err(|error| self.failed("write", error))?;
        self.end += text.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), ExportError> {
        durable_fs::sync(&self.file, &self.path).map_err(|error| self.failed("sync", error))
    }
}

/// Reads the whole lines of a file; where they end. Nothing when it is about something else.
fn read(text: &str, head: &Head, resume: &mut [ListResume]) -> Option<usize> {
    let mut lines = text
        .split_inclusive('\n')
        .take_while(|line| line.ends_with('\n'));
    let first = lines.next()?;
    if serde_json::from_str::<Head>(first).ok()? != *head {
        return None;
    }
    let mut end = first.len();
    for text in lines {
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            break;
        };
        let Some(list) = resume.get_mut(line.list) else {
            break;
        };
        for task_id in &line.ids {
            // It was valid when it was written.
            let _ = list.ids.add(task_id);
        }
        list.done = line.done;
        list.position = CursorPosition {
            by_name: line.by_name,
            pass: line.pass,
            token: line.token,
            is_unsettled: line.is_unsettled,
        };
        end += text.len();
    }
    Some(end)
}

/// Which tasks of a page need not be kept, because what the journal holds for them counts.
struct Held {
    refresh: Refresh,
    published_bytes: u64,
    /// Has a refresh of all tasks begun, and not been published?
    has_begun: bool,
    ids: IdList,
    /// By the places of the IDs.
    counts: Vec<bool>,
}

impl Held {
    fn new(refresh: Refresh, published_bytes: u64) -> Self {
        Self {
            refresh,
            published_bytes,
            has_begun: false,
            ids: IdList::default(),
            counts: Vec::new(),
        }
    }

    fn see(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            RecordKind::Refresh if entry.location.offset() >= self.published_bytes => {
                self.has_begun = true;
                if self.refresh == Refresh::All {
                    self.counts.fill(false);
                }
            }
            RecordKind::Response => self.set(entry.task_id, entry.is_final),
            RecordKind::Failure => self.put(entry.task_id, false),
            RecordKind::Refresh | RecordKind::Refused | RecordKind::End => {}
        }
    }

    /// Takes note of a response.
    fn set(&mut self, task_id: &str, is_final: bool) {
        let counts = match self.refresh {
            Refresh::Pending => is_final,
            Refresh::All => self.has_begun,
            Refresh::None => true,
        };
        self.put(task_id, counts);
    }

    fn put(&mut self, task_id: &str, counts: bool) {
        if self.ids.position(task_id).is_none() && self.ids.add(task_id).is_ok() {
            self.counts.push(counts);
        }
        let place = self.ids.position(task_id);
        if let Some(held) = place.and_then(|place| self.counts.get_mut(place)) {
            *held = counts;
        }
    }

    /// Whether the task of a page is to be kept.
    fn needs(&self, task_id: &str) -> bool {
        let place = self.ids.position(task_id);
        let is_held =
            place.is_some_and(|place| self.counts.get(place).copied().unwrap_or_default());
        !is_held && !crate::ids::task_ids::is_invalid(task_id)
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    // Whole whatever happened to a thread.
    threads::lock(&held)
}

/// Reads all lists, unless it is stopped.
pub(crate) fn list(
    options: &ExportOptions,
    network: &Network<'_>,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
) -> Result<Listed, ExportError> {
    let (events, cancel) = (network.context.events, network.cancel);
    let sources = &options.lists;
    let published_bytes = published.and_then(|manifest| manifest.run.journal_bytes);
    let mut held = Held::new(options.refresh, published_bytes.unwrap_or_default());
    events.send(Event::Phase("reading the journal"));
    let opened = Journal::open(&directory.state(), &journal_options(options), |entry| {
        held.see(&entry);
        break_if(cancel.is_cancelled())
    });
    let (mut journal, _) = match opened {
        Err(JournalError::Interrupted { .. }) => return Ok(Listed::Stopped { tasks: 0 }),
        opened => opened?,
    };
    let path = directory.state().join(FILE_NAME);
    if options.refresh == Refresh::All && !held.has_begun {
        begin_refresh(&mut journal)?;
        held.has_begun = true;
        // What was listed before the refresh is not part of it.
        durable_fs::remove(&path).map_err(JournalError::io("remove", &path))?;
    }
    let first_line = Head {
        version: VERSION,
        lists: sources.iter().map(describe).collect(),
        published: published.map(|manifest| manifest.run.finished_at.clone()),
    };
    let (file, resume) = ListingFile::open(path, &first_line, sources.len())?;
    let known: usize = resume.iter().map(|resume| resume.ids.len()).sum();
    if known > 0 {
        let text =
            format!("{known} tasks were listed by an earlier run; going on from its last page");
        events.send(Event::Detail(text));
    }
    events.send(Event::Phase("listing"));
    let seen: Vec<IdList> = resume.iter().map(|resume| resume.ids.clone()).collect();
    let held = Mutex::new(held);
    let fetcher = network.fetcher(None, Vec::new());
    let (kept, listed) = std::thread::scope(|scope| -> Result<_, ExportError> {
        let (pages, arrived) = mpsc::channel(WAITING_PAGES);
        let keep =
            crate::jobs::table_builder::spawn(scope, || keep(journal, file, arrived, &held, seen))?;
        let needs = |task_id: &str| lock(&held).needs(task_id);
        let sink = ListSink { pages, needs };
        let lists = sources.iter().cloned().zip(resume).collect();
        let listed = block_on(list_all(&fetcher, lists, &sink), cancel);
        // Without the sink, the journal's thread ends.
        drop(sink);
        Ok((crate::jobs::table_builder::join(keep), listed))
    })?;
    let learned = network.remember(&fetcher);
    // Of two errors the one that caused the other is told.
    let (fetched, tasks) = kept?;
    let Some(lists) = listed? else {
        return Ok(Listed::Stopped { tasks });
    };
    let mut all = IdList::default();
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
            // What stands in two lists is no duplicate, and what stands in one is valid.
            if all.position(task_id).is_none() {
                let _ = all.add(task_id);
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
    if all.is_empty() {
        let text = "the lists have no tasks";
        events.send(Event::Warning(text.to_owned()));
    }
    Ok(Listed::Whole(Box::new(Listing {
        ids: all,
        stats: FetchStats {
            fetched,
            ..fetcher.stats(false)
        },
        learned,
        report,
    })))
}

/// Forgets where a listing stood: what came of it is published.
pub(crate) fn forget(directory: &OutputDirectory) -> Result<(), ExportError> {
    let path = directory.state().join(FILE_NAME);
    Ok(durable_fs::remove(&path).map_err(JournalError::io("remove", &path))?)
}

/// A list in words, with what is wanted of it.
pub(crate) fn describe(source: &ListSource) -> String {
    let mut text = format!("{} {}", source.kind.as_str(), source.name);
    for (name, value) in source.filter.parts() {
        text += &format!(", {name} {value}");
    }
    text
}

/// Appends the tasks of pages to the journal until the channel closes; how many, and how many tasks are listed then.
fn keep(
    mut journal: Journal,
    mut file: ListingFile,
    mut arrived: mpsc::Receiver<PageDelivery>,
    held: &Mutex<Held>,
    mut seen: Vec<IdList>,
) -> Result<(u64, usize), ExportError> {
    let mut synced = Instant::now();
    let mut appended = 0;
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
            seen.get_mut(list)
                .is_some_and(|seen| seen.position(task_id).is_none() && seen.add(task_id).is_ok())
        });
        for task in &tasks {
            let mut held = lock(held);
            if !held.needs(&task.task_id) {
                continue;
            }
            journal.append(&Record {
                kind: RecordKind::Response,
                flags: if task.is_final { FLAG_FINAL } else { 0 },
                attempts: 1,
                time: now(),
                task_id: &task.task_id,
                body: &task.body,
            });
            held.set(&task.task_id, task.is_final);
            appended += 1;
        }
        // The tasks come first: a page that is not known to have come is asked for again, and no more.
        journal.flush()?;
        file.write(&Line {
            list,
            by_name: position.by_name,
            pass: position.pass,
            token: position.token,
            is_unsettled: position.is_unsettled,
            done,
            ids,
        })?;
        // Whoever asked may have been stopped meanwhile.
        let _ = stored.send(());
        if synced.elapsed() >= SYNC_INTERVAL {
            journal.sync()?;
            file.sync()?;
            synced = Instant::now();
        }
    }
    journal.sync()?;
    file.sync()?;
    Ok((appended, seen.iter().map(IdList::len).sum()))
}
