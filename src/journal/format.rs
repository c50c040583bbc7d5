//! The journal's bytes: encoding and decoding. `docs/journal.md` describes the format.
//!
//! ```text
//! file    = header record*
//! header  = "scaleJNL" version:u32 length:u32 crc32:u32 options:JSON
//! record  = mark:u32 kind:u8 codec:u8 flags:u16 attempts:u32
//!           id_length:u32 stored_length:u32 raw_length:u32 time:u64
//!           body_crc32:u32 sha256:[u8; 32] head_crc32:u32
//!           id stored
//! ```
//!
//! Version 1 has no `sha256`. All numbers are little-endian. The head has its own checksum, so its length can be trusted
//! when the body is damaged, and only that record is lost. After a damaged head, the reader looks for the next mark with
//! a valid head.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::journal::codec::{Codec, Compressor, Decompressor};
use crate::journal::error::HeaderDamage;
use crate::memory;

/// First bytes of a journal.
pub const MAGIC: &[u8; 8] = b"scaleJNL";

/// A version of the format. A higher version is refused, since its records may mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalVersion {
    /// Records without a digest.
    One = 1,
    /// Records with a digest, and marks that end a run.
    Two = 2,
}

impl JournalVersion {
    /// The version of new journals.
    pub const LATEST: Self = Self::Two;

    /// All versions that can be read.
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Two];

    fn from_number(number: u32) -> Option<Self> {
        let mut versions = Self::ALL.into_iter();
        versions.find(|version| *version as u32 == number)
    }

    /// Bytes of a record before its ID.
    pub fn head_bytes(self) -> usize {
        CHECKED_BYTES + self.digest_bytes() + CRC_BYTES
    }

    /// The digest of a body in this version.
    fn digest(self, body: &[u8]) -> [u8; DIGEST_BYTES] {
        match self {
            Self::One => [0; DIGEST_BYTES],
            Self::Two => Sha256::digest(body).into(),
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => DIGEST_BYTES,
        }
    }
}

/// Bytes of the file's header before its options.
pub const FILE_HEAD_BYTES: usize = 20;

/// Begins every record.
const MARK: u32 = 0x4C4E_4A7E;

/// Bytes of a head before its digest.
const CHECKED_BYTES: usize = 36;

/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// Bytes of a CRC-32.
const CRC_BYTES: usize = 4;

/// Bytes of the largest head.
pub const MAX_HEAD_BYTES: usize = CHECKED_BYTES + DIGEST_BYTES + CRC_BYTES;

/// The maximum size of an ID in bytes. A longer one in a head is damage.
const MAX_ID_BYTES: u32 = 1 << 10;

