//! `failures.jsonl`: one line for each ID that failed for good or could not be refreshed, in input order.
//! Depends on `journal` for the note, and on `json`.

use serde::Serialize;

use crate::failure_kind::FailureKind;
use crate::journal::reader::FailureNote;
use crate::json::value::Value;

/// Stands for an ID that the sources of `flatten` have no response for.
pub fn missing() -> FailureNote {
    FailureNote {
        kind: FailureKind::Missing,
        http_status: None,
        attempts: 0,
        message: "there is no response for it in the sources".to_owned(),
    }
}

/// What is wrong with a response that the journal has for an ID, if its checksum is right and it is all the same no
/// task, or another one. It costs that ID only.
pub fn unusable(task_id: &str, root: Result<Value<'_>, String>) -> Option<FailureNote> {
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
        Some(_) => note(FailureKind::WrongTask, "is of another task"),
        None => note(FailureKind::BadBody, "is no task: it has no task_id"),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    task_id: &'a str,
    #[serde(flatten)]
    note: &'a FailureNote,
    /// True when the last good response stands in the tables; left out otherwise.
    #[serde(skip_serializing_if = "is_false")]
    exported: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Appends one line; `exported` when an earlier response stands in the tables all the same.
pub fn write_line(task_id: &str, note: &FailureNote, exported: bool, out: &mut Vec<u8>) {
    let line = Line {
        task_id,
        note,
        exported,
    };
    // Strings and numbers: serialization cannot fail.
    let line = serde_json::to_vec(&line).unwrap_or_default();
    out.extend_from_slice(&line);
    out.push(b'\n');
}
