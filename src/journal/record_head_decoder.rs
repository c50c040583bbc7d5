//! Decodes the heads of records, and the bodies that they describe.

use std::io;
use std::ops::Range;

use crate::journal::block::MAX_HEADS_BYTES;
use crate::journal::decompressor::Decompressor;
use crate::journal::file_head_decoder::word;
use crate::journal::format::{Codec, JournalVersion, RecordKind};
use crate::journal::record_head::{
    COMMON_BYTES, CRC_BYTES, DIGEST_BYTES, HeadLayout, MARK, MAX_ID_BYTES, RecordHead,
    stored_checksum,
};
use crate::memory;

/// The maximum size of the bodies of a block in bytes, which `--max-body` and `flatten` keep to. A larger one in a head is
/// damage, or a record made to exhaust the memory.
const MAX_BODY_BYTES: u32 = 1 << 30;

/// Reads a head; `None` when the bytes are not a valid one. In version 3 its ID must follow.
pub fn decode_head(bytes: &[u8], version: JournalVersion) -> Option<RecordHead> {
    let crc32_at = version.head_bytes() - CRC_BYTES;
    let fields = bytes.get(..crc32_at)?;
    if word(bytes, 0)? != MARK {
        return None;
    }
    let HeadLayout {
        has_digest,
        has_place,
    } = version.layout();
    let id_bytes = word(bytes, 12)?;
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(fields);
    if has_place {
        let id = id_of(bytes, version, id_bytes)?;
        crc32.update(id);
    }
    // Readers load no more than the longest allowed ID with a head.
    if id_bytes > MAX_ID_BYTES || crc32.finalize() != word(bytes, crc32_at)? {
        return None;
    }
    let digest = has_digest.then(|| fields.get(COMMON_BYTES..)?.first_chunk());
    let raw_bytes = word(bytes, 20)?;
    let [heads_bytes, start, block_bytes] = if has_place {
        let place = COMMON_BYTES + DIGEST_BYTES;
        [
            word(bytes, place)?,
            word(bytes, place + 4)?,
            word(bytes, place + 8)?,
        ]
    } else {
        [0, 0, raw_bytes]
    };
    let stored_bytes = word(bytes, 16)?;
    // A right checksum does not mean that the numbers fit together: anyone can write a file that has one.
    let is_inside = u64::from(start) + u64::from(raw_bytes) <= u64::from(block_bytes);
    let is_bounded = stored_bytes <= MAX_BODY_BYTES && heads_bytes as usize <= MAX_HEADS_BYTES;
    (is_inside && is_bounded).then_some(RecordHead {
        version,
        kind: kind_of(*bytes.get(4)?)?,
        codec: *bytes.get(5)?,
        flags: u16::from_le_bytes(*bytes.get(6..)?.first_chunk()?),
        attempts: word(bytes, 8)?,
        id_bytes,
        stored_bytes,
        raw_bytes,
        time: u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?),
        stored_crc32: word(bytes, 32)?,
        sha256: digest.flatten().copied().unwrap_or_default(),
        heads_bytes,
        start,
        block_bytes,
    })
}

/// The bytes of the ID after a head.
fn id_of(bytes: &[u8], version: JournalVersion, id_bytes: u32) -> Option<&[u8]> {
    let from = version.head_bytes();
    bytes.get(from..from.checked_add(id_bytes as usize)?)
}

/// The kind of a record by its number.
pub(crate) fn kind_of(number: u8) -> Option<RecordKind> {
    [
        RecordKind::Response,
        RecordKind::Failure,
        RecordKind::Refresh,
        RecordKind::Refused,
        RecordKind::End,
    ]
    .into_iter()
    .find(|kind| *kind as u8 == number)
}

/// Where the next valid head begins in `bytes` for which `is_wanted` is true of its place and itself.
pub(crate) fn find_head(
    bytes: &[u8],
    version: JournalVersion,
    mut is_wanted: impl FnMut(usize, &RecordHead) -> bool,
) -> Option<usize> {
    let mark = MARK.to_le_bytes();
    // The mark may occur in a body too, so the checksum of a head must confirm each place.
    memchr::memmem::find_iter(bytes, &mark).find(|at| {
        let head = bytes.get(*at..).and_then(|head| decode_head(head, version));
        head.is_some_and(|head| is_wanted(*at, &head))
    })
}

impl RecordHead {
    /// The offset of the stored bodies of its block, if the head is at an offset.
    pub(crate) fn stored_at(&self, at: u64) -> u64 {
        at.saturating_add(self.bytes())
            .saturating_add(self.heads_bytes.into())
    }

    /// The offset at which its block ends, if the head is at an offset.
    pub(crate) fn block_end(&self, at: u64) -> u64 {
        self.stored_at(at).saturating_add(self.stored_bytes.into())
    }

    /// The offset at which the next record begins, if the head is at an offset.
    pub(crate) fn next(&self, at: u64) -> u64 {
        if self.is_last() {
            self.block_end(at)
        } else {
            at.saturating_add(self.bytes())
        }
    }