/// The maximum size of a body in bytes, which `--max-body` and `flatten` keep to. A larger one in a head is damage, or a
/// record made to exhaust the memory.
const MAX_BODY_BYTES: u32 = 1 << 30;

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
    fn from_byte(byte: u8) -> Option<Self> {
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

    fn to_byte(self) -> u8 {
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

/// A record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    version: JournalVersion,
    /// What it is.
    pub kind: RecordKind,
    codec: u8,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Requests that it took.
    pub attempts: u32,
    /// Bytes of the ID.
    pub id_bytes: u32,
    /// Bytes of the stored body, which may be compressed.
    pub stored_bytes: u32,
    /// Bytes of the body, uncompressed.
    pub raw_bytes: u32,
    /// When it was written, in milliseconds since 1970 (UTC).
    pub time: u64,
    body_crc32: u32,
    /// SHA-256 of the body, uncompressed; zeros in version 1.
    pub sha256: [u8; DIGEST_BYTES],
}

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

/// Appends a record to a buffer.
pub fn encode(
    record: &JournalRecord<'_>,
    version: JournalVersion,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    // The head needs the checksums and sizes of the body, so it is written last.
    out.resize(start + version.head_bytes(), 0);
    let behind = out.len();
    out.extend_from_slice(record.task_id.as_bytes());
    let codec = compressor.append(record.body, out);
    let id_and_stored = out.get(behind..).unwrap_or_default();
    let head = RecordHead {
        version,
        kind: record.kind,
        codec: codec as u8,
        flags: record.flags,
        attempts: record.attempts,
        id_bytes: length(record.task_id.len()),
        stored_bytes: length(id_and_stored.len() - record.task_id.len()),
        raw_bytes: length(record.body.len()),
        time: record.time,
        body_crc32: crc32fast::hash(id_and_stored),
        sha256: version.digest(record.body),
    };
    if let Some(place) = out.get_mut(start..behind) {
        head.encode(place);
    }
}

/// Appends a record of an earlier version to a buffer, in the latest version.
pub fn upgrade(
    head: &RecordHead,
    id_and_stored: &[u8],
    decompressor: &mut Decompressor,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let stored = id_and_stored.get(head.id_bytes as usize..);
    let mut body = Vec::new();
    head.decode_body(stored.unwrap_or_default(), decompressor, &mut body)?;
    let version = JournalVersion::LATEST;
    let head = RecordHead {
        version,
        sha256: version.digest(&body),
        ..*head
    };
    let start = out.len();
    out.resize(start + version.head_bytes(), 0);
    if let Some(place) = out.get_mut(start..) {
        head.encode(place);
    }
    out.extend_from_slice(id_and_stored);
    Ok(())
}

/// Reads a head; `None` when the bytes are not a valid one.
pub fn decode_head(bytes: &[u8], version: JournalVersion) -> Option<RecordHead> {
    let checked = bytes.get(..version.head_bytes() - CRC_BYTES)?;
    if word(bytes, 0)? != MARK || crc32fast::hash(checked) != word(bytes, checked.len())? {
        return None;
    }
    let digest = checked.get(CHECKED_BYTES..)?.first_chunk();
    let head = RecordHead {
        version,
        kind: RecordKind::from_byte(*bytes.get(4)?)?,
        codec: *bytes.get(5)?,
        flags: u16::from_le_bytes(*bytes.get(6..)?.first_chunk()?),
        attempts: word(bytes, 8)?,
        id_bytes: word(bytes, 12)?,
        stored_bytes: word(bytes, 16)?,
        raw_bytes: word(bytes, 20)?,
        time: u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?),
        body_crc32: word(bytes, 32)?,
        sha256: digest.copied().unwrap_or_default(),
    };
    (head.id_bytes <= MAX_ID_BYTES).then_some(head)
}

impl RecordHead {
    /// Writes the head into a place of its size.
    fn encode(&self, place: &mut [u8]) {
        let digest = self
            .sha256
            .get(..self.version.digest_bytes())
            .unwrap_or_default();
        let parts: [&[u8]; 10] = [
            &MARK.to_le_bytes(),
            &[self.kind.to_byte(), self.codec],
            &self.flags.to_le_bytes(),
            &self.attempts.to_le_bytes(),
            &self.id_bytes.to_le_bytes(),
            &self.stored_bytes.to_le_bytes(),
            &self.raw_bytes.to_le_bytes(),
            &self.time.to_le_bytes(),
            &self.body_crc32.to_le_bytes(),
            digest,
        ];
        let mut at = 0;
        for part in parts {
            if let Some(place) = place.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        let (checked, crc32) = place.split_at_mut(at.min(place.len()));
        let sum = crc32fast::hash(checked).to_le_bytes();
        crc32.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        self.version.head_bytes() as u64 + u64::from(self.id_bytes) + u64::from(self.stored_bytes)
    }

    /// Checks what follows the head; returns the ID and the stored body, or `None` when they are damaged.
    pub fn decode_id<'b>(&self, id_and_body: &'b [u8]) -> Option<(&'b str, &'b [u8])> {
        if crc32fast::hash(id_and_body) != self.body_crc32 {
            return None;
        }
        let (id, stored) = id_and_body.split_at_checked(self.id_bytes as usize)?;
        Some((std::str::from_utf8(id).ok()?, stored))
    }

    /// The digest of the body; `None` in version 1.
    pub fn digest(&self) -> Option<[u8; DIGEST_BYTES]> {
        (self.version != JournalVersion::One).then_some(self.sha256)
    }

