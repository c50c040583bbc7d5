//! What there is for each ID, on its way to the tables in the order of the rows.

use crate::api::task_response::TaskResponse;
use crate::jobs::batch_channel::{BatchSender, ReceiverClosed};
use crate::journal::failure_note::FailureNote;

/// What there is for an ID.
#[derive(Debug)]
pub(crate) enum TaskInput {
    /// A response.
    Response(TaskResponse),
    /// The last response, and why it could not be refreshed.
    Stale(TaskResponse, FailureNote),
    /// A final failure of this ID, and no response.
    Failure(String, FailureNote),
    /// Nothing for this ID, and nothing will come.
    Missing(String),
}

/// Hands over what there is, in order.
pub(crate) type TaskSender = BatchSender<TaskInput>;

/// Hands one over, now or with the next ones.
pub(crate) fn send_task(sender: &mut TaskSender, input: TaskInput) -> Result<(), ReceiverClosed> {
    let bytes = match &input {
        TaskInput::Response(response) | TaskInput::Stale(response, _) => response.size(),
        TaskInput::Failure(..) | TaskInput::Missing(_) => 0,
    };
    sender.push(input, bytes)
}
