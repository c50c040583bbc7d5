//! Responses that were just stored, so that the tables need not read them back from the journal.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::api::task_response::TaskResponse;
use crate::threads;

/// The maximum memory in bytes of all cached responses. Responses beyond it, mostly those behind a slow one, are read
/// from the journal when their turn comes.
const MAX_CACHED_BYTES: usize = 4 << 20;

/// Cached responses by the positions of their IDs.
#[derive(Debug, Default)]
pub(crate) struct ResponseCache {
    state: Mutex<CachedResponses>,
    /// A response was taken, or the cache was closed.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct CachedResponses {
    responses: HashMap<usize, TaskResponse>,
    bytes: usize,
    is_closed: bool,
}

impl ResponseCache {
    /// After a panic, at worst the number of bytes is wrong.
    fn lock(&self) -> MutexGuard<'_, CachedResponses> {
        threads::lock(&self.state)
    }

    /// Keeps a response if there is room.
    pub(crate) fn keep(&self, position: usize, response: TaskResponse) {
        let mut state = self.lock();
        if let Some(before) = state.responses.remove(&position) {
            state.bytes -= before.size();
        }
        let size = response.size();
        if state.bytes + size <= MAX_CACHED_BYTES && !state.is_closed {
            state.bytes += size;
            state.responses.insert(position, response);
        }
    }

    /// Waits until there is room for a response, and keeps it. One that is larger than the cache is not kept.
    pub(crate) fn keep_all(&self, position: usize, response: TaskResponse) {
        let size = response.size();
        let mut state = self.lock();
        while size <= MAX_CACHED_BYTES && state.bytes + size > MAX_CACHED_BYTES && !state.is_closed
        {
            state = threads::wait(&self.taken, state);
        }
        drop(state);
        self.keep(position, response);
    }

    /// Keeps no more responses: nobody takes them.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.responses = HashMap::new();
        drop(state);
        self.taken.notify_all();
    }

    /// Takes a response out, if it was kept.
    pub(crate) fn take(&self, position: usize) -> Option<TaskResponse> {
        let mut state = self.lock();
        let response = state.responses.remove(&position)?;
        state.bytes -= response.size();
        drop(state);
        self.taken.notify_all();
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(bytes: usize) -> TaskResponse {
        TaskResponse::stored("task_1", vec![b' '; bytes], true)
    }

    #[test]
    fn responses_are_kept_up_to_the_limit() {
        let cache = ResponseCache::default();
        cache.keep(0, response(MAX_CACHED_BYTES));
        cache.keep(1, response(1));
        assert!(cache.take(1).is_none());
        assert!(cache.take(0).is_some());
        assert!(cache.take(0).is_none());
        cache.keep(1, response(1));
        assert!(cache.take(1).is_some());
    }
}