    /// Decodes the body into `out`.
    pub fn decode_body(
        &self,
        stored: &[u8],
        decompressor: &mut Decompressor,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        if self.raw_bytes > MAX_BODY_BYTES {
            return Err(io::Error::other("its body is larger than 1 GiB"));
        }
        if self.codec == Codec::Plain as u8 {
            memory::append(out, stored)?;
        } else if self.codec == Codec::Zstd as u8 {
            decompressor.read(stored, self.raw_bytes as usize, out)?;
        } else {
            let cause = format!("unknown codec {}", self.codec);
            return Err(io::Error::other(cause));
        }
        if out.len() == self.raw_bytes as usize {
            Ok(())
        } else {
            Err(io::Error::other(
                "its size differs from the size in its header",
            ))
        }
    }
}

/// Where the next valid head begins in `bytes`, looking from `from` on.
pub fn find_head(bytes: &[u8], from: usize, version: JournalVersion) -> Option<usize> {
    let mark = MARK.to_le_bytes();
    memchr::memmem::find_iter(bytes.get(from..)?, &mark)
        .map(|at| from + at)
        .find(|at| {
            let head = bytes.get(*at..);
            head.and_then(|head| decode_head(head, version)).is_some()
        })
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A length as it is stored. Bodies are bounded to 1 GiB before they come here.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(body: &[u8]) -> JournalRecord<'_> {
        JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 3,
            time: 1_700_000_000_000,
            task_id: "täsk_1",
            body,
        }
    }

    fn decode(bytes: &[u8], version: JournalVersion) -> Option<(String, Vec<u8>)> {
        let head = decode_head(bytes, version)?;
        let rest = bytes.get(version.head_bytes()..usize::try_from(head.record_bytes()).ok()?)?;
        let (id, stored) = head.decode_id(rest)?;
        let mut body = Vec::new();
        head.decode_body(stored, &mut Decompressor::default(), &mut body)
            .ok()?;
        let sha256: [u8; DIGEST_BYTES] = Sha256::digest(&body).into();
        assert!(head.digest().is_none_or(|digest| digest == sha256));
        Some((id.to_owned(), body))
    }

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
            version: JournalVersion::Two,
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
        bytes[8] = 3;
        assert!(matches!(decode_file_head(&bytes), Err(HeadFault::Newer(3))));
        for damage in [[0; 4], [0, 0, 1, 0], [2, 4, 0, 0]] {
            bytes[8..12].copy_from_slice(&damage);
            let fault = decode_file_head(&bytes).unwrap_err();
            assert!(matches!(fault, HeadFault::Damaged(_)), "{fault:?}");
        }
        assert!(decode_file_head(b"scaleJ").is_err());
    }

    #[test]
    fn the_next_head_is_found_behind_damage() {
        let mut bytes = b"damage \x7E\x4A\x4E\x4C more damage".to_vec();
        let at = bytes.len();
        let version = JournalVersion::LATEST;
        let mut compressor = Compressor::default();
        encode(&record(b"{}"), version, &mut compressor, &mut bytes);
        assert_eq!(find_head(&bytes, 0, version), Some(at));
        assert_eq!(find_head(&bytes, at + 1, version), None);
    }

    fn version() -> impl Strategy<Value = JournalVersion> {
        prop::sample::select(vec![JournalVersion::One, JournalVersion::Two])
    }

    proptest! {
        #[test]
        fn records_come_back(body: Vec<u8>, repeat in 1..50_usize, version in version()) {
            let body = body.repeat(repeat);
            let mut bytes = Vec::new();
            encode(&record(&body), version, &mut Compressor::default(), &mut bytes);
            let head = decode_head(&bytes, version).unwrap();
            prop_assert_eq!(head.record_bytes(), bytes.len() as u64);
            prop_assert_eq!(decode(&bytes, version), Some(("täsk_1".to_owned(), body)));
        }

        #[test]
        fn an_upgraded_record_is_the_one_that_the_latest_version_writes(body: Vec<u8>) {
            let mut compressor = Compressor::default();
            let (mut before, mut upgraded, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            encode(&record(&body), JournalVersion::One, &mut compressor, &mut before);
            encode(&record(&body), JournalVersion::LATEST, &mut compressor, &mut expected);
            let head = decode_head(&before, JournalVersion::One).unwrap();
            let rest = &before[JournalVersion::One.head_bytes()..];
            upgrade(&head, rest, &mut Decompressor::default(), &mut upgraded).unwrap();
            prop_assert_eq!(upgraded, expected);
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
            let _ = decode_file_head(&bytes);
            let _ = find_head(&bytes, 0, version);
        }
    }
}
