//! The memory for the responses in flight, which share one budget: with large responses, fewer requests are sent at a
//! time.
//!
//! A request takes its share before it is sent: as much as the responses before it took. A response that is larger
//! takes more while it is decoded, or waits until there is room. One response at a time may exceed the budget, so no
//! response waits forever, and memory is bounded by the budget and one response.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::threads;

/// Bytes for all responses, from the first byte of their bodies until they are in the journal. A task of 3 MB takes
/// about 7 MB with its parse. Eight of these keep two cores busy.
const BUDGET_BYTES: u64 = 64 << 20;

/// What a response is expected to need before the first one has arrived.
const FIRST_EXPECTED: f64 = 64.0 * 1024.0;

/// The weight of the latest response in what the next one is expected to need.
const LATEST: f64 = 0.125;

/// What is requested. Tasks and pages differ in size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseClass {
    Task,
    Page,
}

/// The budget.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    state: Mutex<BudgetState>,
    /// Notified when something is given back.
    freed: Notify,
}

#[derive(Debug)]
struct BudgetState {
    /// Bytes that are left; negative while one response exceeds the budget.
    free: i64,
    /// Shares of responses that are not yet received and checked.
    active: usize,
    /// Whether a response exceeds the budget.
    is_exceeded: bool,
    /// Responses that wait for more.
    waiting: usize,
    /// What tasks and pages are expected to need.
    expected: [f64; 2],
}

/// The bytes of one response. They are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare<'b> {
    budget: &'b MemoryBudget,
    size: ResponseClass,
    bytes: u64,
    is_active: bool,
    exceeds: bool,
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(BUDGET_BYTES)
    }
}

impl MemoryBudget {
    fn new(bytes: u64) -> Self {
        Self {
            state: Mutex::new(BudgetState {
                free: signed(bytes),
                active: 0,
                is_exceeded: false,
                waiting: 0,
                expected: [FIRST_EXPECTED; 2],
            }),
            freed: Notify::new(),
        }
    }

    /// After a panic, at worst a number of bytes is wrong.
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        threads::lock(&self.state)
    }

    /// Waits until there is room for one more response.
    pub(crate) async fn enter(&self, size: ResponseClass) -> MemoryShare<'_> {
        self.when(|state| state.enter(size).map(|bytes| self.share(size, bytes)))
            .await
    }

    fn share(&self, size: ResponseClass, bytes: u64) -> MemoryShare<'_> {
        MemoryShare {
            budget: self,
            size,
            bytes,
            is_active: true,
            exceeds: false,
        }
    }

    /// Tries, and tries again each time something is given back.
    async fn when<T>(&self, mut attempt: impl FnMut(&mut BudgetState) -> Option<T>) -> T {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on, no notification is missed.
            freed.as_mut().enable();
            if let Some(done) = attempt(&mut self.lock()) {
                return done;
            }
            freed.await;
        }
    }
}

impl BudgetState {
    /// Takes what a response is expected to need. Responses that have begun go first.
    fn enter(&mut self, size: ResponseClass) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of sizes"
        )]
        let bytes = self
            .expected
            .get(size as usize)
            .copied()
            .unwrap_or_default() as u64;
        // A response that has begun holds memory, and frees it only when it can finish.
        let has_room = self.waiting == 0 && self.free >= signed(bytes);
        // Without any other response, one may always begin, or a large expectation would stop the run.
        if self.active > 0 && !has_room {
            return None;
        }
        self.active += 1;
        self.free -= signed(bytes);
        Some(bytes)
    }

    /// Takes more bytes. Returns whether the response now exceeds the budget.
    fn grow(&mut self, more: u64, exceeds: bool) -> Option<bool> {
        let has_room = self.free >= signed(more);
        // Of several responses that need more than there is, one may exceed the budget: if all waited, none would
        // finish.
        if !has_room && !exceeds && self.is_exceeded {
            return None;
        }
        self.free -= signed(more);
        let exceeds = exceeds || !has_room;
        self.is_exceeded |= exceeds;
        Some(exceeds)
    }

    fn learn(&mut self, size: ResponseClass, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a mean of sizes")]
        let bytes = bytes as f64;
        if let Some(expected) = self.expected.get_mut(size as usize) {
            *expected += (bytes - *expected) * LATEST;
        }
    }
}

