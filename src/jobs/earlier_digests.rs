//! The digests of an export whose file of digests is missing or damaged: they follow from its list, its failures and its
//! journal, unless these were changed since.

use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::ids::task_ids::TaskIds;
use crate::journal::index::JournalIndex;
use crate::journal::reader::JournalReader;
use crate::output_error::OutputError;
use crate::publish::digest_file::{DigestKind, TaskDigest};
use crate::publish::digest_writer::DigestWriter;
use crate::publish::manifest::Manifest;
use crate::publish::previous_export::each_exported;
use crate::state::paths::StateDir;

/// What the published export was made of.
struct EarlierResponses {
    /// The tasks in its tables.
    ids: TaskIds,
    index: JournalIndex,
    reader: JournalReader,
}

/// Writes the digests of the published export, and passes them to `visit`. Returns whether they are known; otherwise the
/// file is of no use.
pub(crate) fn write_earlier(
    directory: &Path,
    manifest: &Manifest,
    writer: &mut DigestWriter,
    mut visit: impl FnMut(TaskDigest<'_>),
) -> Result<bool, OutputError> {
    let Some(EarlierResponses {
        ids,
        index,
        mut reader,
    }) = read(directory, manifest)
    else {
        return Ok(false);
    };
    let mut body = Vec::new();
    for (position, task_id) in ids.iter().enumerate() {
        let response = index.get(position).response();
        let is_read = |location| reader.read(task_id, location, &mut body).is_ok();
        if !response.is_some_and(is_read) {
            return Ok(false);
        }
        let task = TaskDigest {
            kind: DigestKind::Exported,
            task_id,
            sha256: Sha256::digest(&body).into(),
        };
        visit(task);
        writer.push(task)?;
    }
    Ok(true)
}

/// Reads the list and indexes the part of the journal that the export was made from; `None` if one of them is not as it
/// was then.
fn read(directory: &Path, manifest: &Manifest) -> Option<EarlierResponses> {
    let mut ids = TaskIds::default();
    let mut is_valid = true;
    let insert = &mut |task_id: &str| is_valid &= ids.insert(task_id).is_ok();
    each_exported(directory, manifest, insert).ok()?;
    let bytes = manifest.run.journal_bytes?;
    let mut index = JournalIndex::new(ids.len());
    let mut end = 0;
    let journal = StateDir::of_output(directory).journal();
    let opened = JournalReader::open(&journal, Some(bytes), |entry| {
        index.add_record(ids.position(entry.task_id), &entry);
        end = entry.next;
        ControlFlow::Continue(())
    });
    let (reader, _, scan) = opened.ok()?;
    index.finish_scan();
    // Otherwise another journal has taken its place.
    let has_boundary = end == bytes || ids.is_empty();
    // Behind damage, an older response of the same task would count.
    let is_whole = scan.damaged == 0;
    (is_valid && has_boundary && is_whole).then_some(EarlierResponses { ids, index, reader })
}
