//! Starts threads and runtimes: what the system refuses becomes an error.
#![expect(
    clippy::disallowed_methods,
    reason = "the safe form of these calls is here"
)]

use std::io;
use std::os::unix::net::UnixStream;
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

/// Waits until the data may have changed. Like [`lock`], it is for data that stays valid when a thread panics.
pub(crate) fn wait<'g, T>(changed: &Condvar, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
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
