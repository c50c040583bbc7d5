//! Where the workers get what there is for each ID: from responses in memory, or from the journal, while that is being
//! written.

use std::thread;
use std::time::Duration;

use crate::api::body_check::KEPT_BYTES;
use crate::api::task_response::TaskResponse;
use crate::ids::range_cutter::RangeLengths;
use crate::ids::shared_ids::SharedIds;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::ranges::range_list::RangeList;
use crate::jobs::response_cache::ResponseCache;
use crate::journal::failure_note::FailureNote;
use crate::journal::format::{BodyDigest, FLAG_FINAL};
use crate::journal::index::IndexEntry;
use crate::journal::location::Location;
use crate::journal::reader::JournalReader;

/// How long to wait for results to gather behind one that has not arrived: waking a thread for each costs more than
/// flattening it.
const GATHER: Duration = Duration::from_millis(5);

/// What there is for an ID.
#[derive(Debug)]
pub(crate) enum TaskInput {
    /// A response.
    Response(TaskResponse),
    /// The last response, and why it could not be refreshed.
    Stale(TaskResponse, FailureNote),
    /// A final failure of this ID, and no response.
    Failure(FailureNote),
    /// Nothing for this ID, and nothing will come.
    Missing,
}

/// The response from which the tables have rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredDigest {
    /// There is none.
    None,
    /// It has this digest.
    Known(BodyDigest),
    /// The journal has version 1, which has no digests.
    Unknown,
}

impl StoredDigest {
    fn of(digest: Option<BodyDigest>) -> Self {
        digest.map_or(Self::Unknown, Self::Known)
    }
}

/// What the journal has for an ID, without the response itself.
#[derive(Debug)]
pub(crate) struct StoredTask {
    pub(crate) task_id: String,
    pub(crate) response: StoredDigest,
    /// The last failure after the response.
    pub(crate) failure: Option<FailureNote>,
}

/// The list of IDs: complete, or still being read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SourceIds<'t> {
    Complete(&'t TaskIds),
    Growing(&'t SharedIds),
}

impl SourceIds<'_> {
    /// The ID at a position.
    pub(crate) fn get(self, position: usize) -> String {
        match self {
            Self::Complete(ids) => ids.get(position).map(str::to_owned),
            Self::Growing(ids) => ids.get(position),
        }
        .unwrap_or_default()
    }
}

/// The tasks of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskSource<'t> {
    pub(crate) ids: SourceIds<'t>,
    pub(crate) ranges: &'t RangeList,
    pub(crate) index: &'t SharedIndex,
    pub(crate) cache: &'t ResponseCache,
    /// Whether tasks that the API reports as deleted leave the tables.
    pub(crate) drop_missing: bool,
}

/// The ranges of a complete list, in the lengths of this program.
pub(crate) fn ranges_of(ids: &TaskIds) -> RangeList {
    RangeList::of(ids, RangeLengths::of_program())
}

/// Reads what there is for each ID, on one thread.
#[derive(Debug)]
pub(crate) struct TaskReader<'t> {
    pub(crate) source: TaskSource<'t>,
    pub(crate) journal: JournalReader,
}

impl TaskReader<'_> {
    /// What there is for the ID at the next position of a range. Waits until there is something. `None` after the last ID
    /// of the range, and when the run ended before the ID had a result.
    pub(crate) fn next(
        &mut self,
        range: usize,
        position: usize,
    ) -> Result<Option<TaskInput>, ExportError> {
        let TaskSource {
            ids,
            ranges,
            index,
            cache,
            ..
        } = self.source;
        let mut is_in_range = ranges.has(range, position);
        if is_in_range.is_none() {
            thread::sleep(GATHER);
            ranges.wait(position);
            is_in_range = ranges.has(range, position);
        }
        if is_in_range != Some(true) {
            return Ok(None);
        }
        if let Some(response) = cache.take_next(position) {
            return Ok(Some(TaskInput::Response(response)));
        }
        let entry = index.get(position).or_else(|| {
            thread::sleep(GATHER);
            index.wait(position)
        });
        let task_id = ids.get(position);
        entry
            .map(|entry| self.stored(position, &task_id, entry))
            .transpose()
    }

    /// What the journal has for each ID of a range, without the responses. Waits until every ID has a result. `None` when
    /// the run ended before.
    pub(crate) fn tasks(
        &mut self,
        range: usize,
        start: usize,
    ) -> Result<Option<Vec<StoredTask>>, ExportError> {
        let mut tasks = Vec::new();
        let mut body = Vec::new();
        for position in start.. {
            match self.source.ranges.has(range, position) {
                Some(true) => {}
                Some(false) => break,
                // A list that is still being read.
                None => return Ok(None),
            }
            let Some(entry) = self.source.index.wait(position) else {
                return Ok(None);
            };
            let task_id = self.source.ids.get(position);
            let failure = match entry.failure() {
                Some(failure) => Some(self.journal.read_failure(&task_id, failure, &mut body)?),
                None => None,
            };
            let is_dropped = failure.as_ref().is_some_and(|note| self.drops(note));
            let response = match entry.response().filter(|_| !is_dropped) {
                Some(_) => StoredDigest::of(self.source.index.digest(position)),
                None => StoredDigest::None,
            };
            tasks.push(StoredTask {
                task_id,
                response,
                failure,
            });
        }
        Ok(Some(tasks))
    }

    /// Whether a task with this failure leaves the tables.
    fn drops(&self, note: &FailureNote) -> bool {
        self.source.drop_missing && note.is_gone()
    }

    /// Reads what the journal has for an ID.
    fn stored(
        &mut self,
        position: usize,
        task_id: &str,
        entry: IndexEntry,
    ) -> Result<TaskInput, ExportError> {
        let mut body = Vec::new();
        let failure = match entry.failure() {
            Some(failure) => Some(self.journal.read_failure(task_id, failure, &mut body)?),
            None => None,
        };
        Ok(match (entry.response(), failure) {
            (Some(_), Some(note)) if self.drops(&note) => TaskInput::Failure(note),
            (Some(response), Some(note)) => {
                TaskInput::Stale(self.response(position, task_id, response)?, note)
            }
            (Some(response), None) => {
                TaskInput::Response(self.response(position, task_id, response)?)
            }
            (None, Some(note)) => TaskInput::Failure(note),
            (None, None) => TaskInput::Missing,
        })
    }

    fn response(
        &mut self,
        position: usize,
        task_id: &str,
        location: Location,
    ) -> Result<TaskResponse, ExportError> {
        // It may have arrived while this thread waited.
        if let Some(response) = self.source.cache.take(position) {
            return Ok(response);
        }
        let mut body = Vec::new();
        let head = self.journal.read(task_id, location, &mut body)?;
        if body.len() > KEPT_BYTES {
            self.journal.shrink();
        }
        let is_final = head.flags & FLAG_FINAL != 0;
        Ok(TaskResponse {
            digest: head.digest(),
            ..TaskResponse::stored(task_id, body, is_final)
        })
    }
}
