//! Findings: what is not as it should be. The first findings are kept, all are counted.

use std::fmt;

use serde::Serialize;

use crate::api::credentials::SECRET_KEY;
use crate::tables::cell::Cell;
use crate::tables::column::ColumnType;

/// The maximum number of findings that are kept.
const SHOWN: usize = 20;

/// The maximum number of bytes of a value that are shown.
const VALUE_BYTES: usize = 160;

/// Bytes that are shown before the first difference of two long values.
const BYTES_BEFORE: usize = 40;

/// Replaces a value that may contain a credential.
const HIDDEN: &str = "(hidden: it may contain a workspace_token)";

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The file, of a finding about a whole file.
    pub file: Option<String>,
    /// The task.
    pub task_id: Option<String>,
    /// JSON Pointer (RFC 6901) in the task.
    pub pointer: Option<String>,
    /// `table.column`, or the table, of a finding about rows.
    pub column: Option<String>,
    /// The expected value.
    pub expected: String,
    /// The value that was found.
    pub found: String,
    /// Whether `found` says why the file could not be read.
    #[serde(skip)]
    pub is_unreadable: bool,
}

impl Finding {
    /// A finding about a whole file.
    pub(crate) fn of_file(file: &str, expected: &str, found: &str) -> Self {
        Self {
            file: Some(file.to_owned()),
            task_id: None,
            pointer: None,
            column: None,
            expected: guarded(expected, expected),
            found: guarded(found, found),
            is_unreadable: false,
        }
    }

    /// A finding about a file that could not be read.
    pub(crate) fn of_unreadable(file: &str, expected: &str, cause: &str) -> Self {
        Self {
            is_unreadable: true,
            ..Self::of_file(file, expected, cause)
        }
    }

    /// A finding about a file, with values that may be long.
    pub(crate) fn of_excerpts(file: &str, expected: &str, found: &str) -> Self {
        let (expected, found) = excerpts(expected, found);
        Self {
            expected,
            found,
            ..Self::of_file(file, "", "")
        }
    }

    /// A finding about a place in a task.
    pub(crate) fn of_task(task_id: &str, pointer: &str, expected: &str, found: &str) -> Self {
        let (expected, found) = if pointer.contains(SECRET_KEY) {
            (HIDDEN.to_owned(), "another value".to_owned())
        } else {
            excerpts(expected, found)
        };
        Self {
            file: None,
            task_id: Some(task_id.to_owned()),
            pointer: Some(pointer.to_owned()),
            column: None,
            expected,
            found,
            is_unreadable: false,
        }
    }

    /// Adds the table or the column.
    pub(crate) fn in_column(self, column: impl Into<String>) -> Self {
        Self {
            column: Some(column.into()),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        let parts = [&self.file, &self.task_id, &self.pointer];
        for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
            line += part;
            line.push(' ');
        }
        if let Some(column) = &self.column {
            line += &format!("({column})");
        }
        let place = line.trim_end();
        let line = if self.is_unreadable {
            format!("{place}: could not read it: {}", self.found)
        } else {
            format!("{place}: expected {}, found {}", self.expected, self.found)
        };
        // Values may contain line breaks, and a finding is one line.
        for c in line.chars() {
            if c.is_control() {
                write!(f, "\\u{{{:x}}}", u32::from(c))?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// All findings of a job.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    first: Vec<Finding>,
    count: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(finding);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first findings.
    pub(crate) fn into_first(self) -> Vec<Finding> {
        self.first
    }
}

/// Two values, cut to where they differ. A value that may contain a credential is hidden.
fn excerpts(one: &str, other: &str) -> (String, String) {
    if one.len() <= VALUE_BYTES && other.len() <= VALUE_BYTES {
        return (guarded(one, one), guarded(other, other));
    }
    let same = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(one, other)| one == other);
    let from = same.count().saturating_sub(BYTES_BEFORE);
    let excerpt = |text: &str| {
        let start = text.floor_char_boundary(from);
        let end = text.floor_char_boundary(start + VALUE_BYTES);
        let part = text.get(start..end).unwrap_or_default();
        let before = if start > 0 { "…" } else { "" };
        let after = if end < text.len() { "…" } else { "" };
        guarded(&format!("{before}{part}{after}"), text)
    };
    (excerpt(one), excerpt(other))
}

fn guarded(part: &str, whole: &str) -> String {
    if whole.contains(SECRET_KEY) {
        HIDDEN.to_owned()
    } else {
        part.to_owned()
    }
}

/// Two cells that differ, as a finding shows them.
pub(crate) fn shown(
    column_type: ColumnType,
    expected: Option<&Cell<'_>>,
    found: Option<&Cell<'_>>,
) -> (String, String) {
    if let (Some(Cell::Bytes(one)), Some(Cell::Bytes(other))) = (expected, found) {
        return (bytes_shown(one, other), bytes_shown(other, one));
    }
    let text = |cell: Option<&Cell<'_>>| match cell {
        None => "null".to_owned(),
        Some(Cell::Text(plain)) if column_type != ColumnType::Json => {
            let mut text = String::new();
            crate::json::text::write_json_string(&plain.decode(), &mut text);
            text
        }
        Some(Cell::Bytes(bytes)) => format!("{} bytes", bytes.len()),
        Some(cell) => cell.to_string(),
    };
    (text(expected), text(found))
}

/// Bytes from the first difference on.
fn bytes_shown(bytes: &[u8], other: &[u8]) -> String {
    const SHOWN_BYTES: usize = 16;
    let same = bytes
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other);
    let at = same.count();
    let part = bytes.get(at..).unwrap_or_default();
    let part = crate::hex::encode(part.get(..SHOWN_BYTES).unwrap_or(part));
    format!("{} bytes, from byte {at} on {part}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_to_where_they_differ() {
        let long = |end: &str| format!("\"{}{end}{}\"", "a".repeat(1_000), "b".repeat(1_000));
        let finding = Finding::of_task("t", "/x", &long("1"), &long("2"));
        assert!(finding.expected.starts_with("…aaaa") && finding.expected.contains("1bbb"));
        assert!(finding.found.contains("2bbb") && finding.found.ends_with('…'));
        assert!(finding.to_string().len() < 400);
    }

    #[test]
    fn a_finding_is_one_line_and_shows_no_credential() {
        let finding = Finding::of_task("t", "/x", "a\nb\u{1b}[31m", "\u{85}");
        assert_eq!(
            finding.to_string(),
            "t /x: expected a\\u{a}b\\u{1b}[31m, found \\u{85}"
        );
        let json = r#"{"workspace_token":"live"}"#;
        let finding = Finding::of_task("t", "/x", json, "{}").in_column("annotations.value_json");
        assert!(!finding.to_string().contains("live"), "{finding}");
        assert!(
            finding
                .to_string()
                .starts_with("t /x (annotations.value_json): expected")
        );
        let token = Finding::of_task("t", "/x/workspace_token", "live", "dead");
        assert!(!token.to_string().contains("live"), "{token}");
    }
}