/// Counts a response that waits, until the wait ends or is cancelled.
struct WaitingCount<'b>(&'b MemoryBudget);

impl Drop for WaitingCount<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl MemoryShare<'_> {
    /// Waits until the response may take this many bytes in all.
    pub(crate) async fn grow_to(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return;
        }
        let exceeds = self.exceeds;
        let now = self.budget.lock().grow(more, exceeds);
        self.exceeds = if let Some(exceeds) = now {
            exceeds
        } else {
            self.budget.lock().waiting += 1;
            let _waiting = WaitingCount(self.budget);
            self.budget.when(|state| state.grow(more, exceeds)).await
        };
        self.bytes = bytes;
    }

    /// The response was received and checked, and takes this many bytes from now on.
    pub(crate) fn settle(&mut self, bytes: u64) {
        self.budget.lock().learn(self.size, self.bytes.max(bytes));
        self.give_back(bytes);
    }

    /// Keeps this many bytes, and lets other responses begin.
    fn give_back(&mut self, kept: u64) {
        {
            let mut state = self.budget.lock();
            state.free += signed(self.bytes) - signed(kept);
            state.active -= usize::from(self.is_active);
            state.is_exceeded &= !self.exceeds;
        }
        self.bytes = kept;
        self.is_active = false;
        self.exceeds = false;
        self.budget.freed.notify_waiters();
    }
}

impl Drop for MemoryShare<'_> {
    fn drop(&mut self) {
        self.give_back(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn responses_beyond_the_budget_wait_and_one_at_a_time_may_exceed_it() {
        let budget = MemoryBudget::new(10 * MIB);
        let mut first = budget.enter(ResponseClass::Task).await;
        let mut second = budget.enter(ResponseClass::Task).await;
        let mut third = budget.enter(ResponseClass::Page).await;
        first.grow_to(8 * MIB).await;
        second.grow_to(8 * MIB).await;
        assert!(third.grow_to(8 * MIB).now_or_never().is_none());
        // Meanwhile no response begins, and the one that exceeds the budget continues.
        second.grow_to(100 * MIB).await;
        assert!(budget.enter(ResponseClass::Task).now_or_never().is_none());
        second.settle(MIB);
        third.grow_to(8 * MIB).await;
        drop((first, second, third));
        let state = budget.lock();
        assert_eq!(state.free, signed(10 * MIB));
        assert_eq!((state.active, state.waiting), (0, 0));
    }

    #[tokio::test]
    async fn kept_responses_do_not_block_responses_in_flight() {
        let budget = MemoryBudget::new(MIB);
        let mut page = budget.enter(ResponseClass::Page).await;
        page.grow_to(50 * MIB).await;
        page.settle(40 * MIB);
        let mut single = budget.enter(ResponseClass::Task).await;
        single.grow_to(MIB).await;
        assert!(budget.enter(ResponseClass::Task).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn large_responses_are_fewer_at_a_time() {
        let budget = MemoryBudget::new(64 * MIB);
        let most = Mutex::new((0_usize, 0_usize, 0_u64));
        let done: Vec<()> = stream::iter(0..400)
            .map(async |number| {
                let mut share = budget.enter(ResponseClass::Task).await;
                {
                    let mut most = most.lock().unwrap();
                    most.0 += 1;
                    if number > 100 {
                        most.1 = most.1.max(most.0);
                    }
                }
                for part in 1..=7 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    share.grow_to(part * MIB).await;
                    let held = 64 * signed(MIB) - budget.lock().free;
                    let mut most = most.lock().unwrap();
                    most.2 = most.2.max(u64::try_from(held).unwrap());
                }
                share.settle(3 * MIB);
                most.lock().unwrap().0 -= 1;
            })
            .buffer_unordered(32)
            .collect()
            .await;
        assert_eq!(done.len(), 400);
        let (_, at_once, bytes) = most.into_inner().unwrap();
        assert!((6..=10).contains(&at_once), "{at_once} at once");
        assert!(bytes <= 71 * MIB, "{bytes} bytes");
    }
}
