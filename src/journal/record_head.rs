//! The head of a record: its fields and their sizes, for the files that encode it and those that decode it.
//!
//! ```text
//! head = mark:u32 kind:u8 codec:u8 flags:u16 attempts:u32 id_length:u32
//!        stored_length:u32 raw_length:u32 time:u64 stored_crc32:u32
//!        sha256:[u8; 32] heads_length:u32 start:u32 block_length:u32
//!        head_crc32:u32
//! ```
//!
//! Version 2 has no place in a block, and version 1 no `sha256` either. All numbers are little-endian. A head has its own
//! checksum, so it can be trusted when the bodies are damaged. In version 3 the checksum covers the ID as well.

use crate::journal::format::{BodyDigest, JournalVersion, RecordKind};

/// Begins every record.
pub(crate) const MARK: u32 = 0x4C4E_4A7E;

/// Bytes of a head that all versions have, before its checksum.
pub(crate) const COMMON_BYTES: usize = 36;

/// Bytes of a SHA-256.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Bytes of the place in a block.
const PLACE_BYTES: usize = 12;

/// Bytes of a CRC-32.
pub(crate) const CRC_BYTES: usize = 4;

/// The maximum size of an ID in bytes. A longer one in a head is damage.
pub(crate) const MAX_ID_BYTES: u32 = 1 << 10;

/// Bytes of the largest head with the longest ID.
pub(crate) const MAX_HEAD_BYTES: usize =
    COMMON_BYTES + DIGEST_BYTES + PLACE_BYTES + CRC_BYTES + MAX_ID_BYTES as usize;

/// The layout of a head in a version of the format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLayout {
    /// Whether it has the digest of the body.
    pub(crate) has_digest: bool,
    /// Whether it has the place of the body in a block.
    pub(crate) has_place: bool,
}

impl JournalVersion {
    /// The layout of a head in this version.
    pub(crate) fn layout(self) -> HeadLayout {
        HeadLayout {
            has_digest: self != Self::One,
            has_place: self == Self::Three,
        }
    }

    /// Bytes of a head before its ID.
    pub fn head_bytes(self) -> usize {
        let HeadLayout {
            has_digest,
            has_place,
        } = self.layout();
        let digest = usize::from(has_digest) * DIGEST_BYTES;
        COMMON_BYTES + digest + usize::from(has_place) * PLACE_BYTES + CRC_BYTES
    }

    /// Whether the records of a block share their stored bodies. Otherwise each record is a block.
    pub(crate) fn has_blocks(self) -> bool {
        self.layout().has_place
    }
}

/// A record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    pub(crate) version: JournalVersion,
    /// What it is.
    pub kind: RecordKind,
    pub(crate) codec: u8,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Requests that it took.
    pub attempts: u32,
    /// Bytes of the ID.
    pub id_bytes: u32,
    /// Bytes of the stored bodies of its block, which may be compressed.
    pub stored_bytes: u32,
    /// Bytes of its body, uncompressed.
    pub raw_bytes: u32,
    /// When it was written, in milliseconds since 1970 (UTC).
    pub time: u64,
    /// CRC-32 of the stored bodies; before version 3 of the ID and the stored body.
    pub(crate) stored_crc32: u32,
    /// SHA-256 of the body, uncompressed; zeros in version 1.
    pub sha256: BodyDigest,
    /// Bytes of the heads between this one, with its ID, and the stored bodies.
    pub(crate) heads_bytes: u32,
    /// Where its body begins in the bodies of the block, uncompressed.
    pub(crate) start: u32,
    /// Bytes of the bodies of the block, uncompressed.
    pub(crate) block_bytes: u32,
}

/// The checksum of stored bodies; before version 3 it includes the only ID of the block.
pub(crate) fn stored_checksum(version: JournalVersion, id: &[u8], stored: &[u8]) -> u32 {
    let mut crc32 = crc32fast::Hasher::new();
    if !version.has_blocks() {
        crc32.update(id);
    }
    crc32.update(stored);
    crc32.finalize()
}

impl RecordHead {
    /// Bytes of the head and its ID.
    pub fn bytes(&self) -> u64 {
        self.version.head_bytes() as u64 + u64::from(self.id_bytes)
    }

    /// Bytes of the head, of its ID, and of its share of the stored bodies. The shares of a block add up to its size.
    pub(crate) fn attributed_bytes(&self) -> u64 {
        let (stored, all) = (u64::from(self.stored_bytes), u64::from(self.block_bytes));
        // Both factors are below 2^32.
        let before = |raw: u64| (stored * raw).checked_div(all);
        let (start, raw) = (u64::from(self.start), u64::from(self.raw_bytes));
        // Differences of rounded sums add up to the whole. Shares that are rounded one by one would not.
        let share = before(start + raw).zip(before(start));
        self.bytes() + share.map_or(0, |(end, start)| end - start)
    }

    /// The digest of the body; `None` in version 1.
    pub fn digest(&self) -> Option<BodyDigest> {
        self.version.layout().has_digest.then_some(self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_of_a_block_add_up(
            stored_bytes: u32,
            ids in prop::collection::vec((0..=MAX_ID_BYTES, 0..1_u32 << 20), 1..40),
        ) {
            let block_bytes = ids.iter().map(|(_, raw)| raw).sum();
            let first = RecordHead {
                version: JournalVersion::Three,
                kind: RecordKind::Response,
                codec: 0,
                flags: 0,
                attempts: 1,
                id_bytes: 0,
                stored_bytes: 0,
                raw_bytes: 0,
                time: 0,
                stored_crc32: 0,
                sha256: BodyDigest::default(),
                heads_bytes: 0,
                start: 0,
                block_bytes: 0,
            };
            let (mut start, mut sum, mut heads) = (0, 0, 0);
            for (id_bytes, raw_bytes) in ids {
                let head = RecordHead { id_bytes, stored_bytes, raw_bytes, start, block_bytes, ..first };
                start += raw_bytes;
                sum += head.attributed_bytes();
                heads += head.bytes();
            }
            if block_bytes > 0 {
                prop_assert_eq!(sum, heads + u64::from(stored_bytes));
            }
        }
    }
}
