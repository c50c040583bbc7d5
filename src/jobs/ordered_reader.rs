//! Reads the journal in the order of the IDs, while it is being written, and ahead of the tables.

use std::thread;
use std::time::Duration;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::TaskResponse;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::response_cache::ResponseCache;
use crate::jobs::table_builder::FeedResult;
use crate::jobs::task_input::{TaskInput, TaskSender, send_task};
use crate::journal::failure_note::FailureNote;
use crate::journal::format::FLAG_FINAL;
use crate::journal::index::IndexEntry;
use crate::journal::location::Location;
use crate::journal::reader::JournalReader;

/// How long to wait for results to gather behind one that has not arrived: waking a thread for each costs more than
/// flattening it.
const GATHER: Duration = Duration::from_millis(5);

/// Where the responses for the tables come from.
pub(crate) struct OrderedReader<'f> {
    pub(crate) ids: &'f TaskIds,
    pub(crate) index: &'f SharedIndex,
    pub(crate) reader: JournalReader,
    pub(crate) cache: &'f ResponseCache,
    /// Whether tasks that the API reports as deleted leave the tables.
    pub(crate) drop_missing: bool,
}

impl OrderedReader<'_> {
    /// Hands over what there is for every ID, in order. The result is not whole if the run ended before every ID had a
    /// result, or if the receiver has stopped.
    pub(crate) fn send_all(self, mut to: TaskSender) -> Result<FeedResult<()>, ExportError> {
        let is_complete = self.all(&mut to)?;
        Ok(FeedResult {
            is_complete,
            value: (),
        })
    }

    fn all(mut self, to: &mut TaskSender) -> Result<bool, ExportError> {
        for (position, task_id) in self.ids.iter().enumerate() {
            let entry = if let Some(entry) = self.index.get(position) {
                Some(entry)
            } else {
                if to.flush().is_err() {
                    return Ok(false);
                }
                thread::sleep(GATHER);
                self.index.wait(position)
            };
            let Some(entry) = entry else {
                return Ok(false);
            };
            let input = self.input(position, task_id, entry)?;
            if send_task(to, input).is_err() {
                return Ok(false);
            }
        }
        Ok(to.flush().is_ok())
    }

    /// Reads what there is for an ID.
    fn input(
        &mut self,
        position: usize,
        task_id: &str,
        entry: IndexEntry,
    ) -> Result<TaskInput, ExportError> {
        let mut body = Vec::new();
        let failure = match entry.failure() {
            Some(failure) => Some(self.reader.read_failure(task_id, failure, &mut body)?),
            None => None,
        };
        let is_dropped = |note: &FailureNote| self.drop_missing && note.is_gone();
        Ok(match (entry.response(), failure) {
            (Some(_), Some(note)) if is_dropped(&note) => {
                TaskInput::Failure(task_id.to_owned(), note)
            }
            (Some(response), Some(note)) => {
                TaskInput::Stale(self.response(position, task_id, response)?, note)
            }
            (Some(response), None) => {
                TaskInput::Response(self.response(position, task_id, response)?)
            }
            (None, Some(note)) => TaskInput::Failure(task_id.to_owned(), note),
            (None, None) => TaskInput::Missing(task_id.to_owned()),
        })
    }

    fn response(
        &mut self,
        position: usize,
        task_id: &str,
        location: Location,
    ) -> Result<TaskResponse, ExportError> {
        if let Some(response) = self.cache.take(position) {
            return Ok(response);
        }
        let mut body = Vec::new();
        let head = self.reader.read(task_id, location, &mut body)?;
        if body.len() > KEPT_BYTES {
            self.reader.shrink();
        }
        let is_final = head.flags & FLAG_FINAL != 0;
        Ok(TaskResponse {
            digest: head.digest(),
            ..TaskResponse::stored(task_id, body, is_final)
        })
    }
}
