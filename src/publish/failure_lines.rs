//! `failures.jsonl`: one line for each ID that failed or could not be refreshed, in the order of the list.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::task_response::UnreadableBody;
use crate::failure_kind::FailureKind;
use crate::journal::failure_note::FailureNote;
use crate::json::value::Value;

/// The failure of an ID that has no response in the sources of `flatten`.
pub fn missing() -> FailureNote {
    FailureNote {
        kind: FailureKind::Missing,
        http_status: None,
        attempts: 0,
        message: "the sources have no response for this ID".to_owned(),
    }
}

/// The failure of an ID whose response in the journal has a valid checksum and is not this task. Only that ID fails.
pub(crate) fn unusable(
    task_id: &str,
    root: Result<Value<'_>, &UnreadableBody>,
) -> Option<FailureNote> {
    let note = |kind: FailureKind, cause: &str| {
        Some(FailureNote {
            kind,
            http_status: None,
            attempts: 0,
            message: format!("the response in the journal {cause}"),
        })
    };
    let root = match root {
        Ok(root) => root,
        Err(cause) => {
            return note(
                FailureKind::BadBody,
                &format!("cannot be read as JSON: {cause}"),
            );
        }
    };
    match root.get("task_id").and_then(|id| id.text()) {
        Some(found) if found == *task_id => None,
        Some(_) => note(FailureKind::WrongTask, "belongs to another task"),
        None => note(FailureKind::BadBody, "is not a task: it has no task_id"),
    }
}

/// Lines of `failures.jsonl`, and their number by kind.
#[derive(Debug, Clone, Default)]
pub struct FailureLines {
    /// The lines, as they are published.
    pub text: Vec<u8>,
    /// The number of lines by the kind of their failure.
    pub by_kind: BTreeMap<FailureKind, u64>,
}

impl FailureLines {
    /// Appends a line; `exported` when an earlier response is in the tables.
    pub fn push(&mut self, task_id: &str, note: &FailureNote, exported: bool) {
        write_line(task_id, note, exported, &mut self.text);
        *self.by_kind.entry(note.kind).or_default() += 1;
    }
}

#[derive(Serialize)]
struct FailureEntry<'a> {
    task_id: &'a str,
    #[serde(flatten)]
    note: &'a FailureNote,
    /// Whether an earlier response is in the tables; left out if not.
    #[serde(skip_serializing_if = "is_false")]
    exported: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Appends a line; `exported` when an earlier response is in the tables.
pub fn write_line(task_id: &str, note: &FailureNote, exported: bool, out: &mut Vec<u8>) {
    let line = FailureEntry {
        task_id,
        note,
        exported,
    };
    // Strings and numbers: serialization cannot fail.
    let line = serde_json::to_vec(&line).unwrap_or_default();
    out.extend_from_slice(&line);
    out.push(b'\n');
}
