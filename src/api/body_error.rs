//! Why a body is not the task or the page that was requested.

use std::collections::TryReserveError;

use bytes::Bytes;
use thiserror::Error;

use crate::api::reply::{AttemptError, AttemptFault};
use crate::json::lexer::JsonError;
use crate::memory::NO_MEMORY;

/// Why a body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is not UTF-8.
    #[error("the body is not UTF-8: invalid from byte {0} on")]
    NotUtf8(usize),
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(JsonError),
    /// It is JSON, but not an object with a string for `task_id`.
    #[error("the body is not a task: it has no task_id")]
    NoTask,
    /// It is another task.
    #[error("the body is another task")]
    OtherTask,
    /// It is over a limit of the parser.
    #[error("the body is too large to parse: {0}")]
    TooLarge(JsonError),
    /// There is not enough memory for it.
    #[error("there is not enough memory for the body")]
    NoMemory,
    /// It is JSON, but not a page of a list.
    #[error("the body is not a page of tasks: {0}")]
    NoPage(&'static str),
}

impl From<TryReserveError> for BodyError {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

impl BodyError {
    /// What this means for the attempt; `body` is the body if it may be kept.
    pub(crate) fn into_attempt_error(self, body: Option<Bytes>) -> AttemptError {
        let (fault, message) = match self {
            Self::OtherTask => (
                AttemptFault::WrongTask,
                "the response is another task".to_owned(),
            ),
            Self::NoMemory => (AttemptFault::NoMemory, NO_MEMORY.to_owned()),
            Self::TooLarge(_) => (AttemptFault::TooLarge, self.to_string()),
            Self::NotUtf8(_) | Self::NotJson(_) | Self::NoTask | Self::NoPage(_) => {
                (AttemptFault::BadBody, self.to_string())
            }
        };
        AttemptError {
            body: body.filter(|_| fault == AttemptFault::BadBody),
            ..AttemptError::new(fault, message)
        }
    }
}
