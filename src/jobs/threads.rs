//! Threads of a job.

use std::thread::{Scope, ScopedJoinHandle};

use crate::jobs::error::ExportError;
use crate::threads;

/// Starts a thread. A refusal of the system is an error.
pub(crate) fn spawn<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, ExportError> {
    threads::builder()
        .spawn_scoped(scope, work)
        .map_err(ExportError::Thread)
}

/// The result of a thread. A panic in it continues here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
