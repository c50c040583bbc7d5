//! How the last run ended, published or not, in the state directory: `last_run.json`, and the failures that it knew
//! of in `last_failures.jsonl`. Depends on `journal` and `output`.

use serde_json::Value;

use super::index::Index;
use super::publish::now;
use crate::event::{Event, Events};
use crate::failures::write_line;
use crate::ids::IdList;
use crate::journal::{Held, JournalReader};
use crate::output::{LAST_FAILURES, LAST_RUN, OutputDirectory, Staging};

/// Writes both, the first with the times of the run. That one of them cannot be written is a warning: how the run ended matters more.
pub(super) fn write(
    directory: &OutputDirectory,
    started_at: String,
    mut summary: Value,
    failures: &[u8],
    events: &Events,
) {
    if let Some(fields) = summary.as_object_mut() {
        fields.insert("started_at".to_owned(), started_at.into());
        fields.insert("finished_at".to_owned(), now().into());
    }
    let summary = format!("{summary:#}\n");
    for (name, content) in [(LAST_FAILURES, failures), (LAST_RUN, summary.as_bytes())] {
        if let Err(error) = Staging::replace(directory, name, content) {
            events.send(Event::Warning(error.to_string()));
        }
    }
}

/// The failures that the journal has, in the order of the list, as lines of `failures.jsonl`. One that cannot be
/// read is left out.
pub(super) fn failure_lines(ids: &IdList, index: &Index, reader: &mut JournalReader) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut body = Vec::new();
    for (position, held) in index.failures() {
        let (Some(task_id), Some(failure)) = (ids.get(position), held.failure()) else {
            continue;
        };
        if let Ok(note) = reader.read_failure(task_id, failure, &mut body) {
            write_line(
                task_id,
                &note,
                matches!(held, Held::Stale { .. }),
                &mut lines,
            );
        }
    }
    lines
}