    /// Whether another head belongs to the same block; both with their offsets.
    pub(crate) fn is_beside(&self, at: u64, other: &Self, other_at: u64) -> bool {
        let block = |head: &Self, at| {
            let Self {
                codec,
                stored_bytes,
                stored_crc32,
                block_bytes,
                ..
            } = *head;
            let stored_at = head.stored_at(at);
            (stored_at, codec, stored_bytes, stored_crc32, block_bytes)
        };
        block(self, at) == block(other, other_at)
    }

    /// The ID that follows the head; `None` where it is not UTF-8. Before version 3, only an
    /// [undamaged](Self::is_whole) record has a valid one.
    pub(crate) fn id<'b>(&self, from_head: &'b [u8]) -> Option<&'b str> {
        str::from_utf8(id_of(from_head, self.version, self.id_bytes)?).ok()
    }

    /// Whether the checksum of the stored bodies matches.
    pub(crate) fn is_whole(&self, id: &[u8], stored: &[u8]) -> bool {
        stored_checksum(self.version, id, stored) == self.stored_crc32
    }

    /// Whether it is the last record of its block.
    pub fn is_last(&self) -> bool {
        self.heads_bytes == 0
    }

    /// Whether its body is the only one in its block.
    pub(crate) fn is_alone(&self) -> bool {
        self.raw_bytes == self.block_bytes
    }

    /// Where its body is in the bodies of its block, uncompressed.
    pub(crate) fn body_range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.raw_bytes as usize
    }

    /// Decodes the bodies of the block into `out`.
    pub(crate) fn decode_bodies(
        &self,
        stored: &[u8],
        decompressor: &mut Decompressor,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        if self.block_bytes > MAX_BODY_BYTES {
            return Err(io::Error::other("its body is larger than 1 GiB"));
        }
        if self.codec == Codec::Plain as u8 {
            memory::append(out, stored)?;
        } else if self.codec == Codec::Zstd as u8 {
            decompressor.read(stored, self.block_bytes as usize, out)?;
        } else {
            let cause = format!("unknown codec {}", self.codec);
            return Err(io::Error::other(cause));
        }
        if out.len() == self.block_bytes as usize {
            Ok(())
        } else {
            Err(io::Error::other(
                "its size differs from the size in its header",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::block::encode;
    use crate::journal::compressor::Compressor;
    use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalRecord};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    fn record(body: &[u8]) -> JournalRecord<'_> {
        JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 3,
            time: 1_700_000_000_000,
            task_id: "täsk_1",
            body,
            digest: None,
        }
    }

    fn decode(bytes: &[u8], version: JournalVersion) -> Option<(String, Vec<u8>)> {
        let head = decode_head(bytes, version)?;
        let id = head.id(bytes)?.to_owned();
        let stored_at = usize::try_from(head.stored_at(0)).ok()?;
        let stored = bytes.get(stored_at..usize::try_from(head.block_end(0)).ok()?)?;
        if !head.is_whole(id.as_bytes(), stored) {
            return None;
        }
        let mut body = Vec::new();
        head.decode_bodies(stored, &mut Decompressor::default(), &mut body)
            .ok()?;
        let sha256: BodyDigest = Sha256::digest(&body).into();
        assert!(head.digest().is_none_or(|digest| digest == sha256));
        Some((id, body))
    }

    #[test]
    fn the_next_head_is_found_behind_damage() {
        for version in JournalVersion::ALL {
            let mut bytes = b"damage \x7E\x4A\x4E\x4C more damage".to_vec();
            let at = bytes.len();
            encode(
                &record(b"{}"),
                version,
                &mut Compressor::default(),
                &mut bytes,
            );
            assert_eq!(find_head(&bytes, version, |_, _| true), Some(at));
            assert_eq!(find_head(&bytes, version, |found, _| found > at), None);
            assert_eq!(find_head(&bytes[at + 1..], version, |_, _| true), None);
        }
    }

    fn version() -> impl Strategy<Value = JournalVersion> {
        prop::sample::select(JournalVersion::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn records_come_back(body: Vec<u8>, repeat in 1..50_usize, version in version()) {
            let body = body.repeat(repeat);
            let mut bytes = Vec::new();
            encode(&record(&body), version, &mut Compressor::default(), &mut bytes);
            let head = decode_head(&bytes, version).unwrap();
            prop_assert_eq!(head.attributed_bytes(), bytes.len() as u64);
            prop_assert_eq!(head.next(0), bytes.len() as u64);
            prop_assert_eq!(decode(&bytes, version), Some(("täsk_1".to_owned(), body)));
        }

        #[test]
        fn damage_is_seen(
            body: Vec<u8>,
            at: prop::sample::Index,
            flip in 1..=255_u8,
            version in version(),
        ) {
            let mut bytes = Vec::new();
            encode(&record(&body), version, &mut Compressor::default(), &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes, version), None);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, version in version()) {
            let _ = decode(&bytes, version);
            let _ = crate::journal::file_head_decoder::decode_file_head(&bytes);
            let _ = find_head(&bytes, version, |_, _| true);
        }
    }
}
