//! The status line: the last line of the terminal, which is redrawn, and cleared before anything else is printed.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::terminal;

/// Columns that stay free at the end of the line: the terminal prints `^C` there.
pub(crate) const FREE_COLUMNS: usize = 3;

/// Moves to the start of the line, and clears from there to the end of the screen.
const CLEAR: &str = "\r\x1b[J";

/// Whether a status line is on the screen.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// The status line. Its columns are those of the last drawing.
#[derive(Debug, Default)]
pub(crate) struct StatusLine {
    columns: usize,
}

impl StatusLine {
    /// Replaces the line with a text of this many columns.
    pub(crate) fn draw(&mut self, text: &str, columns: usize) {
        let line = format!("{}{text}", self.clearing());
        self.columns = columns;
        IS_SHOWN.store(columns > 0, Ordering::Relaxed);
        write(&line);
    }

    /// Removes the line from the screen.
    pub(crate) fn clear(&mut self) {
        if self.columns > 0 {
            let line = self.clearing();
            self.columns = 0;
            IS_SHOWN.store(false, Ordering::Relaxed);
            write(&line);
        }
    }

    /// The characters that remove the last drawing, also from a window that has become narrower since.
    fn clearing(&self) -> String {
        let rows = self.columns.div_ceil(terminal::columns().max(1));
        match rows.saturating_sub(1) {
            0 => CLEAR.to_owned(),
            above => format!("\x1b[{above}A{CLEAR}"),
        }
    }
}

/// Removes a status line from the screen, before the process exits without its display.
pub(crate) fn clear_before_exit() {
    if IS_SHOWN.swap(false, Ordering::Relaxed) {
        write(CLEAR);
    }
}

/// Writes at once, so that a reader sees whole lines. When stderr is closed, the run continues without it.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
