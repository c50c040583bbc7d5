//! How programs that a test starts begin: with the default dispositions of the signals that tests send.

use std::sync::Once;

use tokio::signal::unix::{SignalKind, signal};

/// Programs inherit which signals are ignored. A shell ignores SIGINT for a background job and `nohup` ignores SIGHUP,
/// and a test process started by either would pass that on. A signal with a handler has its default disposition in
/// programs that the process starts, so each ignored signal gets a handler that does nothing.
pub(crate) fn restore_for_programs() {
    static RESTORED: Once = Once::new();
    RESTORED.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _context = runtime.enter();
        for kind in [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
        ] {
            // Signal 1 is bit 0. The handler stays when its listener is dropped.
            if mask & (1 << (kind.as_raw_value() - 1)) != 0 {
                drop(signal(kind).unwrap());
            }
        }
    });
}
