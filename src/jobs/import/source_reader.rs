//! The thread of an import that reads the sources, and takes what other threads have checked.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::api::body_error::BodyError;
use crate::api::task_response::TaskResponse;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
use crate::jobs::error::ExportError;
use crate::jobs::import::import_batch::{BadLine, CheckedBatch, CheckedItem, ImportBatch};
use crate::jobs::import::journal_appender::{AppendedBatch, AppendedImport};
use crate::jobs::import::journal_source::{ReadJournal, is_export, list_of, read_journal};
use crate::jobs::import::ordered_workers::OrderedWorkers;
use crate::jobs::import::shared_import::{Feed, SharedImport};
use crate::jobs::read_ahead::open;
use crate::jobs::source_error::SourceError;
use crate::journal::format::RecordKind;
use crate::memory::append_line;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// The maximum size of a line in bytes. A line is a whole task, and a text column of a batch holds at most 2 GiB.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// The maximum number of invalid lines that are reported one by one.
const MAX_REPORTED_LINES: u64 = 10;

/// The byte order mark of UTF-8, which a file of lines may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The threads that check batches.
pub(crate) type CheckWorkers<'s> = OrderedWorkers<'s, ImportBatch, CheckedBatch>;

/// The reading thread.
pub(crate) struct SourceReader<'s, 'e> {
    pub(crate) workers: CheckWorkers<'s>,
    pub(crate) appends: SyncSender<AppendedBatch>,
    pub(crate) shared: &'e SharedImport,
    /// Cancelled by the user, and by the journal or the tables when they cannot go on.
    pub(crate) run: &'e CancellationToken,
    pub(crate) events: &'e Events,
    /// Whether each of the IDs has a response.
    pub(crate) has_response: Vec<bool>,
    pub(crate) order: Option<TaskIds>,
    pub(crate) feed: Option<Feed<'e>>,
    pub(crate) duplicates: u64,
    pub(crate) unreadable: u64,
}

impl SourceReader<'_, '_> {
    /// Reads all sources, until the run is cancelled.
    pub(crate) fn all(&mut self, sources: &[PathBuf]) -> Result<(), ExportError> {
        for source in sources {
            let read = if is_export(source) {
                self.journal(source)
            } else {
                self.lines(source)
            };
            // What cancelled the run is reported, and not the read that it broke off.
            if self.run.is_cancelled() {
                return Ok(());
            }
            read?;
        }
        Ok(())
    }

    /// Passes a batch on to be checked, and returns an empty one. First takes checked batches until there is room.
    fn pass(&mut self, batch: ImportBatch, name: &Arc<str>) -> Result<ImportBatch, ExportError> {
        while self.workers.is_full() {
            self.take_next()?;
        }
        if !batch.is_empty() {
            let bytes = batch.bytes();
            self.workers.add(batch, bytes);
        }
        Ok(ImportBatch::new(Arc::clone(name)))
    }

    /// Passes a batch on, and takes all that were checked. Returns an empty one.
    fn finish(&mut self, batch: ImportBatch, name: &Arc<str>) -> Result<ImportBatch, ExportError> {
        let next = self.pass(batch, name)?;
        while self.take_next()? {}
        Ok(next)
    }

