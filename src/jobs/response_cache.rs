//! Responses that were just stored, so that the tables need not read them back from the journal.

use std::collections::HashMap;
use std::ops::Range;
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
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CachedResponses {
    responses: HashMap<usize, TaskResponse>,
    bytes: usize,
    /// Where responses come in order and all are kept that fit: the position of the next one.
    next: Option<usize>,
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

    /// A cache of responses that come in order. One thread takes each of them.
    pub(crate) fn in_order() -> Self {
        let cache = Self::default();
        cache.lock().next = Some(0);
        cache
    }

    /// Whether each response waits for room. Otherwise one without room is not kept.
    pub(crate) fn is_in_order(&self) -> bool {
        self.lock().next.is_some()
    }

    /// Keeps the next response in order, as soon as there is room. One that is larger than the cache is not kept.
    pub(crate) fn keep_next(&self, position: usize, response: TaskResponse) {
        let size = response.size();
        let mut state = self.lock();
        while size <= MAX_CACHED_BYTES && state.bytes + size > MAX_CACHED_BYTES && !state.is_closed
        {
            state = threads::wait(&self.changed, state);
        }
        drop(state);
        self.keep(position, response);
        self.lock().next = Some(position + 1);
        self.changed.notify_all();
    }

    /// Takes a response out, if it was kept. Where responses come in order, waits for it.
    pub(crate) fn take_next(&self, position: usize) -> Option<TaskResponse> {
        let mut state = self.lock();
        while state.next.is_some_and(|next| next <= position) && !state.is_closed {
            state = threads::wait(&self.changed, state);
        }
        drop(state);
        self.take(position)
    }

    /// Says that no more responses come.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.next = state.next.map(|_| usize::MAX);
        drop(state);
        self.changed.notify_all();
    }

    /// Keeps no more responses: no thread takes them.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.responses = HashMap::new();
        drop(state);
        self.changed.notify_all();
    }

    /// Removes responses that no thread takes.
    pub(crate) fn forget(&self, positions: Range<usize>) {
        for position in positions {
            drop(self.take(position));
        }
    }

    /// Takes a response out, if it was kept.
    pub(crate) fn take(&self, position: usize) -> Option<TaskResponse> {
        let mut state = self.lock();
        let response = state.responses.remove(&position)?;
        state.bytes -= response.size();
        drop(state);
        self.changed.notify_all();
        Some(response)
    }
}

/// Closes a cache when the thread that takes responses ends, however it ends: a thread with a response would wait for room
/// forever.
pub(crate) struct CacheEnd<'c>(pub(crate) &'c ResponseCache);

impl Drop for CacheEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
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
        // Those of a range that is copied.
        cache.keep(2, response(MAX_CACHED_BYTES));
        cache.forget(2..5);
        cache.keep(5, response(MAX_CACHED_BYTES));
        assert!(cache.take(2).is_none());
        assert!(cache.take(5).is_some());
    }

    #[test]
    fn responses_in_order_wait_for_room_and_for_each_other() {
        let cache = ResponseCache::in_order();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for position in 0..4 {
                    cache.keep_next(position, response(MAX_CACHED_BYTES));
                }
                cache.keep_next(4, response(MAX_CACHED_BYTES + 1));
            });
            assert!((0..4).all(|position| cache.take_next(position).is_some()));
            assert!(cache.take_next(4).is_none());
        });
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cache.take_next(5));
            cache.close();
            assert!(waiting.join().unwrap().is_none());
        });
    }
}
