//! The result of `changes` as text. Pure.

use std::path::Path;

use crate::jobs::changes::change_report::{ChangeCounts, ChangesReport};
use crate::plural::{bytes_text, plural, verb};
use crate::printable::printable;

/// The result in one line; `out` is the directory of the feed, if one was written.
pub(crate) fn changes_line(report: &ChangesReport, out: Option<&Path>) -> String {
    let ChangesReport {
        from,
        to,
        counts,
        files,
        ..
    } = report;
    let ChangeCounts {
        insert,
        update,
        delete,
        unchanged,
        lost,
    } = *counts;
    let mut line = match from {
        None => format!(
            "First publication {to}: {} inserted",
            plural(insert, "task")
        ),
        // Counts of changes would be three zeros.
        Some(from) if from == to => format!(
            "No changes since publication {to}: {} unchanged",
            plural(unchanged, "task")
        ),
        Some(from) => format!(
            "Changes from {from} to {to}: {} inserted, {update} updated, {delete} deleted, {unchanged} unchanged",
            plural(insert, "task")
        ),
    };
    if lost > 0 {
        let are = verb(lost, "is", "are");
        let tasks = plural(lost, "task");
        line += &format!("; {tasks} {are} not deleted, since only the fetch failed");
    }
    if let Some(out) = out {
        let bytes = files.iter().map(|file| file.file.bytes).sum();
        line += &format!(
            "; wrote {} to {} ({})",
            plural(files.len() as u64, "file"),
            out.display(),
            bytes_text(bytes)
        );
    }
    printable(&line)
}
