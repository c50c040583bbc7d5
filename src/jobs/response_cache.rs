//! Responses that were just stored, so that the tables need not read them back from the journal.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use hashbrown::HashMap;

use crate::api::task_response::TaskResponse;
use crate::threads::{self, ChangeNotifier};

/// The maximum memory in bytes of all cached responses. Responses beyond it, mostly those behind a slow one, are read
/// from the journal when their turn comes.
const MAX_CACHED_BYTES: usize = 4 << 20;

/// A thread that waits for room is woken only when the cache has at most these bytes, so that it can add several responses.
const ROOM_BYTES: usize = MAX_CACHED_BYTES / 2;

/// Cached responses by the positions of their IDs.
#[derive(Debug, Default)]
pub(crate) struct ResponseCache {
    state: Mutex<CachedResponses>,
    changed: ChangeNotifier,
}

#[derive(Debug, Default)]
struct CachedResponses {
    responses: HashMap<usize, TaskResponse>,
    bytes: usize,
    /// Where responses come in order and all are kept that fit: the position of the next one.
    next: Option<usize>,
    is_closed: bool,
}

impl CachedResponses {
    fn insert(&mut self, position: usize, response: TaskResponse) {
        if let Some(before) = self.responses.remove(&position) {
            self.bytes -= before.size();
        }
        if self.has_room(&response) && !self.is_closed {
            self.bytes += response.size();
            self.responses.insert(position, response);
        }
    }

    fn has_room(&self, response: &TaskResponse) -> bool {
        self.bytes + response.size() <= MAX_CACHED_BYTES
    }
}

impl ResponseCache {
    /// After a panic, at worst the number of bytes is wrong.
    fn lock(&self) -> MutexGuard<'_, CachedResponses> {
        threads::lock(&self.state)
    }

    /// Keeps a response if there is room.
    pub(crate) fn keep(&self, position: usize, response: TaskResponse) {
        self.lock().insert(position, response);
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

    /// Keeps responses. Where responses come in order, each is kept as soon as there is room, unless it is larger than the
    /// cache. There are no others before the position `end`.
    pub(crate) fn keep_all(
        &self,
        responses: impl IntoIterator<Item = (usize, TaskResponse)>,
        end: usize,
    ) {
        let mut state = self.lock();
        for (position, response) in responses {
            let waits = state.next.is_some() && response.size() <= MAX_CACHED_BYTES;
            while waits && !state.has_room(&response) && !state.is_closed {
                // The other thread may wait for what is there.
                self.changed.notify();
                state = self.changed.wait(state);
            }
            state.insert(position, response);
            state.next = state.next.map(|_| position + 1);
        }
        state.next = state.next.map(|_| end);
        drop(state);
        self.changed.notify();
    }

    /// Takes a response out, if it was kept. Where responses come in order, waits for it.
    pub(crate) fn take_next(&self, position: usize) -> Option<TaskResponse> {
        let mut state = self.lock();
        while state.next.is_some_and(|next| next <= position) && !state.is_closed {
            state = self.changed.wait(state);
        }
        drop(state);
        self.take(position)
    }

    /// Says that no more responses come.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.next = state.next.map(|_| usize::MAX);
        drop(state);
        self.changed.notify();
    }

    /// Keeps no more responses: no thread takes them.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.responses = HashMap::new();
        drop(state);
        self.changed.notify();
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
        let has_room = state.bytes <= ROOM_BYTES;
        drop(state);
        if has_room {
            self.changed.notify();
        }
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
                let full = |position| (position, response(MAX_CACHED_BYTES));
                cache.keep_all([0, 1].map(full), 2);
                cache.keep_all([2, 3].map(full), 4);
                cache.keep_all([(4, response(MAX_CACHED_BYTES + 1))], 6);
            });
            assert!((0..4).all(|position| cache.take_next(position).is_some()));
            assert!(cache.take_next(4).is_none());
            // The journal has it, and the cache never had it.
            assert!(cache.take_next(5).is_none());
        });
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cache.take_next(6));
            cache.close();
            assert!(waiting.join().unwrap().is_none());
        });
    }
}
