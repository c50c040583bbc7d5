//! SIGINT and SIGTERM. Depends on `error`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use crate::error::Exit;

/// SIGINT and SIGTERM: the first asks the run to stop, a second one leaves at once.
pub(super) struct Signals {
    pub(super) stop: watch::Receiver<bool>,
    terminated: Arc<AtomicBool>,
    /// Keeps the channel open: without handlers nobody else holds this end, and a closed channel would
    /// be read as a request to stop.
    _stopper: watch::Sender<bool>,
}

impl Signals {
    pub(super) fn watch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let (sender, stop) = watch::channel(false);
        let terminated = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&terminated);
        let stopper = sender.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            // Without a handler, signals do what they always do: end the process, and the next run
            // goes on from the journal.
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let (Ok(mut interrupt), Ok(mut terminate)) = (
                    signal(SignalKind::interrupt()),
                    signal(SignalKind::terminate()),
                ) else {
                    return;
                };
                // A file over the limit of its size is an error to be told, not a death: with a handler the
                // write returns it.
                let _too_large = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
                let _ = ready.send(());
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => flag.store(true, Ordering::Relaxed),
                }
                let _ = sender.send(true);
                let exit = tokio::select! {
                    _ = interrupt.recv() => Exit::Interrupted,
                    _ = terminate.recv() => Exit::Terminated,
                };
                leave_at_once(exit);
            });
        });
        // Without handlers the other end is dropped, which ends this as well.
        let _ = is_ready.recv();
        Self {
            stop,
            terminated,
            _stopper: stopper,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        if self.terminated.load(Ordering::Relaxed) {
            Exit::Terminated
        } else {
            Exit::Interrupted
        }
    }

    /// Waits for the first signal.
    pub(super) fn wait(&self) {
        while !*self.stop.borrow() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the person has asked twice; what was synced is safe"
)]
fn leave_at_once(exit: Exit) {
    std::process::exit(i32::from(exit as u8));
}
