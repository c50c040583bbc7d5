//! What fetching did, counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

impl FetchStats {
    /// Adds the statistics of a later part of the run.
    #[must_use]
    pub fn and(self, later: &Self) -> Self {
        Self {
            requests: self.requests + later.requests,
            retries: self.retries + later.retries,
            rate_limited: self.rate_limited + later.rate_limited,
            bytes_received: self.bytes_received + later.bytes_received,
            fetched: self.fetched + later.fetched,
            from_lists: self.from_lists + later.from_lists,
            pages: self.pages + later.pages,
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
    /// Seconds that the server's clock is ahead of this machine's, by the first response with a date.
    pub(crate) clock_lead: OnceLock<i64>,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// The value of a counter.
pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
