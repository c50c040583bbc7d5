//! How the last run ended, published or not, in the state directory: `last_run.json`, and the failures that it knew
//! of in `last_failures.jsonl`. Depends on `journal` and `output`.

use serde_json::Value;

use crate::event::{Event, Events};
use crate::ids::task_ids::IdList;
use crate::jobs::journal_index::Index;
use crate::jobs::publication::now;
use crate::journal::index::Held;
use crate::journal::reader::JournalReader;
use crate::publish::failure_lines::write_line;
use crate::publish::file_names::{LAST_FAILURES, LAST_RUN};
use crate::publish::output_dir::OutputDirectory;

/// Writes both, the first with the times of the run. That one of them cannot be written is a warning: how the run ended matters more.
pub(crate) fn write(
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
        if let Err(error) = directory.replace_file(name, content) {
            events.send(Event::Warning(error.to_string()));
        }
    }
}

/// The failures that the journal has, in the order of the list, as lines of `failures.jsonl`. One that cannot be
/// read is left out.
pub(crate) fn failure_lines(ids: &IdList, index: &Index, reader: &mut JournalReader) -> Vec<u8> {
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
