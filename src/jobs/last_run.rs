//! Records in the state directory how a run ended, published or not.

use serde_json::Value;

use crate::event::{Event, Events};
use crate::ids::task_ids::TaskIds;
use crate::jobs::journal_index::SharedIndex;
use crate::journal::index::IndexEntry;
use crate::journal::reader::JournalReader;
use crate::publish::failure_lines::FailureLines;
use crate::publish::output_dir::OutputDirectory;
use crate::state::last_run;
use crate::state::last_run::LastRun;

/// Writes `last_run.json`, which is `summary`, and `last_failures.jsonl`. An error is a warning only: how the run ended
/// matters more.
pub(crate) fn write(
    directory: &OutputDirectory,
    summary: &Value,
    failures: &[u8],
    events: &Events,
) {
    let last = LastRun {
        summary: &format!("{summary:#}\n"),
        failures,
    };
    for error in last_run::write(directory.state(), directory.lock(), &last) {
        events.send(Event::Warning(error.to_string()));
    }
}

/// The failures that the journal has, in the order of the list. A failure that cannot be
/// read is left out.
pub(crate) fn failure_lines(
    ids: &TaskIds,
    index: &SharedIndex,
    reader: &mut JournalReader,
) -> FailureLines {
    let mut lines = FailureLines::default();
    let mut body = Vec::new();
    for (position, entry) in index.failures() {
        let (Some(task_id), Some(failure)) = (ids.get(position), entry.failure()) else {
            continue;
        };
        if let Ok(note) = reader.read_failure(task_id, failure, &mut body) {
            let is_exported = matches!(entry, IndexEntry::Stale { .. });
            lines.push(task_id, &note, is_exported);
        }
    }
    lines
}
