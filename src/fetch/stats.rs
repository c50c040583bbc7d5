//! What fetching did, counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure_kind::FailureKind;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct FetchStats {
    /// Attempts that were sent.
    pub requests: u64,
    /// Attempts after the first one of their ID.
    pub retries: u64,
    /// Responses with status 429.
    pub rate_limited: u64,
    /// Bytes of responses after decompression.
    pub bytes_received: u64,
    /// Tasks that were fetched.
    pub fetched: u64,
    /// Of these, tasks from pages of lists that replaced single requests.
    pub from_lists: u64,
    /// Such pages.
    pub pages: u64,
    /// IDs that failed for good.
    pub failed: u64,
    /// Whether the run was stopped.
    pub stopped: bool,
    /// Failed IDs by kind.
    pub failures_by_kind: BTreeMap<FailureKind, u64>,
}

impl FetchStats {
    /// Adds the statistics of a later part of the run.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        for (kind, count) in &later.failures_by_kind {
            *self.failures_by_kind.entry(*kind).or_default() += count;
        }
        Self {
            requests: self.requests + later.requests,
            retries: self.retries + later.retries,
            rate_limited: self.rate_limited + later.rate_limited,
            bytes_received: self.bytes_received + later.bytes_received,
            fetched: self.fetched + later.fetched,
            from_lists: self.from_lists + later.from_lists,
            pages: self.pages + later.pages,
            failed: self.failed + later.failed,
            stopped: later.stopped,
            failures_by_kind: self.failures_by_kind,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) fetched: AtomicU64,
    pub(crate) from_lists: AtomicU64,
    pub(crate) pages: AtomicU64,
    /// Tasks with a note.
    pub(crate) noted: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// The value of a counter.
pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
