//! Failed and stale IDs by kind.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::failure_kind::FailureKind;
use crate::report::merge::merge_fields;

/// What is counted of a line of `failures.jsonl`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct FailureFacts {
    kind: FailureKind,
    http_status: Option<u16>,
    /// Whether an earlier response is in the tables.
    #[serde(default)]
    exported: bool,
}

/// IDs of one kind of failure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FailureCount {
    /// IDs that are not exported.
    pub failed: u64,
    /// IDs that are exported from an earlier response.
    pub stale: u64,
}

merge_fields!(FailureCount { failed, stale });

/// IDs by kind of failure and HTTP status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KindFailures {
    /// By kind and status.
    pub kinds: BTreeMap<(FailureKind, Option<u16>), FailureCount>,
}

merge_fields!(KindFailures { kinds });

impl KindFailures {
    /// Counts an ID.
    pub fn see(&mut self, failure: FailureFacts) {
        let key = (failure.kind, failure.http_status);
        let count = self.kinds.entry(key).or_default();
        if failure.exported {
            count.stale += 1;
        } else {
            count.failed += 1;
        }
    }
}
