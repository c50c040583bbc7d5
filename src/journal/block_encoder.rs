//! Encodes records into blocks, on any thread.

use zstd::zstd_safe::compress_bound;

use crate::journal::block::{BlockRecord, MAX_BLOCK_BYTES, PendingBlock};
use crate::journal::compressor::Compressor;
use crate::journal::format::{JournalRecord, JournalVersion};
use crate::journal::location::Location;
use crate::journal::record_head::RecordHead;

/// Whole blocks, and where their records are.
#[derive(Debug, Default)]
pub(crate) struct EncodedBlocks {
    pub(crate) bytes: Vec<u8>,
    /// From the first of the bytes, in the order of the records.
    placed: Vec<Location>,
}

impl EncodedBlocks {
    /// Moves other blocks behind these.
    pub(crate) fn append(&mut self, mut others: Self) {
        let at = self.bytes.len() as u64;
        self.placed.extend(others.take_placed(at));
        // A huge block is not copied; others fill the buffer, which is used again.
        if self.bytes.is_empty() && self.bytes.capacity() < others.bytes.len() {
            self.bytes = others.bytes;
        } else {
            self.bytes.extend_from_slice(&others.bytes);
        }
    }

    /// Takes out where the records are in a file that has the blocks at an offset.
    pub(crate) fn take_placed(&mut self, at: u64) -> impl Iterator<Item = Location> {
        let placed = std::mem::take(&mut self.placed).into_iter();
        placed.map(move |place| Location::new(at + place.offset(), place.bytes()))
    }
}

/// Bytes that are reserved at most for the next blocks, apart from the last one.
const MAX_RESERVED_BYTES: usize = 128 << 10;

/// Encodes records of one version of the format.
#[derive(Debug)]
pub(crate) struct BlockEncoder {
    version: JournalVersion,
    /// Records that are not yet compressed.
    block: PendingBlock,
    compressor: Compressor,
    encoded: EncodedBlocks,
}

impl BlockEncoder {
    pub(crate) fn new(version: JournalVersion) -> Self {
        Self {
            version,
            block: PendingBlock::default(),
            compressor: Compressor::default(),
            encoded: EncodedBlocks::default(),
        }
    }

    /// Adds a record. Those between two calls of [`end_block`](Self::end_block) share blocks.
    pub(crate) fn append(&mut self, record: &JournalRecord<'_>) {
        self.push(&BlockRecord::new(record, self.version));
    }

    /// Adds a record of another journal.
    pub(crate) fn append_copy(&mut self, head: &RecordHead, task_id: &str, body: &[u8]) {
        self.push(&BlockRecord::copied(head, task_id, body, self.version));
    }

    fn push(&mut self, record: &BlockRecord<'_>) {
        if !self.block.has_room_for(record) {
            self.end_block();
        }
        // A body may be too large for an empty block, and earlier versions have no blocks.
        if self.block.has_room_for(record) {
            self.block.push(record);
            return;
        }
        // Without a copy of the body, which may be huge.
        let EncodedBlocks { bytes, placed } = &mut self.encoded;
        let offset = bytes.len() as u64;
        let size = record.encode_alone(&mut self.compressor, bytes);
        placed.push(Location::new(offset, size));
    }

    /// Compresses the records that wait.
    pub(crate) fn end_block(&mut self) {
        let EncodedBlocks { bytes, placed } = &mut self.encoded;
        self.block.encode(&mut self.compressor, bytes, placed);
    }

    /// Bytes of the blocks that are complete.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.encoded.bytes.len()
    }

    /// The blocks that are complete.
    pub(crate) fn encoded(&mut self) -> &mut EncodedBlocks {
        &mut self.encoded
    }

    /// Compresses the records that wait, and takes all blocks out.
    pub(crate) fn finish(&mut self) -> EncodedBlocks {
        self.end_block();
        // The next blocks take about as many, and zstd needs more room for the last one than it takes.
        let bytes = self.encoded.bytes.len().min(MAX_RESERVED_BYTES);
        let next = EncodedBlocks {
            bytes: Vec::with_capacity(bytes + compress_bound(MAX_BLOCK_BYTES)),
            ..EncodedBlocks::default()
        };
        std::mem::replace(&mut self.encoded, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::RecordKind;

    fn blocks(bodies: &[usize]) -> EncodedBlocks {
        let mut encoder = BlockEncoder::new(JournalVersion::LATEST);
        for (number, bytes) in bodies.iter().enumerate() {
            let body = vec![b'x'; *bytes];
            encoder.append(&JournalRecord {
                kind: RecordKind::Response,
                flags: 0,
                attempts: 1,
                time: 0,
                task_id: &format!("task_{number}"),
                body: &body,
                digest: None,
            });
        }
        encoder.finish()
    }

    #[test]
    fn blocks_that_are_moved_together_have_the_places_of_their_records() {
        let parts = || [&[10, 20_000, 60_000][..], &[], &[500_000], &[1, 2, 3]].map(blocks);
        let lengths = parts().map(|part| part.bytes.len() as u64);
        let own = parts().map(|mut part| part.take_placed(0).collect::<Vec<_>>());
        for capacity in [0, 100, 1 << 20] {
            let mut all = EncodedBlocks {
                bytes: Vec::with_capacity(capacity),
                ..EncodedBlocks::default()
            };
            for part in parts() {
                all.append(part);
            }
            let together: Vec<u8> = parts().into_iter().flat_map(|part| part.bytes).collect();
            assert!(all.bytes == together);
            let mut start = 7;
            let mut expected = Vec::new();
            for (own, length) in own.iter().zip(lengths) {
                let moved = own.iter();
                expected.extend(moved.map(|at| Location::new(start + at.offset(), at.bytes())));
                start += length;
            }
            assert_eq!(all.take_placed(7).collect::<Vec<_>>(), expected);
            assert_eq!(all.take_placed(7).count(), 0);
        }
    }
}
