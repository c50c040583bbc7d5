//! Blocks: records that are stored together. Their heads and IDs come first, then their bodies, compressed as one.
//!
//! ```text
//! block = (head id)+ stored
//! ```
//!
//! Every head says where the stored bodies are, how long they are and which part is its own, so any head is enough to read
//! its record. An encoded block does not depend on its place in the file. Before version 3, a block has one record.

use std::fmt;

use crate::journal::compressor::Compressor;
use crate::journal::file_head_encoder::length;
use crate::journal::format::{JournalRecord, JournalVersion};
use crate::journal::location::Location;
use crate::journal::record_head::{RecordHead, stored_checksum};

/// The maximum size of the bodies of a block in bytes. A larger body is alone in its block.
pub const MAX_BLOCK_BYTES: usize = 64 << 10;

/// The maximum size of the heads and IDs of a block in bytes. It bounds the number of records with small bodies.
pub(crate) const MAX_HEADS_BYTES: usize = 64 << 10;

/// A record to be stored in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRecord<'r> {
    /// Its head, without what the block decides.
    head: RecordHead,
    task_id: &'r str,
    body: &'r [u8],
}

impl<'r> BlockRecord<'r> {
    /// A new record in a version of the format.
    pub(crate) fn new(record: &JournalRecord<'r>, version: JournalVersion) -> Self {
        let head = RecordHead {
            version,
            kind: record.kind,
            codec: 0,
            flags: record.flags,
            attempts: record.attempts,
            id_bytes: length(record.task_id.len()),
            stored_bytes: 0,
            raw_bytes: length(record.body.len()),
            time: record.time,
            stored_crc32: 0,
            sha256: record.digest.unwrap_or_else(|| version.digest(record.body)),
            heads_bytes: 0,
            start: 0,
            block_bytes: 0,
        };
        Self {
            head,
            task_id: record.task_id,
            body: record.body,
        }
    }

    /// A record of another journal. It keeps its digest, so that damage that happened before it was copied is still found.
    pub(crate) fn copied(
        head: &RecordHead,
        task_id: &'r str,
        body: &'r [u8],
        version: JournalVersion,
    ) -> Self {
        let sha256 = head.digest().unwrap_or_else(|| version.digest(body));
        let head = RecordHead {
            version,
            sha256,
            ..*head
        };
        Self {
            head,
            task_id,
            body,
        }
    }

    /// Appends the record to a buffer, alone in a block; returns the size of the block in bytes.
    pub(crate) fn encode_alone(&self, compressor: &mut Compressor, out: &mut Vec<u8>) -> u64 {
        let mut head = [RecordHead {
            // A head that was copied has the place that it had in its former block.
            start: 0,
            ..self.head
        }];
        let id = self.task_id.as_bytes();
        encode_block(&mut head, id, self.body, compressor, out);
        let [head] = head;
        head.attributed_bytes()
    }
}

/// Records that wait to be stored together.
#[derive(Default)]
pub(crate) struct PendingBlock {
    heads: Vec<RecordHead>,
    /// Bytes of the heads and IDs.
    heads_bytes: usize,
    ids: Vec<u8>,
    bodies: Vec<u8>,
}

impl PendingBlock {
    /// Whether a record fits into the block.
    pub(crate) fn has_room_for(&self, record: &BlockRecord<'_>) -> bool {
        // Heads of earlier versions cannot say which part of a block is theirs.
        record.head.version.has_blocks()
            && self.bodies.len() + record.body.len() <= MAX_BLOCK_BYTES
            && self.heads_bytes + head_bytes(&record.head) <= MAX_HEADS_BYTES
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: &BlockRecord<'_>) {
        self.heads_bytes += head_bytes(&record.head);
        self.heads.push(RecordHead {
            start: length(self.bodies.len()),
            ..record.head
        });
        self.ids.extend_from_slice(record.task_id.as_bytes());
        self.bodies.extend_from_slice(record.body);
    }

    /// Appends the block to `out`, and the locations of its records in `out` to `placed`, and becomes empty.
    pub(crate) fn encode(
        &mut self,
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
        placed: &mut Vec<Location>,
    ) {
        let mut offset = out.len() as u64;
        if !self.heads.is_empty() {
            encode_block(&mut self.heads, &self.ids, &self.bodies, compressor, out);
        }
        for head in self.heads.drain(..) {
            placed.push(Location::new(offset, head.attributed_bytes()));
            offset += head.bytes();
        }
        self.heads_bytes = 0;
        self.ids.clear();
        self.bodies.clear();
    }
}

impl fmt::Debug for PendingBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.heads.len();
        f.debug_struct("PendingBlock")
            .field("records", &records)
            .finish_non_exhaustive()
    }
}

/// Appends a record to a buffer, alone in a block.
pub fn encode(
    record: &JournalRecord<'_>,
    version: JournalVersion,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) {
    BlockRecord::new(record, version).encode_alone(compressor, out);
}

/// Completes heads, and appends them and the bodies to a buffer.
fn encode_block(
    heads: &mut [RecordHead],
    ids: &[u8],
    bodies: &[u8],
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let mut left: usize = heads.iter().map(head_bytes).sum();
    // The heads need the size and the checksum of the stored bodies, so they are written last.
    out.resize(start + left, 0);
    let codec = compressor.append(bodies, out);
    let (places, stored) = out.split_at_mut(start + left);
    let mut places = places.get_mut(start..).unwrap_or_default();
    let mut ids_left = ids;
    // Before version 3 a block has one record, so `ids` is the ID that its checksum includes.
    let crc32 = |head: &RecordHead| stored_checksum(head.version, ids, stored);
    let stored_crc32 = heads.first().map(crc32).unwrap_or_default();
    for head in heads {
        left -= head_bytes(head);
        *head = RecordHead {
            codec: codec as u8,
            stored_bytes: length(stored.len()),
            stored_crc32,
            heads_bytes: length(left),
            block_bytes: length(bodies.len()),
            ..*head
        };
        // The room has the size of all heads and IDs, so none of these splits fails. An index could panic.
        let Some((id, next_ids)) = ids_left.split_at_checked(head.id_bytes as usize) else {
            break;
        };
        let Some((fields, rest)) = places.split_at_mut_checked(head.version.head_bytes()) else {
            break;
        };
        let Some((id_place, next_places)) = rest.split_at_mut_checked(id.len()) else {
            break;
        };
        head.encode(id, fields);
        id_place.copy_from_slice(id);
        (ids_left, places) = (next_ids, next_places);
    }
}

fn head_bytes(head: &RecordHead) -> usize {
    head.version.head_bytes() + head.id_bytes as usize
}
