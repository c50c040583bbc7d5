//! Encodes the head of a record.

use sha2::{Digest as _, Sha256};

use crate::journal::format::{BodyDigest, JournalVersion};
use crate::journal::record_head::{DIGEST_BYTES, HeadLayout, MARK, RecordHead};

impl JournalVersion {
    /// The digest of a body in this version.
    pub(crate) fn digest(self, body: &[u8]) -> BodyDigest {
        if self.layout().has_digest {
            Sha256::digest(body).into()
        } else {
            [0; DIGEST_BYTES]
        }
    }
}

impl RecordHead {
    /// Writes the head into a place of its size. In version 3 the checksum includes the ID.
    pub(crate) fn encode(&self, id: &[u8], place: &mut [u8]) {
        let HeadLayout {
            has_digest,
            has_place,
        } = self.version.layout();
        let block = [self.heads_bytes, self.start, self.block_bytes].map(u32::to_le_bytes);
        let parts: [&[u8]; 11] = [
            &MARK.to_le_bytes(),
            &[self.kind as u8, self.codec],
            &self.flags.to_le_bytes(),
            &self.attempts.to_le_bytes(),
            &self.id_bytes.to_le_bytes(),
            &self.stored_bytes.to_le_bytes(),
            &self.raw_bytes.to_le_bytes(),
            &self.time.to_le_bytes(),
            &self.stored_crc32.to_le_bytes(),
            if has_digest { &self.sha256 } else { &[] },
            if has_place { block.as_flattened() } else { &[] },
        ];
        let mut at = 0;
        for part in parts {
            if let Some(place) = place.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        let (checked, crc32) = place.split_at_mut(at.min(place.len()));
        let mut sum = crc32fast::Hasher::new();
        sum.update(checked);
        if has_place {
            sum.update(id);
        }
        let sum = sum.finalize().to_le_bytes();
        crc32.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::RecordKind;

    #[test]
    fn a_head_has_its_fields_in_the_order_of_the_format() {
        let head = RecordHead {
            version: JournalVersion::Three,
            kind: RecordKind::Refresh,
            codec: 0x21,
            flags: 0x3231,
            attempts: 0x41,
            id_bytes: 2,
            stored_bytes: 0x51,
            raw_bytes: 0x61,
            time: 0x71,
            stored_crc32: 0x81,
            sha256: [0x91; 32],
            heads_bytes: 0xA1,
            start: 0xB1,
            block_bytes: 0xC1,
        };
        for version in JournalVersion::ALL {
            let head = RecordHead { version, ..head };
            let mut expected = b"\x7EJNL\x03\x21\x31\x32".to_vec();
            expected.extend([0x41, 0, 0, 0, 2, 0, 0, 0, 0x51, 0, 0, 0, 0x61, 0, 0, 0]);
            expected.extend([0x71, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 0]);
            if version != JournalVersion::One {
                expected.extend([0x91; 32]);
            }
            let mut summed = expected.clone();
            if version == JournalVersion::Three {
                expected.extend([0xA1, 0, 0, 0, 0xB1, 0, 0, 0, 0xC1, 0, 0, 0]);
                summed.clone_from(&expected);
                summed.extend(b"id");
            }
            expected.extend(crc32fast::hash(&summed).to_le_bytes());
            let mut place = vec![0; version.head_bytes()];
            head.encode(b"id", &mut place);
            assert_eq!(place, expected, "{version:?}");
        }
    }
}
