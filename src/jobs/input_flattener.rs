//! The flattening thread: each response becomes rows and a digest, each failure a line of `failures.jsonl`.

use std::sync::mpsc::Receiver;

use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::{TaskResponse, UnreadableBody};
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::flatten::flattener::Flattener;
use crate::jobs::error::ExportError;
use crate::jobs::failed_tasks::FailedTasks;
use crate::jobs::part_channel::RowSender;
use crate::jobs::task_input::TaskInput;
use crate::journal::failure_note::FailureNote;
use crate::json::document::Document;
use crate::json::parser::Parser;
use crate::publish::digest_file::{DigestKind, TaskDigest};
use crate::publish::digest_writer::DigestWriter;
use crate::publish::failure_lines::{missing, unusable};
use crate::tables::schema_drift::Drift;

/// What flattening found apart from rows.
#[derive(Debug)]
pub(crate) struct FlattenSummary {
    pub(crate) drift: Drift,
    pub(crate) failures: FailedTasks,
    pub(crate) exported: u64,
}

/// Makes rows of what there is for each ID. One thread does this.
pub(crate) struct InputFlattener {
    flattener: Flattener,
    rows: RowSender,
    parser: Parser,
    failures: FailedTasks,
    exported: u64,
    digests: DigestWriter,
}

impl InputFlattener {
    pub(crate) fn new(flattener: Flattener, rows: RowSender, digests: DigestWriter) -> Self {
        Self {
            flattener,
            rows,
            parser: Parser::default(),
            failures: FailedTasks::default(),
            exported: 0,
            digests,
        }
    }

    /// Flattens what arrives; returns false when the run is cancelled before the end.
    pub(crate) fn tasks(
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
                self.flattener.task(task_id, &document, &mut self.rows)?;
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
            // One huge task must not hold its memory until the end of the run.
            self.parser = Parser::default();
        }
        Ok(())
    }

    /// Sends the last rows, if all tasks were flattened, and closes the channel to the writing thread.
    pub(crate) fn finish(
        mut self,
        is_complete: bool,
    ) -> Result<Option<(FlattenSummary, DigestWriter)>, ExportError> {
        if !is_complete {
            return Ok(None);
        }
        self.rows.finish()?;
        let drift = self.flattener.finish();
        let summary = FlattenSummary {
            drift,
            failures: self.failures,
            exported: self.exported,
        };
        Ok(Some((summary, self.digests)))
    }
}
