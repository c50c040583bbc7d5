//! Decodes the header of the file.

use crate::journal::error::HeaderDamage;
use crate::journal::format::{FILE_HEAD_BYTES, JournalOptions, JournalVersion, MAGIC};

/// The file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// The version of all records.
    pub version: JournalVersion,
    /// The options of the responses.
    pub options: JournalOptions,
    /// The size of the header in bytes, which is the offset of the first record.
    pub bytes: usize,
}

/// Why the file's header cannot be read.
#[derive(Debug)]
pub enum HeadFault {
    /// A newer version of this tool may have written it.
    Newer(u32),
    /// It is not valid.
    Damaged(HeaderDamage),
}

/// Versions are numbered from 1: a number from here on is damage, like 0.
const TOO_NEW: u32 = 1000;

/// Reads the file's header.
pub fn decode_file_head(bytes: &[u8]) -> Result<FileHead, HeadFault> {
    if !bytes.starts_with(MAGIC) {
        return Err(HeadFault::Damaged(HeaderDamage::Signature));
    }
    let cut_off = || HeadFault::Damaged(HeaderDamage::CutOff);
    let word = |at| word(bytes, at).ok_or_else(cut_off);
    // The version comes before the checksum, which a newer version may place elsewhere.
    let number = word(8)?;
    let version = JournalVersion::ALL
        .into_iter()
        .find(|version| *version as u32 == number);
    let version = version.ok_or(match number {
        0 | TOO_NEW.. => HeadFault::Damaged(HeaderDamage::Damaged),
        _ => HeadFault::Newer(number),
    })?;
    let (len, crc32) = (word(12)? as usize, word(16)?);
    // A damaged length may be any number.
    let end = FILE_HEAD_BYTES.saturating_add(len);
    let options = bytes.get(FILE_HEAD_BYTES..end).ok_or_else(cut_off)?;
    // The checksum comes before the JSON, which may be valid although it is damaged.
    if crc32fast::hash(options) != crc32 {
        return Err(HeadFault::Damaged(HeaderDamage::Damaged));
    }
    let options = serde_json::from_slice(options)
        .map_err(|error| HeadFault::Damaged(HeaderDamage::Options(error)))?;
    Ok(FileHead {
        version,
        options,
        bytes: end,
    })
}

/// The number at a place; `None` behind the end.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::file_head_encoder::{encode_file_head, encode_options};

    #[test]
    fn file_heads_come_back() {
        let options = JournalOptions {
            base_url: "https://api.example.com".into(),
            expand: vec!["project".into()],
            opts: vec![],
            keep_secrets: false,
            copied: false,
        };
        let mut bytes = encode_file_head(&encode_options(&options), JournalVersion::LATEST);
        let len = bytes.len();
        bytes.extend_from_slice(b"more");
        let head = FileHead {
            version: JournalVersion::LATEST,
            options,
            bytes: len,
        };
        assert_eq!(decode_file_head(&bytes).unwrap(), head);
        bytes[8] = 1;
        let before = FileHead {
            version: JournalVersion::One,
            ..head
        };
        assert_eq!(decode_file_head(&bytes).unwrap(), before);
        bytes[8] = 4;
        assert!(matches!(decode_file_head(&bytes), Err(HeadFault::Newer(4))));
        for damage in [[0; 4], [0, 0, 1, 0], [2, 4, 0, 0]] {
            bytes[8..12].copy_from_slice(&damage);
            let fault = decode_file_head(&bytes).unwrap_err();
            assert!(matches!(fault, HeadFault::Damaged(_)), "{fault:?}");
        }
        assert!(decode_file_head(b"scaleJ").is_err());
    }
}
