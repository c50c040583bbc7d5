//! The result of a check as text and as JSON. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::base_url::showable;
use crate::api::key_redaction::without_keys;
use crate::cli::option_origins::{OptionPlace, Origins};
use crate::cli::terminal::Terminal;
use crate::error::Exit;
use crate::jobs::check::check_line::{CheckLine, CheckReport, CheckState};
use crate::plural::plural;
use crate::printable::printable;

/// The version of the JSON. A new line or member does not change it.
const CHECK_VERSION: u32 = 1;

/// Columns of the names of the lines.
const NAME_COLUMNS: usize = 16;

/// How a state is shown: the symbol, its form in ASCII, and the ANSI code of its color.
fn symbol(state: CheckState) -> (&'static str, &'static str, &'static str) {
    match state {
        CheckState::Passed => ("\u{2713}", "ok  ", "32"),
        CheckState::Warned => ("!", "warn", "33"),
        CheckState::Failed(_) => ("\u{2717}", "FAIL", "31"),
        CheckState::Skipped => ("\u{2013}", "skip", "2"),
    }
}

/// An option that has a value other than its default.
#[derive(Debug, Serialize)]
pub(crate) struct ChosenOption {
    /// Its name, with `--`.
    name: String,
    /// The value, without credentials.
    value: String,
    /// The option, the variable, or the line of a configuration file.
    source: String,
}

impl ChosenOption {
    /// The options that the user chose, in the order of their names.
    pub(crate) fn all(origins: &Origins) -> Vec<Self> {
        // The sandbox does not use the variable of the URL.
        let is_sandbox = origins.place("--sandbox") > OptionPlace::Default;
        let is_used = |option: &str| !(is_sandbox && option == "--base-url");
        let chosen = origins.iter().filter(|(option, _)| is_used(option));
        let chosen = chosen.map(|(option, origin)| Self {
            name: option.to_owned(),
            // The user may have given the key to an option that takes something else.
            value: without_keys(&showable_value(&origin.value)),
            source: origin.name.clone(),
        });
        chosen.collect()
    }
}

/// A value as it can be shown: a URL can contain a password.
fn showable_value(value: &str) -> String {
    if value.contains("://") {
        showable(value)
    } else {
        value.to_owned()
    }
}

/// One line for each part, a hint below those that need one, the options with their sources, and the result.
pub(crate) fn check_text(
    report: &CheckReport,
    options: &[ChosenOption],
    terminal: Terminal,
) -> String {
    let colored = |text: &str, code: &str| {
        if terminal.has_color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let mut lines = Vec::new();
    for line in &report.lines {
        let (sign, ascii, code) = symbol(line.state);
        let sign = if terminal.has_unicode { sign } else { ascii };
        let label = line.name.label();
        let detail = printable(&line.detail);
        lines.push(format!(
            "{} {label:NAME_COLUMNS$} {detail}",
            colored(sign, code)
        ));
        if let Some(hint) = &line.hint {
            let label = colored("hint:", "1;36");
            lines.push(format!("    {label} {}", printable(hint)));
        }
    }
    if !options.is_empty() {
        lines.push("options:".to_owned());
    }
    for ChosenOption {
        name,
        value,
        source,
    } in options
    {
        // The line of a file or a variable; an option on the command line is its own source.
        let source = if source == name {
            "the command line"
        } else {
            source
        };
        let line = format!("  {name} {value} (from {source})");
        lines.push(printable(&line));
    }
    lines.push(result_line(report));
    lines.join("\n")
}

/// The result in one line.
pub(crate) fn result_line(report: &CheckReport) -> String {
    let requests = plural(report.requests, "request");
    match report.exit() {
        Exit::Success => format!("the export can run ({requests} sent)"),
        exit => format!(
            "a run would end with exit code {} ({requests} sent)",
            exit as u8
        ),
    }
}

/// The result as JSON.
pub(crate) fn check_json(report: &CheckReport, options: &[ChosenOption]) -> Value {
    let lines: Vec<Value> = report.lines.iter().map(line_json).collect();
    json!({
        "version": CHECK_VERSION,
        "exit_code": report.exit() as u8,
        "requests": report.requests,
        "checks": lines,
        "options": options,
    })
}

fn line_json(line: &CheckLine) -> Value {
    let (ok, exit) = match line.state {
        CheckState::Passed | CheckState::Warned => (Some(true), Exit::Success),
        CheckState::Failed(exit) => (Some(false), exit),
        CheckState::Skipped => (None, Exit::Success),
    };
    json!({
        "name": line.name.as_str(),
        "ok": ok,
        "detail": line.detail,
        "hint": line.hint,
        "exit_code": exit as u8,
    })
}
