//! A worker builds ranges: it flattens the tasks of a range, and encodes and compresses their rows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::{TaskResponse, UnreadableBody};
use crate::encode::rows_encoder::{EncodedTable, RowsEncoder};
use crate::event::{Event, TASKS_BETWEEN_EVENTS};
use crate::flatten::entity_versions::EntityVersion;
use crate::flatten::flattener::Flattener;
use crate::jobs::error::ExportError;
use crate::jobs::ranges::range_turns::RangeTurns;
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{TaskInput, TaskReader};
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
    pub(crate) run: &'w CancellationToken,
}

impl Worker<'_> {
    /// Builds ranges until there are no more, and passes each to `send` with its number. Ends early when the run is
    /// cancelled, or when `send` returns false.
    pub(crate) fn run(
        mut self,
        send: impl Fn(usize, RangeResult) -> bool,
    ) -> Result<(), ExportError> {
        let mut parser = Parser::default();
        while let Some(number) = self.turns.take() {
            let Some(start) = self.reader.source.ranges.start(number) else {
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
        let mut builder = RangeBuilder::new(self.target, number, parser)?;
        let mut position = start;
        while let Some(input) = self.reader.next(number, position)? {
            if self.run.is_cancelled() {
                return Ok(None);
            }
            builder.add(position, input)?;
            position += 1;
            let done = position - start;
            if done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
                let before = self
                    .flattened
                    .fetch_add(TASKS_BETWEEN_EVENTS, Ordering::Relaxed);
                let all = before + TASKS_BETWEEN_EVENTS;
                self.target.events.send(Event::TasksFlattened(all));
            }
        }
        let is_whole = self.reader.source.ranges.has(number, position) == Some(false);
        is_whole.then(|| builder.finish()).transpose()
    }
}

/// A range that is being built.
struct RangeBuilder<'p> {
    flattener: Flattener,
    rows: RowsEncoder,
    parser: &'p mut Parser,
    failures: Vec<FailedTask>,
    exported: Vec<ExportedTask>,
}

/// The temporary file of a range, unless its rows are few.
fn spill_of(target: TableTarget<'_>, range: usize) -> PathBuf {
    target.staging.place(&format!("range-{range}.spill"))
}

impl<'p> RangeBuilder<'p> {
    fn new(
        target: TableTarget<'_>,
        range: usize,
        parser: &'p mut Parser,
    ) -> Result<Self, ExportError> {
        let selection = target.selection;
        let tables = selection.tables.tables();
        let tables = tables.filter(|table| table.row_kind != RowKind::Entity);
        let spill = spill_of(target, range);
        Ok(Self {
            flattener: Flattener::of_range(selection.tables),
            rows: RowsEncoder::new(selection.format, tables, Some(spill))?,
            parser,
            failures: Vec::new(),
            exported: Vec::new(),
        })
    }

    fn add(&mut self, position: usize, input: TaskInput) -> Result<(), ExportError> {
        match input {
            TaskInput::Response(response) => self.response(position, &response, None)?,
            TaskInput::Stale(response, note) => self.response(position, &response, Some(note))?,
            TaskInput::Failure(note) => self.fail(position, note, false),
            TaskInput::Missing => self.fail(position, missing(), false),
        }
        Ok(())
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
                self.exported.push(ExportedTask {
                    position,
                    sha256: response.sha256(),
                });
                if let Some(note) = failure {
                    self.fail(position, note, true);
                }
            }
            // Responses are checked before they are stored, but another version may have written the journal.
            (document, note) => {
                drop(document);
                self.fail(position, note.unwrap_or_else(missing), false);
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
        })
    }
}

/// What closed a sink, if that is known.
pub(crate) fn closed_by(rows: &mut RowsEncoder, error: SinkError) -> ExportError {
    rows.take_error()
        .map_or_else(|| error.into(), ExportError::Output)
}
