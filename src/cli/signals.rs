//! SIGHUP, SIGINT and SIGTERM: the first stops the job, the second exits at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::status_line;
use crate::error::Exit;
use crate::jobs::error::ExportError;
use crate::threads;

/// Time between two checks whether an interrupted job has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Time for the last output of an interrupted run.
const OUTPUT_TIME: Duration = Duration::from_secs(2);

/// The signals that end a run: the first one requests the end, a second one exits at once.
pub(crate) struct Signals {
    pub(crate) cancel: CancellationToken,
    /// The exit code of the first signal.
    first: Arc<OnceLock<Exit>>,
    /// Whether only output is left to write.
    is_done: Arc<AtomicBool>,
}

/// The handlers.
struct Handlers {
    /// None where the signal keeps its disposition.
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: tokio::signal::unix::Signal,
    /// None where the signal keeps its disposition.
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Handlers {
    fn install() -> std::io::Result<Self> {
        let ignored = ignored_signals();
        let is_ignored = |signal: Signal| ignored.map(|mask| mask & mask_of(signal) != 0);
        // Where that is unknown, SIGHUP may come from a terminal that `nohup` outlives, but SIGINT from a person.
        let handles_hangup = is_ignored(Signal::HUP) == Some(false);
        let handles_interrupt = is_ignored(Signal::INT) != Some(true);
        let hangup = handles_hangup.then(|| signal(SignalKind::hangup()));
        let interrupt = handles_interrupt.then(|| signal(SignalKind::interrupt()));
        Ok(Self {
            interrupt: interrupt.transpose()?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for the next signal, and returns its exit code.
    async fn next(&mut self) -> Exit {
        tokio::select! {
            () = received(&mut self.interrupt) => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            () = received(&mut self.hangup) => Exit::HungUp,
        }
    }
}

/// Waits for a signal; never returns for one that keeps its disposition.
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns when the job has ended and the process still runs some time later.
async fn is_stuck(is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    tokio::time::sleep(OUTPUT_TIME).await;
}

/// The mask of the signals that the process ignores; none where that is unknown. A signal that is ignored at the start
/// stays ignored: `nohup` relies on it for SIGHUP, and shells for the SIGINT of background jobs. Only Linux reports
/// without `unsafe` code which signals are ignored. Elsewhere SIGHUP keeps its disposition: without `nohup` it ends the
/// process, and the next run continues from the journal.
fn ignored_signals() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    ignored_mask(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The bit of a signal in a mask of signals: signal 1 is bit 0.
fn mask_of(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// The mask of ignored signals in `/proc/<pid>/status`: see proc(5).
fn ignored_mask(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

impl Signals {
    /// Installs the handlers, if the process can open the files for them.
    pub(crate) fn watch() -> Result<Self, ExportError> {
        let cancel = CancellationToken::new();
        let first = Arc::new(OnceLock::new());
        let (own, cancelled) = (Arc::clone(&first), cancel.clone());
        let is_done = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_done);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let handle = move || {
            // Without a handler, signals end the process, and the next run continues from the journal.
            let Ok(runtime) = threads::runtime() else {
                return;
            };
            runtime.block_on(async {
                let Ok(mut handlers) = Handlers::install() else {
                    return;
                };
                // With a handler, a write over the limit of a file's size returns an error. Without one, the signal
                // kills the process.
                let _too_large = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
                let _ = ready.send(());
                let exit = handlers.next().await;
                let _ = own.set(exit);
                cancelled.cancel();
                let exit = tokio::select! {
                    exit = handlers.next() => exit,
                    () = is_stuck(&is_over) => exit,
                };
                exit_at_once(exit);
            });
        };
        let started = threads::builder().spawn(handle);
        started.map_err(ExportError::Thread)?;
        // Without handlers the other end is dropped, which ends this as well.
        let _ = is_ready.recv();
        Ok(Self {
            cancel,
            first,
            is_done,
        })
    }

    /// Notes that the job has ended, and that only output is left to write. From now on one signal ends a process whose
    /// output is stuck.
    pub(crate) fn job_is_done(&self) {
        self.is_done.store(true, Ordering::Relaxed);
    }

    pub(crate) fn exit(&self) -> Exit {
        self.first.get().copied().unwrap_or(Exit::Interrupted)
    }

    /// Waits for the first signal.
    #[cfg(feature = "sandbox")]
    pub(crate) fn wait(&self) {
        // The token can only be awaited, and this thread has no runtime.
        while !self.cancel.is_cancelled() {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the user requested it twice; what was synced is safe"
)]
fn exit_at_once(exit: Exit) {
    status_line::clear_before_exit();
    std::process::exit(i32::from(exit as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_parsed() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(
            ignored_mask(status),
            Some(mask_of(Signal::HUP) | mask_of(Signal::PIPE))
        );
        assert_eq!(ignored_mask("SigIgn:\tx"), None);
        assert_eq!(ignored_mask(""), None);
    }
}
