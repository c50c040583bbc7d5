//! The thread of an import that writes the journal.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::jobs::error::ExportError;
use crate::jobs::journal_index::{IndexUpdate, SharedIndex};
use crate::journal::block_encoder::EncodedBlocks;
use crate::journal::format::{BodyDigest, RecordKind};
use crate::journal::index::StoredResponse;
use crate::journal::location::Location;
use crate::journal::writer::Journal;

/// Batches that may wait for the journal.
pub(crate) const WAITING_BATCHES: usize = 2;

/// How long the journal's thread waits for more before it writes what it has: a thread that builds tables can wait for a
/// response that only the journal has, while the thread that reads waits for it.
const IDLE: Duration = Duration::from_millis(20);

/// The records of a batch, and the blocks that they are in.
pub(crate) struct AppendedBatch {
    pub(crate) records: Vec<AppendedImport>,
    pub(crate) blocks: EncodedBlocks,
}

/// A record whose place in the journal is not yet known.
pub(crate) struct AppendedImport {
    /// The position of its ID. `None` if the list is full, which leaves the record unused.
    pub(crate) position: Option<usize>,
    pub(crate) kind: RecordKind,
    pub(crate) digest: Option<BodyDigest>,
}

/// The journal's thread: appends all blocks, updates the index, and syncs the journal.
pub(crate) fn append_all(
    mut journal: Journal,
    batches: &Receiver<AppendedBatch>,
    index: &SharedIndex,
) -> Result<Journal, ExportError> {
    let mut appended = Vec::new();
    loop {
        match batches.recv_timeout(IDLE) {
            Ok(AppendedBatch { records, blocks }) => {
                appended.extend(records);
                journal.append_blocks(blocks);
                if !journal.is_full() {
                    continue;
                }
            }
            Err(RecvTimeoutError::Timeout) if appended.is_empty() => continue,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let locations = journal.write_blocks()?;
        index.set(&updates(&mut appended, locations));
    }
    let locations = journal.sync()?;
    index.set(&updates(&mut appended, locations));
    Ok(journal)
}

/// The updates of the index for records that were written, in their order.
fn updates(
    appended: &mut Vec<AppendedImport>,
    locations: Vec<Location>,
) -> Vec<(usize, IndexUpdate)> {
    debug_assert!(
        locations.len() <= appended.len(),
        "each location is that of a record"
    );
    let records = appended
        .drain(..locations.len().min(appended.len()))
        .zip(locations);
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
        Some((record.position?, update))
    };
    records.filter_map(update).collect()
}
