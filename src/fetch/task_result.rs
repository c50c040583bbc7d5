//! What fetching one ID gives, on its way to the journal.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::api::task_response::TaskResponse;
use crate::journal::failure_note::FailureNote;

/// The task, or why its ID failed for good.
pub type TaskResult = Result<TaskResponse, TaskFailure>;

/// Why an ID failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// The ID.
    pub task_id: String,
    /// What the journal and `failures.jsonl` say of it.
    pub note: FailureNote,
    /// The last body, if it is what was wrong and it may be kept.
    pub body: Option<Bytes>,
}

/// A result on its way to the journal. Its request counts as in flight until it is stored, so that a crash costs no
/// more requests than are in flight.
#[derive(Debug)]
pub struct FetchedTask {
    /// The position of the ID in the list.
    pub position: usize,
    /// Attempts that were made for it.
    pub attempts: u32,
    /// The result.
    pub result: TaskResult,
    /// To be notified when the result is stored.
    pub stored: oneshot::Sender<()>,
}
