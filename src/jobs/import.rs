//! Imports raw responses into a new journal: from the journals of other exports, and from files of JSON lines, plain or
//! compressed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::api::body_check::{KEPT_BYTES, check_task};
use crate::api::body_error::BodyError;
use crate::api::body_text::BodyText;
use crate::api::task_response::TaskBody;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::ids::read::read_published;
use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
use crate::jobs::batch_channel;
use crate::jobs::batch_channel::BatchSender;
use crate::jobs::error::ExportError;
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::journal_writer::unix_millis;
use crate::jobs::lost_records::LostIds;
use crate::jobs::read_ahead::open;
use crate::jobs::source_error::SourceError;
use crate::jobs::table_builder::{FeedResult, join, spawn};
use crate::jobs::task_input::{TaskInput, TaskSender, send_task};
use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalOptions, JournalRecord, RecordKind};
use crate::journal::location::Location;
use crate::journal::reader::JournalReader;
use crate::journal::record_head::RecordHead;
use crate::journal::scan::break_if;
use crate::journal::writer::Journal;
use crate::json::parser::Parser;
use crate::memory::read_line;
use crate::plural::plural;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// The maximum size of a line in bytes. A line is a whole task, and a text column of a batch holds at most 2 GiB.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// The maximum number of invalid lines that are reported one by one.
const MAX_REPORTED_LINES: u64 = 10;

/// Whether a source is an export.
pub(crate) fn is_export(source: &Path) -> bool {
    source.is_dir()
}

/// The list of IDs of an export, if it has one.
pub(crate) fn list_of(export: &Path) -> Result<Option<TaskIds>, ExportError> {
    let list = StateDir::of_output(export).ids();
    list.exists()
        .then(|| read_published(&list).map_err(ExportError::from))
        .transpose()
}

/// The journal of an export.
pub(crate) struct ReadJournal {
    pub(crate) tasks: JournalTasks,
    pub(crate) reader: JournalReader,
    pub(crate) options: JournalOptions,
    /// Places that could not be read. The records there are lost.
    pub(crate) damaged: u64,
    /// The offset at which its last whole record ends.
    pub(crate) bytes: u64,
}

/// Reads the journal of an export.
pub(crate) fn read_journal(
    directory: &Path,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ReadJournal, ExportError> {
    let journal = StateDir::of_output(directory).journal();
    if !JournalReader::is_there(&journal)? {
        return Err(ExportError::Source {
            name: directory.display().to_string(),
            cause: SourceError::NoJournal,
        });
    }
    let mut tasks = JournalTasks::default();
    let (reader, options, opened) = JournalReader::open(&journal, None, |entry| {
        tasks.add_record(&entry);
        break_if(cancel.is_cancelled())
    })?;
    tasks.finish_scan(&opened);
    if opened.damaged > 0 {
        let lost = LostIds::new(&opened.lost);
        events.send(Event::Warning(format!(
            "skipped {} in the journal of `{}`; the lost responses are left out{}",
            plural(opened.damaged, "damaged place"),
            directory.display(),
            lost.suffix()
        )));
        lost.report_others(events);
    }
    let bytes = reader.bytes()?.saturating_sub(opened.torn_bytes);
    Ok(ReadJournal {
        tasks,
        bytes,
        reader,
        options,
        damaged: opened.damaged,
    })
}

/// An import into a journal.
pub(crate) struct Import<'i> {
    pub(crate) journal: Journal,
    /// Exports, and files of tasks.
    pub(crate) sources: &'i [PathBuf],
    pub(crate) keep_secrets: bool,
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

impl Import<'_> {
    /// Imports all sources into the journal, which a second thread writes, and syncs it. Feeds the tasks to the tables at
    /// the same time, as long as no task comes twice: of several responses the last counts. `run` is cancelled when the
    /// journal cannot be written; the import ends early when the user or the tables cancel it.
    pub(crate) fn run(
        self,
        feed: Option<TaskSender>,
        run: &CancellationToken,
    ) -> Result<FeedResult<Imported>, ExportError> {
        let journal = self.journal;
        thread::scope(|scope| {
            let (appends, records) = batch_channel::channel();
            let appender = spawn(scope, move || {
                append_all(journal, &records).inspect_err(|_| run.cancel())
            })?;
            let mut reading = SourceReader {
                appends,
                appended: Vec::new(),
                run,
                keep_secrets: self.keep_secrets,
                events: self.events,
                tasks: JournalTasks::default(),
                has_response: Vec::new(),
                order: (self.sources.iter().any(|source| is_export(source))).then(TaskIds::default),
                parser: Parser::default(),
                feed,
                duplicates: 0,
                unreadable: 0,
            };
            let read = reading.all(self.sources);
            // The tables must not wait for the sync of the journal.
            let feed = reading.feed.take();
            let is_fed = feed.is_some_and(|mut feed| feed.flush().is_ok());
            let SourceReader {
                appends,
                appended,
                mut tasks,
                order,
                duplicates,
                unreadable,
                ..
            } = reading;
            drop(appends);
            // Of two errors, the one that caused the other is reported.
            let (journal, locations) = join(appender)?;
            read?;
            for ((position, kind), location) in appended.into_iter().zip(locations) {
                // Nothing is fetched into this journal, so it does not matter what is final or fails with any key.
                match kind {
                    RecordKind::Failure => tasks.journal.set_failure(position, location, true),
                    _ => tasks.journal.set_response(position, location, true),
                }
            }
            Ok(FeedResult {
                is_complete: is_fed && !run.is_cancelled(),
                value: Imported {
                    journal,
                    tasks,
                    order,
                    duplicates,
                    unreadable,
                },
            })
        })
    }
}

