//! Output to stderr for people and programs, and data to stdout.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::api::key_redaction::{json_without_keys, without_certain_keys};
use crate::cli::error::UsageError;
use crate::cli::shared_args::{DisplayArgs, LogFormatArg};
use crate::cli::terminal;
use crate::cli::terminal::Terminal;
use crate::error::Explain;
use crate::printable::printable;

/// Writes a log line for programs to stderr: time, event, message, and the fields of the event.
pub(crate) fn write_json(event: &str, message: &str, fields: &Value) {
    let _ = writeln!(std::io::stderr(), "{}", json_line(event, message, fields));
}

fn json_line(event: &str, message: &str, fields: &Value) -> String {
    // With milliseconds, a collector can restore the order of lines.
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut line = json!({"time": time.to_string(), "event": event, "message": message});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    json_without_keys(line).to_string()
}

/// Labels of lines for people, with the ANSI codes of their colors.
const LABELS: [(&str, &str); 3] = [
    ("error: ", "1;31"),
    ("warning: ", "1;33"),
    ("hint: ", "1;36"),
];

/// Writes lines of text that passed through `printable` to stderr. Keys are left out, and labels get their color. When
/// stderr is closed, the run continues without it.
pub(crate) fn write_text(lines: &str) {
    let text = for_terminal(&without_certain_keys(lines), terminal::stderr());
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Lines as a terminal can show them.
fn for_terminal(lines: &str, terminal: Terminal) -> String {
    let mut text = lines.to_owned();
    if !terminal.has_unicode {
        // An ellipsis ends texts that are shortened.
        text = text.replace('\u{2026}', "...");
    }
    if terminal.has_color {
        let lines: Vec<String> = text.lines().map(with_color).collect();
        text = lines.join("\n");
    }
    text
}

/// A line whose label, if it begins with one, has its color.
fn with_color(line: &str) -> String {
    // A timestamp can stand before the label.
    let (time, rest) = match line.split_once(' ') {
        Some((first, rest)) if first.ends_with('Z') => (format!("{first} "), rest),
        _ => (String::new(), line),
    };
    let label = LABELS
        .iter()
        .find_map(|(label, code)| Some((label, code, rest.strip_prefix(label)?)));
    match label {
        Some((label, code, rest)) => {
            format!("{time}\x1b[{code}m{}\x1b[0m {rest}", label.trim_end())
        }
        None => line.to_owned(),
    }
}

/// Says at a terminal that a command reads standard input, which would look like a hang.
pub(crate) fn announce_stdin(paths: &[PathBuf], what: &str, display: &DisplayArgs) {
    let reads_stdin = paths.iter().any(|path| path.as_os_str() == "-");
    if !reads_stdin || display.quiet || !std::io::stdin().is_terminal() {
        return;
    }
    let text = format!("reading {what} from standard input; end with Ctrl-D on an empty line");
    match display.log_format {
        LogFormatArg::Text => write_text(&text),
        LogFormatArg::Json => write_json("stdin", &text, &json!({})),
    }
}

/// Prints an error, and its hint unless `quiet`.
pub(crate) fn print_error(error: &dyn Explain, log_format: LogFormatArg, quiet: bool) {
    let hint = error.hint();
    if log_format == LogFormatArg::Json {
        // JSON escapes control characters itself, so the text stays exact.
        let fields = json!({"hint": hint, "exit_code": error.exit() as u8});
        write_json("error", &error.to_string(), &fields);
        return;
    }
    write_text(&printable(&format!("error: {error}")));
    if let Some(hint) = hint.filter(|_| !quiet) {
        write_text(&printable(&format!("hint: {hint}")));
    }
}

/// Writes data to standard output.
pub(crate) fn print(text: &str) -> Result<(), UsageError> {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written_to_stdout(written)
}

/// The result of writing to standard output. A closed pipe is not an error: its reader has what it needs.
pub(crate) fn written_to_stdout(written: std::io::Result<()>) -> Result<(), UsageError> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(UsageError::Stdout(error))
        }
        _ => Ok(()),
    }
}

/// Writes lines of text that passed through `printable` to standard output. Keys are left out.
pub(crate) fn print_lines(lines: &str) -> Result<(), UsageError> {
    let text = for_terminal(&without_certain_keys(lines), terminal::stdout());
    print(&format!("{text}\n"))
}

/// Writes JSON to standard output. Keys are left out.
pub(crate) fn print_json(value: &Value) -> Result<(), UsageError> {
    let value = json_without_keys(value.clone());
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminal = Terminal {
        is_interactive: true,
        has_color: true,
        has_unicode: false,
    };

    #[test]
    fn only_labels_have_a_color() {
        let lines = "error: a\nhint: b error: c\nExported";
        let colored =
            "\u{1b}[1;31merror:\u{1b}[0m a\n\u{1b}[1;36mhint:\u{1b}[0m b error: c\nExported";
        assert_eq!(for_terminal(lines, TERMINAL), colored);
        let line = "2024-01-31T00:00:00Z warning: x";
        let colored = "2024-01-31T00:00:00Z \u{1b}[1;33mwarning:\u{1b}[0m x";
        assert_eq!(for_terminal(line, TERMINAL), colored);
        let plain = Terminal {
            has_color: false,
            ..TERMINAL
        };
        assert_eq!(for_terminal("hint: b\u{2026}", plain), "hint: b...");
    }
}
