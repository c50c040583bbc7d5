//! Builds the tables: one thread feeds tasks, the caller's thread flattens them, a third thread encodes the rows.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::thread::{self, Scope, ScopedJoinHandle};

use arrow::array::RecordBatch;
use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::{TaskResponse, UnreadableBody};
use crate::encode::format::Selection;
use crate::encode::table_writers::{TableWriters, WrittenTable};
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::failure_kind::FailureKind;
use crate::flatten::flattener::Flattener;
use crate::jobs::batch_channel;
use crate::jobs::batch_channel::{BatchSender, ReceiverClosed};
use crate::jobs::error::ExportError;
use crate::jobs::task_input::{TaskInput, TaskSender};
use crate::journal::reader::FailureNote;
use crate::json::document::Document;
use crate::json::parser::Parser;
use crate::output_error::OutputError;
use crate::publish::digest_file::{DigestKind, TaskDigest};
use crate::publish::digest_writer::DigestWriter;
use crate::publish::failure_lines::{missing, unusable, write_line};
use crate::publish::staging::Staging;
use crate::state::paths::NEW_DIGESTS;
use crate::tables::batch_builder::{BatchSink, SinkError};
use crate::tables::schema_drift::Drift;
use crate::tables::table::TableInfo;
use crate::threads;

/// Complete tables under temporary names, and what was found while they were built.
#[derive(Debug)]
pub(crate) struct BuiltTables {
    pub(crate) tables: Vec<WrittenTable>,
    pub(crate) flattened: Flattened,
    /// The digests of the exported tasks, not complete yet.
    pub(crate) digests: DigestWriter,
}

/// What flattening found apart from rows.
#[derive(Debug)]
pub(crate) struct Flattened {
    pub(crate) drift: Drift,
    pub(crate) failures: Failures,
    pub(crate) exported: u64,
}

/// The IDs that failed, or whose response could not be refreshed.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The content of `failures.jsonl`.
    pub(crate) lines: Vec<u8>,
    /// Failed and stale IDs.
    pub(crate) by_kind: BTreeMap<FailureKind, u64>,
    /// Failed IDs that are exported from an earlier response.
    pub(crate) stale: u64,
    /// Of `by_kind`, IDs that are not exported, since the API returned 404 or 410.
    gone_by_kind: BTreeMap<FailureKind, u64>,
    /// Positions of the IDs that are not exported, ascending.
    pub(crate) positions: Vec<usize>,
    /// Of `positions`, those of IDs for which the API returned 404 or 410.
    gone_positions: Vec<usize>,
}

impl Failures {
    pub(crate) fn add(
        &mut self,
        position: usize,
        task_id: &str,
        note: &FailureNote,
        exported: bool,
    ) {
        write_line(task_id, note, exported, &mut self.lines);
        if exported {
            self.stale += 1;
        } else {
            if note.is_gone() {
                *self.gone_by_kind.entry(note.kind).or_default() += 1;
                self.gone_positions.push(position);
            }
            self.positions.push(position);
        }
        *self.by_kind.entry(note.kind).or_default() += 1;
    }

    /// IDs that are not exported, since the API returned 404 or 410.
    pub(crate) fn gone(&self) -> u64 {
        self.gone_by_kind.values().sum()
    }

    /// Failures by kind, without those that count as deleted tasks with `--drop-missing`.
    pub(crate) fn counted(&self, drop_missing: bool) -> BTreeMap<FailureKind, u64> {
        let mut counted = self.by_kind.clone();
        if drop_missing {
            for (kind, gone) in &self.gone_by_kind {
                if let Some(count) = counted.get_mut(kind) {
                    *count -= gone;
                }
            }
            counted.retain(|_, count| *count > 0);
        }
        counted
    }

    /// IDs that are not exported.
    pub(crate) fn failed(&self) -> u64 {
        self.positions.len() as u64
    }

    /// Whether the ID at a position is not exported, and is not a deleted task: with `drop_missing`, the IDs that the API
    /// reports as missing are.
    pub(crate) fn is_failed_fetch(&self, position: usize, drop_missing: bool) -> bool {
        let is_gone = || self.gone_positions.binary_search(&position).is_ok();
        self.has(position) && !(drop_missing && is_gone())
    }

    /// Whether the ID at a position is not exported.
    pub(crate) fn has(&self, position: usize) -> bool {
        self.positions.binary_search(&position).is_ok()
    }
}

/// The result of a feeding thread.
pub(crate) struct FeedResult<T> {
    /// Whether all tasks were fed. Otherwise there are no tables.
    pub(crate) is_complete: bool,
    pub(crate) value: T,
}

/// Which tables are built, and where.
#[derive(Clone, Copy)]
pub(crate) struct TableTarget<'s> {
    pub(crate) selection: Selection,
    pub(crate) staging: &'s Staging,
    pub(crate) events: &'s Events,
}

/// Builds all tables from what `feed` sends on a second thread. Returns no tables when it did not feed all tasks, or when
/// the run is cancelled. Cancels the run when the tables cannot be written: the rest need not be fetched then.
pub(crate) fn run<T: Send>(
    target: TableTarget<'_>,
    run: &CancellationToken,
    feed: impl FnOnce(TaskSender) -> Result<FeedResult<T>, ExportError> + Send,
) -> Result<(T, Option<BuiltTables>), ExportError> {
    build(target, run, feed).inspect_err(|_| run.cancel())
}