/// A record to append to the journal.
enum ImportedRecord {
    Task {
        task_id: String,
        body: TaskBody,
        digest: BodyDigest,
        is_final: bool,
    },
    /// A record of another journal.
    Copy {
        head: RecordHead,
        task_id: String,
        body: Vec<u8>,
    },
}

/// The journal's thread: appends all records and syncs them; returns their locations, in order.
fn append_all(
    mut journal: Journal,
    records: &Receiver<Vec<ImportedRecord>>,
) -> Result<(Journal, Vec<Location>), ExportError> {
    let mut locations = Vec::new();
    for record in records.iter().flatten() {
        match record {
            ImportedRecord::Task {
                task_id,
                body,
                digest,
                is_final,
            } => journal.append(&JournalRecord {
                kind: RecordKind::Response,
                flags: if is_final { FLAG_FINAL } else { 0 },
                attempts: 0,
                time: unix_millis(),
                task_id: &task_id,
                body: &body,
                digest: Some(digest),
            }),
            ImportedRecord::Copy {
                head,
                task_id,
                body,
            } => journal.append_copy(&head, &task_id, &body),
        }
        if journal.is_full() {
            locations.append(&mut journal.write_blocks()?);
        }
    }
    locations.append(&mut journal.sync()?);
    Ok((journal, locations))
}

/// Why a line is not a valid task.
#[derive(Debug, Error)]
enum BadLine {
    #[error("it is over 1 GiB long")]
    TooLong,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// The reading thread.
struct SourceReader<'e> {
    appends: BatchSender<ImportedRecord>,
    /// The appended records: the position in `tasks`, and whether it is a response or a failure.
    appended: Vec<(usize, RecordKind)>,
    /// Cancelled by the user, and by the journal or the tables when they cannot go on.
    run: &'e CancellationToken,
    keep_secrets: bool,
    events: &'e Events,
    /// The IDs, in order. Their records are added when everything has been appended.
    tasks: JournalTasks,
    /// Whether each of these IDs has a response.
    has_response: Vec<bool>,
    order: Option<TaskIds>,
    parser: Parser,
    feed: Option<TaskSender>,
    duplicates: u64,
    unreadable: u64,
}

