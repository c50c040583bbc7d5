//! Why an ID failed for good.

use serde::{Deserialize, Serialize};

use crate::failure_kind::{FailureKind, is_gone};

/// A final failure, as the journal and `failures.jsonl` have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// Why.
    pub kind: FailureKind,
    /// Status of the last response, if there was one.
    pub http_status: Option<u16>,
    /// Requests that were sent.
    pub attempts: u32,
    /// What went wrong last, printable and without secrets.
    pub message: String,
}

impl FailureNote {
    /// Whether the API reports the task as missing.
    pub fn is_gone(&self) -> bool {
        is_gone(self.http_status)
    }
}