    /// Takes the next batch that was checked: its IDs get their positions. Returns whether there was one.
    fn take_next(&mut self) -> Result<bool, ExportError> {
        let Some(CheckedBatch {
            name,
            items,
            blocks,
        }) = self.workers.next()
        else {
            return Ok(false);
        };
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for item in items {
            match item {
                CheckedItem::Task(response) => {
                    let kind = RecordKind::Response;
                    let inserted = self.insert(&response.task_id, kind);
                    records.push(AppendedImport {
                        position: inserted.ok().map(|inserted| inserted.position),
                        kind,
                        digest: response.digest,
                    });
                    match inserted {
                        Ok(inserted) => responses.push((inserted, response)),
                        Err(full) => self.skip_task(&name, &response.task_id, full),
                    }
                }
                CheckedItem::Copy {
                    task_id,
                    kind,
                    digest,
                } => {
                    let inserted = self.insert(&task_id, kind);
                    records.push(AppendedImport {
                        position: inserted.ok().map(|inserted| inserted.position),
                        kind,
                        digest,
                    });
                }
                CheckedItem::Bad { number, cause } => match cause {
                    BadLine::Body(BodyError::NoMemory) => {
                        return Err(no_memory(&name, number));
                    }
                    cause => self.skip_line(&name, number, &cause),
                },
            }
        }
        let batch = AppendedBatch { records, blocks };
        let waits = self.feed.is_some_and(|feed| feed.cache.is_in_order());
        // A thread that builds tables can need one that the cache has no room for, so the journal comes before a wait for
        // room. Otherwise the cache comes first: no thread takes a response out that was read from the journal.
        if waits {
            self.append(batch);
            self.take_all(responses);
        } else {
            self.take_all(responses);
            self.append(batch);
        }
        Ok(true)
    }

    /// Passes a batch to the journal's thread.
    fn append(&self, batch: AppendedBatch) {
        // A receiver that is gone has cancelled the run and reports why.
        let _ = self.appends.send(batch);
    }

    /// Takes the tasks of lines, and leaves them for the tables.
    fn take_all(&mut self, responses: Vec<(InsertedId, TaskResponse)>) {
        for (inserted, response) in &responses {
            self.task(*inserted, response);
        }
        if let Some(feed) = self.feed {
            let responses = responses.into_iter();
            let responses = responses.map(|(inserted, response)| (inserted.position, response));
            feed.cache.keep_all(responses, self.has_response.len());
        }
    }

