//! Decompressed blocks of a journal. Neighbors in the list of IDs are mostly neighbors in the journal, but not in the same
//! order, so a reader returns to a block several times.

use crate::journal::record_head::RecordHead;

/// The maximum size of all cached blocks in bytes: about 32 full blocks. A reader that follows the list of IDs alternates
/// between as many places of the journal as runs with refreshes wrote, and at each of them between the blocks of the
/// responses that were in flight together.
const MAX_CACHED_BYTES: usize = 2 << 20;

/// The last blocks that were read.
#[derive(Debug, Default)]
pub(crate) struct BlockCache {
    /// The most recently used one is last.
    blocks: Vec<CachedBlock>,
    /// Bytes that the buffers of the blocks take.
    bytes: usize,
}

#[derive(Debug)]
struct CachedBlock {
    /// The offset of its stored bodies in the file.
    stored_at: u64,
    stored_crc32: u32,
    /// The bodies, uncompressed.
    bodies: Vec<u8>,
}

impl BlockCache {
    /// The bodies of the block of a head whose stored bodies are at an offset. `decode` decompresses them into an empty
    /// buffer if they are not cached.
    pub(crate) fn get_or_decode<E>(
        &mut self,
        head: &RecordHead,
        stored_at: u64,
        decode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        // From the end: a reader mostly returns to the block that it used last.
        let found = self.blocks.iter().rposition(|block| {
            (block.stored_at, block.stored_crc32) == (stored_at, head.stored_crc32)
                && block.bodies.len() == head.block_bytes as usize
        });
        let block = if let Some(found) = found {
            self.blocks.remove(found)
        } else {
            let mut bodies = self.make_room(head.block_bytes as usize);
            decode(&mut bodies)?;
            // A buffer that is used again may be larger than its block.
            self.bytes += bodies.capacity();
            CachedBlock {
                stored_at,
                stored_crc32: head.stored_crc32,
                bodies,
            }
        };
        self.blocks.push(block);
        Ok(self.blocks.last().map_or(&[], |block| &block.bodies))
    }

    /// Drops the blocks that were not used for the longest time until a block of so many bytes has room. Returns an empty
    /// buffer for it, which is that of a dropped block if possible.
    fn make_room(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = Vec::new();
        while !self.blocks.is_empty() && self.bytes + bytes > MAX_CACHED_BYTES {
            buffer = self.blocks.remove(0).bodies;
            self.bytes -= buffer.capacity();
        }
        buffer.clear();
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::block::{MAX_BLOCK_BYTES, encode};
    use crate::journal::compressor::Compressor;
    use crate::journal::format::{JournalRecord, JournalVersion, RecordKind};
    use crate::journal::record_head_decoder::decode_head;

    fn head(block_bytes: usize) -> RecordHead {
        let record = JournalRecord {
            kind: RecordKind::Response,
            flags: 0,
            attempts: 1,
            time: 0,
            task_id: "task_1",
            body: &vec![b'x'; block_bytes],
            digest: None,
        };
        let mut bytes = Vec::new();
        let version = JournalVersion::LATEST;
        encode(&record, version, &mut Compressor::default(), &mut bytes);
        decode_head(&bytes, version).unwrap()
    }

    /// Reads blocks by their numbers; returns how many were decompressed.
    fn decoded(
        cache: &mut BlockCache,
        head: &RecordHead,
        numbers: impl Iterator<Item = u64>,
    ) -> usize {
        let mut decoded = 0;
        for number in numbers {
            let fill = u8::try_from(number % 251).unwrap();
            let decode = |bodies: &mut Vec<u8>| {
                decoded += 1;
                assert!(bodies.is_empty());
                bodies.resize(head.block_bytes as usize, fill);
                Ok::<(), ()>(())
            };
            let bodies = cache.get_or_decode(head, number, decode).unwrap();
            assert!(bodies.len() == head.block_bytes as usize);
            assert!(bodies.iter().all(|byte| *byte == fill));
            assert!(
                cache
                    .blocks
                    .iter()
                    .map(|block| block.bodies.capacity())
                    .sum::<usize>()
                    == cache.bytes
            );
            assert!(cache.bytes <= MAX_CACHED_BYTES);
        }
        decoded
    }

    #[test]
    fn blocks_are_decompressed_once_while_their_records_are_read_out_of_order() {
        let head = head(MAX_BLOCK_BYTES);
        // Six records of a block, read in the order of a list whose responses arrived up to 100 places late, from three
        // runs in turn.
        let numbers = (0..3_000_u64).map(|place| {
            let late = place.wrapping_mul(2_654_435_761) % 100;
            (place + late) / 6 + (place % 3) * 1_000_000
        });
        let blocks: std::collections::BTreeSet<u64> = numbers.clone().collect();
        let mut cache = BlockCache::default();
        assert_eq!(decoded(&mut cache, &head, numbers), blocks.len());
    }

    #[test]
    fn the_block_that_was_not_used_for_the_longest_time_makes_room() {
        let head = head(MAX_BLOCK_BYTES);
        let all = (MAX_CACHED_BYTES / MAX_BLOCK_BYTES) as u64;
        let mut cache = BlockCache::default();
        assert_eq!(
            decoded(&mut cache, &head, 0..all),
            MAX_CACHED_BYTES / MAX_BLOCK_BYTES
        );
        assert_eq!(decoded(&mut cache, &head, [0, all, 0].into_iter()), 1);
        assert_eq!(decoded(&mut cache, &head, std::iter::once(1)), 1);
    }

    #[test]
    fn a_block_that_cannot_be_decompressed_is_not_kept() {
        let head = head(1_000);
        let mut cache = BlockCache::default();
        assert_eq!(cache.get_or_decode(&head, 1, |_| Err(())), Err(()));
        assert_eq!(decoded(&mut cache, &head, [1, 1].into_iter()), 1);
    }
}
