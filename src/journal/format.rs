//! What a journal is: versions, kinds of records, and the header of the file. `docs/journal.md` describes the format.
//!
//! ```text
//! file    = header block*
//! header  = "scaleJNL" version:u32 length:u32 crc32:u32 options:JSON
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::journal::error::HeaderDamage;

/// First bytes of a journal.
pub const MAGIC: &[u8; 8] = b"scaleJNL";

/// A version of the format. A higher version is refused, since its records may mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalVersion {
    /// Records without a digest.
    One = 1,
    /// Records with a digest, and marks that end a run.
    Two = 2,
    /// Records that share compressed blocks.
    Three = 3,
}

impl JournalVersion {
    /// The version of new journals.
    pub const LATEST: Self = Self::Three;

    /// All versions that can be read.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    fn from_number(number: u32) -> Option<Self> {
        let mut versions = Self::ALL.into_iter();
        versions.find(|version| *version as u32 == number)
    }
}

/// Bytes of the file's header before its options.
pub const FILE_HEAD_BYTES: usize = 20;

/// The options that decide what a response means. A journal has records of one set of options only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalOptions {
    /// Where the responses come from.
    pub base_url: String,
    /// Expanded entities.
    pub expand: Vec<String>,
    /// Requested details.
    pub opts: Vec<String>,
    /// Whether live credentials were kept.
    pub keep_secrets: bool,
    /// Whether `flatten` copied the responses from its sources. They can be copied again, and nothing is fetched into
    /// such a journal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub copied: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The distinct names of a list: neither their order nor a repetition changes a response.
pub fn distinct(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The raw response of a task, redacted.
    Response,
    /// Why an ID failed for good, as JSON.
    Failure,
    /// A refresh of all tasks begins: earlier responses are fetched again.
    Refresh,
    /// The last response for an ID that failed because of it. It is not a task, and is kept for inspection.
    Refused,
    /// A run ended by decision and without a publication: the failures that it recorded are revoked. See [`End`].
    End,
}

impl RecordKind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Response,
            Self::Failure,
            Self::Refresh,
            Self::Refused,
            Self::End,
        ]
        .into_iter()
        .find(|kind| kind.to_byte() == byte)
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Response => 1,
            Self::Failure => 2,
            Self::Refresh => 3,
            Self::Refused => 4,
            Self::End => 5,
        }
    }
}

/// The task will never change; of a failure: the ID fails with any key.
pub const FLAG_FINAL: u16 = 1;

/// The body of a record of kind [`RecordKind::End`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Failures from this offset of the file up to the record are revoked. Their IDs are requested again.
    pub since: u64,
}

/// The SHA-256 of a body.
pub type BodyDigest = [u8; 32];

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct JournalRecord<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Requests that it took.
    pub attempts: u32,
    /// When it is written, in milliseconds since 1970 (UTC).
    pub time: u64,
    /// The task.
    pub task_id: &'a str,
    /// The response, or the failure.
    pub body: &'a [u8],
    /// SHA-256 of `body`, if it is known: it is then not computed again.
    pub digest: Option<BodyDigest>,
}

/// The JSON of options in the file's header.
pub fn encode_options(options: &JournalOptions) -> Vec<u8> {
    // Strings and lists of them: serialization cannot fail.
    serde_json::to_vec(options).unwrap_or_default()
}

/// The file's header, with encoded options.
pub fn encode_file_head(options: &[u8], version: JournalVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_HEAD_BYTES + options.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(version as u32).to_le_bytes());
    out.extend_from_slice(&length(options.len()).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(options).to_le_bytes());
    out.extend_from_slice(options);
    out
}

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
    let number = word(8)?;
    let version = JournalVersion::from_number(number).ok_or(match number {
        0 | TOO_NEW.. => HeadFault::Damaged(HeaderDamage::Damaged),
        _ => HeadFault::Newer(number),
    })?;
    let (len, crc32) = (word(12)? as usize, word(16)?);
    let end = FILE_HEAD_BYTES.saturating_add(len);
    let options = bytes.get(FILE_HEAD_BYTES..end).ok_or_else(cut_off)?;
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

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A length as it is stored. Bodies are bounded to 1 GiB before they come here.
pub(crate) fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
