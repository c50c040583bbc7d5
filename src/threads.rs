//! Starts threads and runtimes: what the system refuses becomes an error.
#![expect(
    clippy::disallowed_methods,
    reason = "the safe form of these calls is here"
)]

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{self, Runtime};

/// The stack size of every thread in bytes. It does not depend on `RUST_MIN_STACK`.
const STACK_BYTES: usize = 2 << 20;

/// Socket pairs that must be available before a runtime is started. With its signal handlers, a runtime opens six
/// files.
const FREE_PAIRS: usize = 4;

/// The hint for a thread that could not be started.
pub(crate) const THREAD_HINT: &str =
    "allow more processes (`ulimit -u`, `pids.max`), and run the same command again";

/// Locks data that stays valid when a thread panics while it holds the lock: single values, sets and counters.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the data out. Like [`lock`], it is for data that stays valid when a thread panics.
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the threads that wait for a change of shared data. It makes no system call if no thread waits. A [`Condvar`] makes
/// one for every change, which takes a few percent of the time of a small task.
#[derive(Debug, Default)]
pub(crate) struct ChangeNotifier {
    changed: Condvar,
    /// Threads that wait. A thread counts itself while it holds the lock, so a thread that held it later sees the count.
    waiting: AtomicUsize,
}

impl ChangeNotifier {
    /// Waits until the data may have changed. Like [`lock`], it is for data that stays valid when a thread panics.
    pub(crate) fn wait<'g, T>(&self, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.changed.wait(guard);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait. The data was changed while it was locked.
    pub(crate) fn notify(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}

/// A builder of threads with a fixed stack size.
pub(crate) fn builder() -> thread::Builder {
    thread::Builder::new().stack_size(STACK_BYTES)
}

/// A runtime on the current thread. tokio panics if it cannot open the files for signals, so that is tried before.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let pairs: Vec<_> = (0..FREE_PAIRS)
        .map(|_| UnixStream::pair())
        .collect::<io::Result<_>>()?;
    drop(pairs);
    runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_is_woken_by_each_change() {
        // With two threads, never more than one waits.
        for threads in [2, 4] {
            let (state, changed) = (Mutex::new(0), ChangeNotifier::default());
            let take_turn = |expected: u32| {
                let mut number = lock(&state);
                while *number != expected {
                    number = changed.wait(number);
                }
                *number += 1;
                drop(number);
                changed.notify();
            };
            thread::scope(|scope| {
                for first in 0..threads {
                    let take_turn = &take_turn;
                    scope.spawn(move || {
                        (0..500).for_each(|round| take_turn(round * threads + first));
                    });
                }
            });
            assert_eq!(*lock(&state), 500 * threads);
        }
    }
}
