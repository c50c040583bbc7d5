//! A worker builds ranges: it flattens the tasks of a range, and encodes and compresses their rows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::{TaskResponse, UnreadableBody};
use crate::encode::format::Selection;
use crate::encode::rows_encoder::{EncodedTable, RowsEncoder};
use crate::event::{Event, TASKS_BETWEEN_EVENTS};
use crate::flatten::entity_versions::EntityVersion;
use crate::flatten::flattener::Flattener;
use crate::jobs::error::ExportError;
use crate::jobs::ranges::range_key::{RangeKey, RangeKeyHasher};
use crate::jobs::ranges::range_turns::RangeTurns;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{StoredDigest, StoredTask, TaskInput, TaskReader};
use crate::journal::failure_note::FailureNote;
use crate::json::document::Document;
use crate::json::parser::Parser;
use crate::publish::digest_file::ResponseDigest;
use crate::publish::failure_lines::{missing, unusable};
use crate::tables::row_key::RowKind;
use crate::tables::row_sink::SinkError;
use crate::tables::schema_drift::Drift;

/// What a range of tasks gives. It depends on their responses and failures and on the options alone.
#[derive(Debug)]
pub(crate) struct RangeResult {
    /// The rows of all tables but `projects` and `batches`.
    pub(crate) tables: Vec<EncodedTable>,
    /// The versions of projects and batches, in the order in which tasks carry them.
    pub(crate) versions: Vec<EntityVersion>,
    pub(crate) drift: Drift,
    /// Failed and stale tasks, in order.
    pub(crate) failures: Vec<FailedTask>,
    /// Exported tasks, in order.
    pub(crate) exported: Vec<ExportedTask>,
    /// Whether its rows are copied from the published tables.
    pub(crate) is_copied: bool,
    pub(crate) key: RangeKey,
    /// Responses that cannot be used: their positions in the range, and why.
    pub(crate) unusable: Vec<(usize, FailureNote)>,
}

/// A task that failed, or that could not be refreshed.
#[derive(Debug)]
pub(crate) struct FailedTask {
    pub(crate) position: usize,
    pub(crate) note: FailureNote,
    /// Whether it is exported from an earlier response.
    pub(crate) exported: bool,
}

/// A task that is exported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportedTask {
    pub(crate) position: usize,
    pub(crate) sha256: ResponseDigest,
}

/// Builds ranges on one thread.
pub(crate) struct Worker<'w> {
    pub(crate) target: TableTarget<'w>,
    pub(crate) reader: TaskReader<'w>,
    pub(crate) turns: &'w RangeTurns,
    /// Tasks that all workers have flattened.
    pub(crate) flattened: &'w AtomicUsize,
    /// Ends the build.
    pub(crate) build: &'w CancellationToken,
}

impl Worker<'_> {
    /// Builds ranges until there are no more, and passes each to `send` with its number. Ends early when the build
    /// is cancelled, or when `send` returns false.
    pub(crate) fn run(
        mut self,
        send: impl Fn(usize, RangeResult) -> bool,
    ) -> Result<(), ExportError> {
        let mut parser = Parser::default();
        while let Some(number) = self.turns.take() {
            let start = self.reader.source.ranges.start(number);
            let Some(start) = start.filter(|_| !self.build.is_cancelled()) else {
                break;
            };
            let Some(result) = self.range(number, start, &mut parser)? else {
                break;
            };
            if !send(number, result) {
                break;
            }
        }
        Ok(())
    }

    /// Builds a range. Returns nothing when the run ended before.
    fn range(
        &mut self,
        number: usize,
        start: usize,
        parser: &mut Parser,
    ) -> Result<Option<RangeResult>, ExportError> {
        if let Some(saved) = self.target.saved {
            let Some(tasks) = self.reader.tasks(number, start)? else {
                return Ok(None);
            };
            let positions = start..start + tasks.len();
            if let Some(copied) = copied(saved, self.target.selection, start, tasks) {
                // Responses that arrived are not read, and take the room of those that will be.
                self.reader.source.cache.forget(positions.clone());
                self.report(positions.len());
                return Ok(Some(copied));
            }
        }
        let mut builder = RangeBuilder::new(self.target, (number, start), parser)?;
        let mut position = start;
        while let Some(input) = self.reader.next(number, position)? {
            if self.build.is_cancelled() {
                return Ok(None);
            }
            let task_id = self.reader.source.ids.get(position);
            builder.add(position, &task_id, input)?;
            position += 1;
            let done = position - start;
            if done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
                self.report(TASKS_BETWEEN_EVENTS);
            }
        }
        let is_whole = self.reader.source.ranges.has(number, position) == Some(false);
        is_whole.then(|| builder.finish()).transpose()
    }

    /// Reports more tasks that are in ranges.
    fn report(&self, tasks: usize) {
        let before = self.flattened.fetch_add(tasks, Ordering::Relaxed);
        let event = Event::TasksFlattened(before + tasks);
        self.target.events.send(event);
    }
}

/// A range that is being built.
struct RangeBuilder<'p> {
    flattener: Flattener,
    rows: RowsEncoder,
    parser: &'p mut Parser,
    start: usize,
    key: RangeKeyHasher,
    failures: Vec<FailedTask>,
    unusable: Vec<(usize, FailureNote)>,
    exported: Vec<ExportedTask>,
}

