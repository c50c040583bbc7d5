//! Catches panics. No other module does: the `parquet` crate panics on some damaged files, and a damaged file must not
//! end the program.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

/// The message of a panic of code that reads a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the file is damaged: {0}")]
pub struct CaughtPanic(String);

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs code whose panics are caught. The panic hook does not print those.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs code that may panic on damaged files, and returns a panic as an error. After a panic, the values that the
/// code was changing must not be used.
pub(crate) fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, CaughtPanic> {
    // Calls may be nested, so the previous value is restored.
    let before = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        CaughtPanic(text.unwrap_or("unknown cause").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded(|| 1), Ok(1));
        let caught: Result<(), _> = guarded(|| {
            assert!(is_guarded());
            panic!("no such column")
        });
        let text = caught.unwrap_err().to_string();
        assert_eq!(text, "the file is damaged: no such column");
        assert!(!is_guarded());
    }
}
