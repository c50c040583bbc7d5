//! The tables' thread: follows the journal in the order of the IDs, while it is being written.
//! Depends on `journal`, `flatten` and `output`.

use std::collections::BTreeMap;

use super::ExportError;
use super::index::{Index, Slot};
use super::publish::Target;
use crate::event::{Event, Events};
use crate::failures::{missing, write_line};
use crate::flatten::Flattener;
use crate::journal::JournalReader;
use crate::json::Parser;
use crate::output::{Published, Staging, TableFiles, TableWriters};
use crate::tables::Drift;

/// Tasks between two events.
const EVENT_TASKS: usize = 100;

/// Memory that buffers keep from one task to the next; one huge task does not burden the rest.
const KEPT_BYTES: usize = 4 << 20;

/// Complete tables under temporary names, and what goes beside them.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) files: Vec<Published>,
    pub(super) tables: Vec<(String, TableFiles)>,
    pub(super) drift: Drift,
    /// The content of `failures.jsonl`.
    pub(super) failures: Vec<u8>,
    pub(super) failures_by_kind: BTreeMap<String, u64>,
    pub(super) exported: u64,
}

/// Builds all tables; nothing when the run ended before every ID had come, or `is_over` says so.
pub(super) fn run(
    target: &Target<'_>,
    index: &Index,
    mut reader: JournalReader,
    staging: &Staging,
    events: &Events,
    is_over: impl Fn() -> bool,
) -> Result<Option<Built>, ExportError> {
    let wanted = |name: &str| target.wants(name);
    let mut writers = TableWriters::begin(staging, target.format, wanted)?;
    let mut flattener = Flattener::new(wanted);
    let mut parser = Parser::default();
    let mut body = Vec::new();
    let mut failures = Vec::new();
    let mut failures_by_kind = BTreeMap::new();
    let mut exported = 0;
    for (position, task_id) in target.ids.iter().enumerate() {
        let slot = index.wait(position);
        if is_over() {
            return Ok(None);
        }
        match slot {
            Slot::Waiting => return Ok(None),
            Slot::Response(location) => {
                reader.read(task_id, location, &mut body)?;
                flatten(task_id, &body, &mut parser, &mut flattener, &mut writers)?;
                exported += 1;
                if body.capacity() > KEPT_BYTES {
                    body = Vec::new();
                    parser = Parser::default();
                    reader.shrink();
                }
            }
            Slot::Failure(location) => {
                let note = reader.read_failure(task_id, location, &mut body)?;
                write_line(task_id, &note, &mut failures);
                *failures_by_kind.entry(note.kind).or_default() += 1;
            }
            Slot::Missing => {
                let note = missing();
                write_line(task_id, &note, &mut failures);
                *failures_by_kind.entry(note.kind).or_default() += 1;
            }
        }
        if (position + 1) % EVENT_TASKS == 0 {
            events.send(Event::TasksFlattened(position + 1));
        }
    }
    let drift = flattener.finish(&mut writers)?;
    let (files, tables) = writers.finish()?;
    Ok(Some(Built {
        files,
        tables,
        drift,
        failures,
        failures_by_kind,
        exported,
    }))
}

fn flatten(
    task_id: &str,
    body: &[u8],
    parser: &mut Parser,
    flattener: &mut Flattener,
    writers: &mut TableWriters,
) -> Result<(), ExportError> {
    // What the journal holds was checked before it was written, and its checksum was right.
    let text = std::str::from_utf8(body).map_err(|error| ExportError::Tables(error.into()))?;
    let document = parser
        .parse(text)
        .map_err(|error| ExportError::Tables(error.into()))?;
    Ok(flattener.task(task_id, &document, writers)?)
}
