//! Which range a worker builds next. Workers do not run far ahead of the oldest range that is not merged: what is built
//! waits in temporary files.

use std::sync::Mutex;

use crate::threads::{self, ChangeNotifier};

/// Ranges per worker that may be begun and not merged. All but the oldest may be complete, and wait for it.
const RANGES_PER_WORKER: usize = 2;

/// Gives out the ranges, in order.
#[derive(Debug)]
pub(crate) struct RangeTurns {
    state: Mutex<Turns>,
    changed: ChangeNotifier,
    most: usize,
}

#[derive(Debug, Default)]
struct Turns {
    begun: usize,
    merged: usize,
    is_over: bool,
}

impl RangeTurns {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: ChangeNotifier::default(),
            most: workers * RANGES_PER_WORKER,
        }
    }

    /// The number of the next range; `None` when no more ranges are built.
    pub(crate) fn take(&self) -> Option<usize> {
        let mut turns = threads::lock(&self.state);
        while !turns.is_over && turns.begun - turns.merged >= self.most {
            turns = self.changed.wait(turns);
        }
        let number = turns.begun;
        turns.begun += 1;
        (!turns.is_over).then_some(number)
    }

    /// Counts a range as merged.
    pub(crate) fn merged(&self) {
        threads::lock(&self.state).merged += 1;
        self.changed.notify();
    }

    /// Lets no more ranges begin.
    pub(crate) fn end(&self) {
        threads::lock(&self.state).is_over = true;
        self.changed.notify();
    }
}

/// Lets no more ranges begin when a worker ends, however it ends: if its range is not complete, the others would wait
/// forever until it is merged.
pub(crate) struct TurnsEnd<'t>(pub(crate) &'t RangeTurns);

impl Drop for TurnsEnd<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_wait_until_old_ranges_are_merged() {
        let turns = RangeTurns::new(1);
        assert_eq!((turns.take(), turns.take()), (Some(0), Some(1)));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| turns.take());
            turns.merged();
            assert_eq!(third.join().unwrap(), Some(2));
            let fourth = scope.spawn(|| turns.take());
            drop(TurnsEnd(&turns));
            assert_eq!(fourth.join().unwrap(), None);
        });
    }
}
