//! Output to stderr for people and programs, and data to stdout.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::cli::error::UsageError;
use crate::cli::key_redaction::{json_without_keys, without_certain_keys};
use crate::cli::shared_args::LogFormatArg;
use crate::error::Explain;
use crate::printable::printable;

/// A log line for programs: time, event, message, and the fields of the event.
pub(crate) fn json_line(event: &str, message: &str, fields: &Value) -> String {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut line = json!({"time": time.to_string(), "event": event, "message": message});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    json_without_keys(line).to_string()
}

/// Writes a line to stderr: JSON, or text that passed through `printable`. Keys are left out of both. When stderr is closed, the
/// run continues without it.
pub(crate) fn write_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", without_certain_keys(line));
}

/// Prints an error, and its hint unless `quiet`.
pub(crate) fn print_error(error: &dyn Explain, log_format: LogFormatArg, quiet: bool) {
    let hint = error.hint();
    if log_format == LogFormatArg::Json {
        let fields = json!({"hint": hint, "exit_code": error.exit() as u8});
        write_stderr(&json_line("error", &error.to_string(), &fields));
        return;
    }
    write_stderr(&printable(&format!("error: {error}")));
    if let Some(hint) = hint.filter(|_| !quiet) {
        write_stderr(&printable(&format!("hint: {hint}")));
    }
}

/// Writes data to standard output. A closed pipe is not an error: its reader has what it needs.
pub(crate) fn print(text: &str) -> Result<(), UsageError> {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(UsageError::Stdout(error))
        }
        _ => Ok(()),
    }
}