fn build<T: Send>(
    target: TableTarget<'_>,
    run: &CancellationToken,
    feed: impl FnOnce(TaskSender) -> Result<FeedResult<T>, ExportError> + Send,
) -> Result<(T, Option<BuiltTables>), ExportError> {
    let TableTarget {
        selection,
        staging,
        events,
    } = target;
    let writers = TableWriters::begin(selection, |name| staging.create(name))?;
    let digests = DigestWriter::begin(staging.create(NEW_DIGESTS)?)?;
    thread::scope(|scope| {
        let (sender, arrived) = batch_channel::channel();
        let feeder = spawn(scope, move || feed(sender))?;
        let (sender, batches) = batch_channel::channel();
        let encoder = spawn(scope, move || {
            // At once: the feeding thread may wait for responses for a long time.
            encode(writers, &batches).inspect_err(|_| run.cancel())
        })?;
        let rows = Flattener::new(selection.tables);
        let mut build = TableBuild::new(rows, Encoder(sender), digests);
        let taken = build.tasks(arrived, events, run);
        // Both channels are closed by now, so neither thread waits for this one.
        let finished = taken.and_then(|is_complete| build.finish(is_complete));
        if finished.is_err() {
            run.cancel();
        }
        let (feeder, encoder) = (join(feeder), join(encoder));
        // Of several errors, the one that caused the others is reported.
        let writers = encoder?;
        let FeedResult { is_complete, value } = feeder?;
        let Some((flattened, digests)) = finished?.filter(|_| is_complete) else {
            return Ok((value, None));
        };
        let tables = writers.finish()?;
        let all = BuiltTables {
            tables,
            flattened,
            digests,
        };
        Ok((value, Some(all)))
    })
}

/// Starts a thread. A refusal of the system is an error.
pub(crate) fn spawn<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, ExportError> {
    threads::builder()
        .spawn_scoped(scope, work)
        .map_err(ExportError::Thread)
}

/// The result of a thread. A panic in it continues here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A batch of rows of a table.
type TableBatch = (&'static TableInfo, RecordBatch);

/// The encoder's thread: writes batches as they come.
fn encode(
    mut writers: TableWriters,
    batches: &Receiver<Vec<TableBatch>>,
) -> Result<TableWriters, OutputError> {
    for (table, batch) in batches.iter().flatten() {
        writers.write(table, batch)?;
    }
    Ok(writers)
}

/// Sends batches to the encoder.
struct Encoder(BatchSender<TableBatch>);

impl BatchSink for Encoder {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let bytes = batch.get_array_memory_size();
        Ok(self.0.push((table, batch), bytes)?)
    }
}

impl From<ReceiverClosed> for SinkError {
    fn from(_: ReceiverClosed) -> Self {
        Self::Closed
    }
}

/// The flattening thread.
struct TableBuild {
    flattener: Flattener,
    encoder: Encoder,
    parser: Parser,
    failures: Failures,
    exported: u64,
    digests: DigestWriter,
}

impl TableBuild {
    fn new(flattener: Flattener, encoder: Encoder, digests: DigestWriter) -> Self {
        Self {
            flattener,
            encoder,
            parser: Parser::default(),
            failures: Failures::default(),
            exported: 0,
            digests,
        }
    }

    /// Flattens what arrives; returns false when the run is cancelled before the end.
    fn tasks(
        &mut self,
        arrived: Receiver<Vec<TaskInput>>,
        events: &Events,
        run: &CancellationToken,
    ) -> Result<bool, ExportError> {
        let mut done = 0;
        for input in arrived.into_iter().flatten() {
            if run.is_cancelled() {
                return Ok(false);
            }
            match input {
                TaskInput::Response(response) => self.response(done, &response, None)?,
                TaskInput::Stale(response, note) => self.response(done, &response, Some(note))?,
                TaskInput::Failure(task_id, note) => {
                    self.failures.add(done, &task_id, &note, false);
                }
                TaskInput::Missing(task_id) => {
                    self.failures.add(done, &task_id, &missing(), false);
                }
            }
            done += 1;
            if done % TASKS_BETWEEN_EVENTS == 0 {
                events.send(Event::TasksFlattened(done));
            }
        }
        Ok(true)
    }

    /// Flattens a response; `failure` says why it could not be refreshed, if it could not.
    fn response(
        &mut self,
        position: usize,
        response: &TaskResponse,
        failure: Option<FailureNote>,
    ) -> Result<(), ExportError> {
        let task_id = response.task_id.as_str();
        let document = response.document(&mut self.parser);
        if document.as_ref().is_err_and(UnreadableBody::is_memory) {
            let task_id = task_id.to_owned();
            return Err(ExportError::NoMemory { task_id });
        }
        let root = document.as_ref().map(Document::root);
        let note = unusable(task_id, root);
        match (document, note) {
            (Ok(document), None) => {
                self.flattener.task(task_id, &document, &mut self.encoder)?;
                self.exported += 1;
                self.digests.push(TaskDigest {
                    kind: DigestKind::Exported,
                    task_id,
                    sha256: response.sha256(),
                })?;
                if let Some(note) = failure {
                    self.failures.add(position, task_id, &note, true);
                }
            }
            // Responses are checked before they are stored, but another version may have written the journal.
            (document, note) => {
                drop(document);
                let note = note.unwrap_or_else(missing);
                self.failures.add(position, task_id, &note, false);
            }
        }
        if response.body.len() > KEPT_BYTES {
            self.parser = Parser::default();
        }
        Ok(())
    }

    /// Sends the last rows, if all tasks were flattened, and closes the channel to the encoder.
    fn finish(
        mut self,
        is_complete: bool,
    ) -> Result<Option<(Flattened, DigestWriter)>, ExportError> {
        if !is_complete {
            return Ok(None);
        }
        let drift = self.flattener.finish(&mut self.encoder)?;
        self.encoder.0.flush().map_err(SinkError::from)?;
        let flattened = Flattened {
            drift,
            failures: self.failures,
            exported: self.exported,
        };
        Ok(Some((flattened, self.digests)))
    }
}