impl SourceReader<'_> {
    fn all(&mut self, sources: &[PathBuf]) -> Result<(), ExportError> {
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
        // A receiver that is gone has cancelled the run and reports why.
        let _ = self.appends.flush();
        Ok(())
    }

    /// Passes a record to the journal's thread. It counts for this ID unless a later one follows. Returns whether the ID
    /// came before.
    fn append(
        &mut self,
        task_id: &str,
        kind: RecordKind,
        append: ImportedRecord,
        bytes: usize,
    ) -> Result<InsertedId, InvalidId> {
        let inserted = self.tasks.insert(task_id)?;
        let position = inserted.position;
        self.has_response.resize(self.tasks.ids.len(), false);
        if let Some(has_response) = self.has_response.get_mut(position) {
            *has_response |= kind == RecordKind::Response;
        }
        self.appended.push((position, kind));
        // A receiver that is gone has cancelled the run, which ends the loop that calls this.
        let _ = self.appends.push(append, bytes);
        let done = self.tasks.ids.len();
        if done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
            self.events.send(Event::Progress { done, total: None });
        }
        Ok(inserted)
    }

    /// Copies what counts from the journal of another export.
    fn journal(&mut self, directory: &Path) -> Result<(), ExportError> {
        let _lock = Lock::share(directory, &StateDir::of_output(directory))?;
        let ReadJournal {
            tasks,
            mut reader,
            damaged,
            ..
        } = read_journal(directory, self.events, self.run)?;
        self.unreadable += damaged;
        let list = list_of(directory)?;
        if let Some(order) = &mut self.order {
            // An ID that is in the list already keeps its position. Every ID of an export is valid.
            for task_id in list.as_ref().unwrap_or(&tasks.ids).iter() {
                let _ = order.insert(task_id);
            }
        }
        for (task_id, entry) in tasks.ids.iter().zip(tasks.journal.iter()) {
            let place = self.tasks.ids.position(task_id);
            let has_come = place.and_then(|place| self.has_response.get(place));
            // A failure does not replace a response of an earlier source.
            if entry.response().is_none() && has_come.copied().unwrap_or_default() {
                continue;
            }
            let response = entry.response().map(|at| (RecordKind::Response, at));
            let failure = entry.failure().map(|at| (RecordKind::Failure, at));
            for (kind, location) in response.into_iter().chain(failure) {
                let mut body = Vec::new();
                let head = reader.read(task_id, location, &mut body)?;
                let bytes = body.len();
                if bytes > KEPT_BYTES {
                    reader.shrink();
                }
                let copy = ImportedRecord::Copy {
                    head,
                    task_id: task_id.to_owned(),
                    body,
                };
                // Every ID of a journal is valid.
                let _ = self.append(task_id, kind, copy, bytes);
            }
            if self.run.is_cancelled() {
                break;
            }
        }
        Ok(())
    }

    /// Reads tasks, one per line. Reports and skips lines that are not valid tasks.
    fn lines(&mut self, source: &Path) -> Result<(), ExportError> {
        let name = source.display().to_string();
        let run = self.run;
        let failed = |error: io::Error| ExportError::Source {
            name: name.clone(),
            cause: SourceError::Io(error),
        };
        let mut reader = open(source, run).map_err(failed)?;
        let mut line = Vec::new();
        for number in 1_u64.. {
            if line.capacity() > KEPT_BYTES {
                line = Vec::new();
                self.parser = Parser::default();
            }
            let no_memory = || ExportError::LineMemory {
                name: name.clone(),
                line: number,
            };
            let read = read_line(&mut *reader, MAX_LINE_BYTES, &mut line);
            let read = match read {
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(no_memory()),
                read => read.map_err(failed)?,
            };
            if read == 0 || run.is_cancelled() {
                break;
            }
            let is_too_long = read as u64 > MAX_LINE_BYTES;
            if is_too_long {
                reader.skip_until(b'\n').map_err(failed)?;
                line.clear();
            }
            let text = match number {
                1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
                _ => &line,
            };
            let text = text.trim_ascii();
            if text.is_empty() && !is_too_long {
                continue;
            }
            let done = if is_too_long {
                Err(BadLine::TooLong)
            } else {
                self.task(text)
            };
            match done {
                Ok(()) => {}
                Err(BadLine::Body(BodyError::NoMemory)) => return Err(no_memory()),
                Err(cause) => self.skip_line(&name, number, &cause),
            }
        }
        Ok(())
    }

    /// Reports a line that is not a valid task.
    fn skip_line(&mut self, name: &str, line: u64, cause: &BadLine) {
        self.unreadable += 1;
        if self.unreadable <= MAX_REPORTED_LINES {
            let text = format!("skipped `{name}`, line {line}: {cause}");
            self.events.send(Event::Warning(text));
        }
    }

    /// Appends a task.
    fn task(&mut self, body: &[u8]) -> Result<(), BadLine> {
        let body = BodyText::copy(body)?;
        let mut response = check_task(&body, None, self.keep_secrets, &mut self.parser)?;
        // Once, for the journal and for the digests of the publication.
        let digest = response.sha256();
        response.digest = Some(digest);
        let task_id = response.task_id.as_str();
        if let Some(note) = &response.note {
            self.events
                .send(Event::Warning(format!("task {task_id}: {note}")));
        }
        let append = ImportedRecord::Task {
            task_id: task_id.to_owned(),
            body: response.body.clone(),
            digest,
            is_final: response.is_final,
        };
        let bytes = response.body.len();
        let inserted = self.append(task_id, RecordKind::Response, append, bytes)?;
        self.duplicates += u64::from(!inserted.is_new);
        if let Some(order) = &mut self.order {
            // The ID is valid: it was appended.
            let _ = order.insert(task_id);
        }
        self.feed = self.feed.take().filter(|_| inserted.is_new);
        if let Some(to) = &mut self.feed {
            // As above: tables that cannot be written have cancelled the run.
            let _ = send_task(to, TaskInput::Response(response));
        }
        Ok(())
    }
}
