//! `failures.jsonl`: one line for each ID that failed for good, in input order.
//! Depends on `journal` for the note.

use serde::Serialize;

use crate::journal::FailureNote;

/// Stands for an ID that the sources of `flatten` have no response for.
pub fn missing() -> FailureNote {
    FailureNote {
        kind: "missing".to_owned(),
        http_status: None,
        attempts: 0,
        message: "there is no response for it in the sources".to_owned(),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    task_id: &'a str,
    #[serde(flatten)]
    note: &'a FailureNote,
}

/// Appends one line.
pub fn write_line(task_id: &str, note: &FailureNote, out: &mut Vec<u8>) {
    // Strings and numbers: serialization cannot fail.
    let line = serde_json::to_vec(&Line { task_id, note }).unwrap_or_default();
    out.extend_from_slice(&line);
    out.push(b'\n');
}