    /// Gives an ID its position. Every ID was checked, so an error says that the list is full.
    fn insert(&mut self, task_id: &str, kind: RecordKind) -> Result<InsertedId, InvalidId> {
        let inserted = self.shared.ids.insert(task_id)?;
        let position = inserted.position;
        if inserted.is_new {
            self.shared.ranges.push(task_id);
            self.has_response.push(false);
        }
        if let Some(has_response) = self.has_response.get_mut(position) {
            *has_response |= kind == RecordKind::Response;
        }
        let done = position + 1;
        if inserted.is_new && done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
            self.events.send(Event::Progress { done, total: None });
        }
        Ok(inserted)
    }

    /// Takes a task of a line. It counts for its ID unless a later one follows.
    fn task(&mut self, inserted: InsertedId, response: &TaskResponse) {
        let task_id = response.task_id.as_str();
        if let Some(note) = &response.note {
            self.events
                .send(Event::Warning(format!("task {task_id}: {note}")));
        }
        self.duplicates += u64::from(!inserted.is_new);
        if let Some(order) = &mut self.order {
            // The ID is valid: it has a position.
            let _ = order.insert(task_id);
        }
        self.feed = self.feed.filter(|feed| {
            if !inserted.is_new {
                feed.build.cancel();
                feed.cache.close();
            }
            inserted.is_new
        });
    }

    /// Copies what counts from the journal of another export.
    fn journal(&mut self, directory: &Path) -> Result<(), ExportError> {
        let _lock = Lock::share(directory, &StateDir::of_output(directory))?;
        let ReadJournal {
            tasks,
            mut reader,
            damaged,
            ..
        } = read_journal(directory, None, self.events, self.run)?;
        self.unreadable += damaged;
        let list = list_of(directory, self.events)?;
        if let Some(order) = &mut self.order {
            // An ID that is in the list already keeps its position. Every ID of an export is valid.
            for task_id in list.as_ref().unwrap_or(&tasks.ids).iter() {
                let _ = order.insert(task_id);
            }
        }
        let name: Arc<str> = directory.display().to_string().into();
        let mut batch = ImportBatch::new(Arc::clone(&name));
        // All earlier sources were taken.
        for (task_id, entry) in tasks.ids.iter().zip(tasks.journal.iter()) {
            let place = self.shared.ids.position(task_id);
            let has_come = place.and_then(|place| self.has_response.get(place));
            // A failure does not replace a response of an earlier source.
            if entry.response().is_none() && has_come.copied().unwrap_or_default() {
                continue;
            }
            let (response, failure) = (entry.response(), entry.failure());
            for location in response.into_iter().chain(failure) {
                let mut body = Vec::new();
                let head = reader.read(task_id, location, &mut body)?;
                if body.len() > KEPT_BYTES {
                    reader.shrink();
                }
                batch.add_copy(head, task_id, body);
            }
            if batch.is_full() {
                batch = self.pass(batch, &name)?;
            }
            if self.run.is_cancelled() {
                break;
            }
        }
        self.finish(batch, &name)?;
        Ok(())
    }

    /// Reads tasks, one per line. Reports and skips lines that are not valid tasks.
    fn lines(&mut self, source: &Path) -> Result<(), ExportError> {
        let name: Arc<str> = source.display().to_string().into();
        let run = self.run;
        let failed = |error: io::Error| ExportError::Source {
            name: name.to_string(),
            cause: SourceError::Io(error),
        };
        let mut lines = open(source, run).map_err(failed)?;
        let mut batch = ImportBatch::new(Arc::clone(&name));
        for number in 1_u64.. {
            if lines.may_wait() {
                // What is there, also in batches that were passed on, is checked, stored and built while the source has nothing more.
                batch = self.finish(batch, &name)?;
            }
            let reader = lines.reader();
            let text = batch.text();
            let start = text.len();
            let read = match append_line(reader, MAX_LINE_BYTES, text) {
                Ok(read) => read,
                Err(error) => {
                    text.truncate(start);
                    // What is wrong with the lines before is reported first.
                    self.finish(batch, &name)?;
                    return Err(match error.kind() {
                        io::ErrorKind::OutOfMemory => no_memory(&name, number),
                        _ => failed(error),
                    });
                }
            };
            if read == 0 || run.is_cancelled() {
                break;
            }
            if read as u64 > MAX_LINE_BYTES {
                lines.reader().skip_until(b'\n').map_err(failed)?;
                batch.add_too_long(number, start);
            } else {
                let line = trimmed(text, start, number == 1);
                if !line.is_empty() {
                    batch.add_line(number, line);
                }
            }
            if batch.is_full() {
                batch = self.pass(batch, &name)?;
            }
        }
        self.finish(batch, &name)?;
        Ok(())
    }

    /// Reports a task for which the list has no room.
    fn skip_task(&mut self, name: &str, task_id: &str, cause: InvalidId) {
        self.unreadable += 1;
        if self.unreadable <= MAX_REPORTED_LINES {
            let text = format!("skipped task {task_id} of `{name}`: {cause}");
            self.events.send(Event::Warning(text));
        }
    }

    /// Reports a line that is not a valid task.
    fn skip_line(&mut self, name: &str, line: u64, cause: &BadLine) {
        self.unreadable += 1;
        if self.unreadable <= MAX_REPORTED_LINES {
            let text = format!("skipped `{name}`, line {line}: {cause}");
            self.events.send(Event::Warning(text));
        }
    }
}

fn no_memory(name: &str, line: u64) -> ExportError {
    ExportError::LineMemory {
        name: name.to_owned(),
        line,
    }
}

/// The place of the last line, which begins at an offset, without white space around it. The first line of a file may begin
/// with a byte order mark.
fn trimmed(text: &[u8], start: usize, is_first: bool) -> Range<usize> {
    let line = text.get(start..).unwrap_or_default();
    let line = match line.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if is_first => rest,
        _ => line,
    };
    let line = line.trim_ascii_start();
    let start = text.len() - line.len();
    start..start + line.trim_ascii_end().len()
}
