//! How threads and runtimes are started: what the system refuses becomes an error. Depends on nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "the safe form of these calls is here"
)]

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{self, Runtime};

/// Bytes of the stack of every thread, whatever `RUST_MIN_STACK` says.
const STACK_BYTES: usize = 2 << 20;

/// Pairs of sockets that must be there before a runtime is made. With its handlers of signals it opens six files.
const FREE_PAIRS: usize = 4;

/// What to do about a thread that could not be started.
pub(crate) const THREAD_HINT: &str =
    "allow more processes (`ulimit -u`, `pids.max`), and run the same command again";

/// Locks data that stays valid when a thread panics while it holds the lock: single values, sets and counters.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts threads with a stack of a fixed size; a refusal is an error.
pub(crate) fn builder() -> thread::Builder {
    thread::Builder::new().stack_size(STACK_BYTES)
}

/// A runtime on the thread of its caller. The library panics where files for signals are lacking: that is found out
/// before.
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
