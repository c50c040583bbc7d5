//! The thread of an import that writes the journal.

use std::sync::mpsc::Receiver;

use crate::api::task_response::TaskBody;
use crate::jobs::error::ExportError;
use crate::jobs::journal_index::{IndexUpdate, SharedIndex};
use crate::jobs::journal_writer::unix_millis;
use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalRecord, RecordKind};
use crate::journal::index::StoredResponse;
use crate::journal::location::Location;
use crate::journal::record_head::RecordHead;
use crate::journal::writer::Journal;

/// A record to append to the journal, and the position of its ID.
pub(crate) struct ImportedRecord {
    pub(crate) position: usize,
    pub(crate) content: ImportedContent,
}

/// A record without its position.
pub(crate) enum ImportedContent {
    Task {
        task_id: String,
        body: TaskBody,
        digest: BodyDigest,
        is_final: bool,
    },
    /// A record of another journal.
    Copy {
        head: RecordHead,
        task_id: String,
        body: Vec<u8>,
    },
}

/// The journal's thread: appends all records, updates the index, and syncs the journal.
pub(crate) fn append_all(
    mut journal: Journal,
    records: &Receiver<Vec<ImportedRecord>>,
    index: &SharedIndex,
) -> Result<Journal, ExportError> {
    let mut appended = Vec::new();
    for ImportedRecord { position, content } in records.iter().flatten() {
        let (kind, digest) = match &content {
            ImportedContent::Task { digest, .. } => (RecordKind::Response, Some(*digest)),
            ImportedContent::Copy { head, .. } => (head.kind, head.digest()),
        };
        appended.push(AppendedImport {
            position,
            kind,
            digest,
        });
        append(&mut journal, content);
        if journal.is_full() {
            let locations = journal.write_blocks()?;
            index.set(&updates(&mut appended, locations));
        }
    }
    let locations = journal.sync()?;
    index.set(&updates(&mut appended, locations));
    Ok(journal)
}

fn append(journal: &mut Journal, content: ImportedContent) {
    match content {
        ImportedContent::Task {
            task_id,
            body,
            digest,
            is_final,
        } => journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: if is_final { FLAG_FINAL } else { 0 },
            attempts: 0,
            time: unix_millis(),
            task_id: &task_id,
            body: &body,
            digest: Some(digest),
        }),
        ImportedContent::Copy {
            head,
            task_id,
            body,
        } => journal.append_copy(&head, &task_id, &body),
    }
}

/// A record that was appended, and whose place is not yet known.
struct AppendedImport {
    position: usize,
    kind: RecordKind,
    digest: Option<BodyDigest>,
}

/// The updates of the index for records that were written, in their order.
fn updates(
    appended: &mut Vec<AppendedImport>,
    locations: Vec<Location>,
) -> Vec<(usize, IndexUpdate)> {
    let records = appended.drain(..locations.len()).zip(locations);
    // Nothing is fetched into this journal, so it does not matter what is final or fails with any key.
    let update = |(record, location): (AppendedImport, Location)| {
        let update = match record.kind {
            RecordKind::Failure => IndexUpdate::Failure {
                location,
                is_own: true,
            },
            _ => IndexUpdate::Response(StoredResponse {
                location,
                is_final: true,
                digest: record.digest,
            }),
        };
        (record.position, update)
    };
    records.map(update).collect()
}
