//! The thread of an import that reads the sources.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::api::body_check::{KEPT_BYTES, check_task};
use crate::api::body_error::BodyError;
use crate::api::body_text::BodyText;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
use crate::jobs::batch_channel::BatchSender;
use crate::jobs::error::ExportError;
use crate::jobs::import::journal_appender::{ImportedContent, ImportedRecord};
use crate::jobs::import::journal_source::{ReadJournal, is_export, list_of, read_journal};
use crate::jobs::import::shared_import::{Feed, SharedImport};
use crate::jobs::read_ahead::open;
use crate::jobs::source_error::SourceError;
use crate::journal::format::RecordKind;
use crate::json::parser::Parser;
use crate::memory::read_line;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// The maximum size of a line in bytes. A line is a whole task, and a text column of a batch holds at most 2 GiB.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// The maximum number of invalid lines that are reported one by one.
const MAX_REPORTED_LINES: u64 = 10;

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
pub(crate) struct SourceReader<'e> {
    pub(crate) appends: BatchSender<ImportedRecord>,
    pub(crate) shared: &'e SharedImport,
    /// Cancelled by the user, and by the journal or the tables when they cannot go on.
    pub(crate) run: &'e CancellationToken,
    pub(crate) keep_secrets: bool,
    pub(crate) events: &'e Events,
    /// Whether each of the IDs has a response.
    pub(crate) has_response: Vec<bool>,
    pub(crate) order: Option<TaskIds>,
    pub(crate) parser: Parser,
    pub(crate) feed: Option<Feed<'e>>,
    pub(crate) duplicates: u64,
    pub(crate) unreadable: u64,
}

impl SourceReader<'_> {
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
        content: ImportedContent,
        bytes: usize,
    ) -> Result<InsertedId, InvalidId> {
        let inserted = self.shared.ids.insert(task_id)?;
        let position = inserted.position;
        if inserted.is_new {
            self.shared.ranges.push(task_id);
            self.has_response.push(false);
        }
        if let Some(has_response) = self.has_response.get_mut(position) {
            *has_response |= kind == RecordKind::Response;
        }
        let append = ImportedRecord { position, content };
        // A receiver that is gone has cancelled the run, which ends the loop that calls this.
        let _ = self.appends.push(append, bytes);
        let done = position + 1;
        if inserted.is_new && done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
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
            let place = self.shared.ids.position(task_id);
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
                let copy = ImportedContent::Copy {
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
        let append = ImportedContent::Task {
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
        self.feed = self.feed.filter(|feed| {
            if !inserted.is_new {
                feed.build.cancel();
                feed.cache.close();
            }
            inserted.is_new
        });
        match self.feed {
            Some(feed) if feed.cache.is_in_order() => {
                feed.cache.keep_next(inserted.position, response);
            }
            Some(feed) => feed.cache.keep(inserted.position, response),
            None => {}
        }
        Ok(())
    }
}