/// The temporary file of a range, unless its rows are few.
fn spill_of(target: TableTarget<'_>, range: usize) -> PathBuf {
    target.staging.place(&format!("range-{range}.spill"))
}

impl<'p> RangeBuilder<'p> {
    fn new(
        target: TableTarget<'_>,
        (number, start): (usize, usize),
        parser: &'p mut Parser,
    ) -> Result<Self, ExportError> {
        let selection = target.selection;
        let tables = selection.tables.tables();
        let tables = tables.filter(|table| table.row_kind != RowKind::Entity);
        let spill = spill_of(target, number);
        Ok(Self {
            flattener: Flattener::of_range(selection.tables),
            rows: RowsEncoder::new(selection.format, tables, Some(spill))?,
            parser,
            start,
            key: RangeKeyHasher::new(selection),
            failures: Vec::new(),
            unusable: Vec::new(),
            exported: Vec::new(),
        })
    }

    fn add(&mut self, position: usize, task_id: &str, input: TaskInput) -> Result<(), ExportError> {
        match input {
            TaskInput::Response(response) => self.response(position, &response, None)?,
            TaskInput::Stale(response, note) => self.response(position, &response, Some(note))?,
            TaskInput::Failure(note) => self.without_response(position, task_id, note),
            TaskInput::Missing => self.without_response(position, task_id, missing()),
        }
        Ok(())
    }

    fn without_response(&mut self, position: usize, task_id: &str, note: FailureNote) {
        self.key.add(task_id, None);
        self.fail(position, note, false);
    }

    fn fail(&mut self, position: usize, note: FailureNote, exported: bool) {
        self.failures.push(FailedTask {
            position,
            note,
            exported,
        });
    }

    /// Flattens a response; `failure` says why it could not be refreshed, if it could not.
    fn response(
        &mut self,
        position: usize,
        response: &TaskResponse,
        failure: Option<FailureNote>,
    ) -> Result<(), ExportError> {
        let task_id = response.task_id.as_str();
        // A journal of version 1 has no digests, so it is computed here, and once.
        let sha256 = response.sha256();
        self.key.add(task_id, Some(sha256));
        let document = response.document(self.parser);
        if document.as_ref().is_err_and(UnreadableBody::is_memory) {
            let task_id = task_id.to_owned();
            return Err(ExportError::NoMemory { task_id });
        }
        let note = unusable(task_id, document.as_ref().map(Document::root));
        match (document, note) {
            (Ok(document), None) => {
                let flattened = self.flattener.task(task_id, &document, &mut self.rows);
                flattened.map_err(|error| closed_by(&mut self.rows, error))?;
                self.exported.push(ExportedTask { position, sha256 });
                if let Some(note) = failure {
                    self.fail(position, note, true);
                }
            }
            // Responses are checked before they are stored, but another version may have written the journal.
            (document, note) => {
                drop(document);
                let note = note.unwrap_or_else(missing);
                self.unusable.push((position - self.start, note.clone()));
                self.fail(position, note, false);
            }
        }
        if response.body.len() > KEPT_BYTES {
            // One huge task must not hold its memory until the end of the run.
            *self.parser = Parser::default();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<RangeResult, ExportError> {
        let tables = self.rows.finish();
        let tables = tables.map_err(|error| closed_by(&mut self.rows, error))?;
        let (drift, versions) = self.flattener.finish_range();
        Ok(RangeResult {
            tables,
            versions,
            drift,
            failures: self.failures,
            exported: self.exported,
            is_copied: false,
            key: self.key.finish(),
            unusable: self.unusable,
        })
    }
}

/// The range of these tasks from the published tables, if it is there and not damaged.
fn copied(
    saved: &SavedTables,
    selection: Selection,
    start: usize,
    tasks: Vec<StoredTask>,
) -> Option<RangeResult> {
    let mut key = RangeKeyHasher::new(selection);
    for task in &tasks {
        match task.response {
            StoredDigest::None => key.add(&task.task_id, None),
            StoredDigest::Known(digest) => key.add(&task.task_id, Some(digest)),
            // It may be any response.
            StoredDigest::Unknown => return None,
        }
    }
    let key = key.finish();
    let range = saved.copy(&key)?;
    let mut unusable = range.unusable.iter().peekable();
    let mut failures = Vec::new();
    let mut exported = Vec::new();
    for (index, task) in tasks.into_iter().enumerate() {
        let position = start + index;
        let cause = unusable.next_if(|(other, _)| *other == index);
        let sha256 = match (task.response, cause) {
            (StoredDigest::Known(sha256), None) => Some(sha256),
            _ => None,
        };
        exported.extend(sha256.map(|sha256| ExportedTask { position, sha256 }));
        let note = match cause {
            Some((_, note)) => Some(note.clone()),
            None if sha256.is_some() => task.failure,
            None => Some(task.failure.unwrap_or_else(missing)),
        };
        failures.extend(note.map(|note| FailedTask {
            position,
            note,
            exported: sha256.is_some(),
        }));
    }
    Some(RangeResult {
        tables: range.tables,
        versions: range.versions,
        drift: range.drift,
        failures,
        exported,
        is_copied: true,
        key,
        unusable: range.unusable,
    })
}

/// What closed a sink, if that is known.
pub(crate) fn closed_by(rows: &mut RowsEncoder, error: SinkError) -> ExportError {
    rows.take_error()
        .map_or_else(|| error.into(), ExportError::Output)
}
