//! The journal's bytes: pure encoding and decoding. `docs/journal.md` says the same in prose.
//! Depends on `codec` and `crc32fast`.
//!
//! ```text
//! file    = header record*
//! header  = "scaleJNL" version:u32 length:u32 crc32:u32 options:JSON
//! record  = mark:u32 kind:u8 codec:u8 flags:u16 attempts:u32
//!           id_length:u32 stored_length:u32 raw_length:u32 time:u64
//!           body_crc32:u32 head_crc32:u32
//!           id stored
//! ```
//!
//! All numbers are little-endian. The head has a checksum of its own: damage to a record's body costs
//! that record only, since its length is still known; damage to a head is passed over by looking for
//! the next mark with a valid head behind it.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};

use super::codec::{Codec, Compressor, Decompressor};
use crate::memory;

/// First bytes of a journal.
pub const MAGIC: &[u8; 8] = b"scaleJNL";

/// Version of the format. A higher one is refused: its records may mean something else.
pub const VERSION: u32 = 1;

/// Bytes of the file's header before its options.
pub const FILE_HEAD_BYTES: usize = 20;

/// Begins every record.
const MARK: u32 = 0x4C4E_4A7E;

/// Bytes of a record before its ID.
pub const HEAD_BYTES: usize = 40;

/// Bytes of a head that its checksum covers.
const CHECKED_HEAD_BYTES: usize = 36;

/// IDs are at most 1 kB; a longer one in a head is damage.
const MAX_ID_BYTES: u32 = 1 << 10;

/// Bytes of a body: the most that `--max-body` and `flatten` allow. A longer one in a head is damage, or a record that
/// somebody made to fill the memory.
const MAX_BODY_BYTES: u32 = 1 << 30;

/// The options that decide what a response means. Records of different ones never mix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Where the responses come from.
    pub base_url: String,
    /// Expanded entities.
    pub expand: Vec<String>,
    /// Requested details.
    pub opts: Vec<String>,
    /// Were live credentials kept?
    pub keep_secrets: bool,
    /// Were the responses copied from elsewhere? Nothing is lost when they are copied again, and nothing
    /// is fetched into such a journal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub copied: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The names of a list: their order, or a name that stands twice, changes no response.
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
    /// A refresh of all tasks begins: what stands before is to be fetched again.
    Refresh,
    /// The last answer for an ID that failed because of it: no task, kept for whoever looks into it.
    Refused,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Response, Self::Failure, Self::Refresh, Self::Refused]
            .into_iter()
            .find(|kind| kind.to_byte() == byte)
    }

    fn to_byte(self) -> u8 {
        match self {
            Self::Response => 1,
            Self::Failure => 2,
            Self::Refresh => 3,
            Self::Refused => 4,
        }
    }
}

/// The task was in a state that does not change any more; the failure is the ID's own, and not the key's.
pub const FLAG_FINAL: u16 = 1;

/// A record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: RecordKind,
    codec: u8,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Attempts that it took.
    pub attempts: u32,
    /// Bytes of the ID.
    pub id_bytes: u32,
    /// Bytes of the body as it is stored.
    pub stored_bytes: u32,
    /// Bytes of the body itself.
    pub raw_bytes: u32,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    body_crc32: u32,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Attempts that it took.
    pub attempts: u32,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The task.
    pub task_id: &'a str,
    /// The response, or the failure.
    pub body: &'a [u8],
}

/// The file's header.
pub fn encode_file_head(options: &Options) -> Vec<u8> {
    // Strings and lists of them: serialization cannot fail.
    let options = serde_json::to_vec(options).unwrap_or_default();
    let mut out = Vec::with_capacity(FILE_HEAD_BYTES + options.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&length(options.len()).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&options).to_le_bytes());
    out.extend_from_slice(&options);
    out
}

/// Reads the file's header; gives the options and the bytes they take, or what is wrong.
pub fn decode_file_head(bytes: &[u8]) -> Result<(Options, usize), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it does not begin like a journal".into());
    }
    let word = |at| word(bytes, at).ok_or("its header is cut off");
    let version = word(8)?;
    if version > VERSION {
        return Err(format!(
            "its format version {version} is newer than this tool"
        ));
    }
    let (len, crc32) = (word(12)? as usize, word(16)?);
    let end = FILE_HEAD_BYTES + len;
    let options = bytes
        .get(FILE_HEAD_BYTES..end)
        .ok_or("its header is cut off")?;
    if crc32fast::hash(options) != crc32 {
        return Err("its header is damaged".into());
    }
    let options = serde_json::from_slice(options).map_err(|error| error.to_string())?;
    Ok((options, end))
}

/// Appends a record to a buffer.
pub fn encode(record: &Record<'_>, compressor: &mut Compressor, out: &mut Vec<u8>) {
    let start = out.len();
    // The head says what only the body behind it tells: it is written last.
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let behind = out.len();
    out.extend_from_slice(record.task_id.as_bytes());
    let codec = compressor.append(record.body, out);
    let id_and_stored = out.get(behind..).unwrap_or_default();
    let head = Head {
        kind: record.kind,
        codec: codec as u8,
        flags: record.flags,
        attempts: record.attempts,
        id_bytes: length(record.task_id.len()),
        stored_bytes: length(id_and_stored.len() - record.task_id.len()),
        raw_bytes: length(record.body.len()),
        time: record.time,
        body_crc32: crc32fast::hash(id_and_stored),
    };
    if let Some(place) = out.get_mut(start..behind) {
        place.copy_from_slice(&head.encode());
    }
}

/// Reads a head; nothing when it is damaged or no head at all.
pub fn decode_head(bytes: &[u8]) -> Option<Head> {
    let checked = bytes.get(..CHECKED_HEAD_BYTES)?;
    if word(bytes, 0)? != MARK || crc32fast::hash(checked) != word(bytes, CHECKED_HEAD_BYTES)? {
        return None;
    }
    let head = Head {
        kind: RecordKind::from_byte(*bytes.get(4)?)?,
        codec: *bytes.get(5)?,
        flags: u16::from_le_bytes(*bytes.get(6..)?.first_chunk()?),
        attempts: word(bytes, 8)?,
        id_bytes: word(bytes, 12)?,
        stored_bytes: word(bytes, 16)?,
        raw_bytes: word(bytes, 20)?,
        time: u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?),
        body_crc32: word(bytes, 32)?,
    };
    (head.id_bytes <= MAX_ID_BYTES).then_some(head)
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let parts: [&[u8]; 9] = [
            &MARK.to_le_bytes(),
            &[self.kind.to_byte(), self.codec],
            &self.flags.to_le_bytes(),
            &self.attempts.to_le_bytes(),
            &self.id_bytes.to_le_bytes(),
            &self.stored_bytes.to_le_bytes(),
            &self.raw_bytes.to_le_bytes(),
            &self.time.to_le_bytes(),
            &self.body_crc32.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            if let Some(place) = head.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        let (checked, crc32) = head.split_at_mut(CHECKED_HEAD_BYTES);
        crc32.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
        head
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.id_bytes) + u64::from(self.stored_bytes)
    }

    /// Checks what follows the head and gives the ID; nothing when it is damaged.
    pub fn decode_id<'b>(&self, id_and_body: &'b [u8]) -> Option<(&'b str, &'b [u8])> {
        if crc32fast::hash(id_and_body) != self.body_crc32 {
            return None;
        }
        let (id, stored) = id_and_body.split_at_checked(self.id_bytes as usize)?;
        Some((std::str::from_utf8(id).ok()?, stored))
    }

    /// Gives the body itself, in `out`; or what is wrong with it.
    pub fn decode_body(
        &self,
        stored: &[u8],
        decompressor: &mut Decompressor,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        if self.raw_bytes > MAX_BODY_BYTES {
            return Err(io::Error::other("its body is over 1 GiB"));
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
            Err(io::Error::other("its size is not what its head says"))
        }
    }
}

/// Where the next valid head begins in `bytes`, looking from `from` on.
pub fn find_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mark = MARK.to_le_bytes();
    memchr::memmem::find_iter(bytes.get(from..)?, &mark)
        .map(|at| from + at)
        .find(|at| bytes.get(*at..).and_then(decode_head).is_some())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
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

    fn record(body: &[u8]) -> Record<'_> {
        Record {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 3,
            time: 1_700_000_000_000,
            task_id: "täsk_1",
            body,
        }
    }

    fn decode(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
        let head = decode_head(bytes)?;
        let rest = bytes.get(HEAD_BYTES..usize::try_from(head.record_bytes()).ok()?)?;
        let (id, stored) = head.decode_id(rest)?;
        let mut body = Vec::new();
        head.decode_body(stored, &mut Decompressor::default(), &mut body)
            .ok()?;
        Some((id.to_owned(), body))
    }

    #[test]
    fn file_heads_come_back() {
        let options = Options {
            base_url: "https://api.example.com".into(),
            expand: vec!["project".into()],
            opts: vec![],
            keep_secrets: false,
            copied: false,
        };
        let mut bytes = encode_file_head(&options);
        let len = bytes.len();
        bytes.extend_from_slice(b"more");
        assert_eq!(decode_file_head(&bytes), Ok((options, len)));
        bytes[8] += 1;
        assert!(decode_file_head(&bytes).unwrap_err().contains("newer"));
        assert!(decode_file_head(b"scaleJ").is_err());
    }

    #[test]
    fn the_next_head_is_found_behind_damage() {
        let mut bytes = b"damage \x7E\x4A\x4E\x4C more damage".to_vec();
        let at = bytes.len();
        encode(&record(b"{}"), &mut Compressor::default(), &mut bytes);
        assert_eq!(find_head(&bytes, 0), Some(at));
        assert_eq!(find_head(&bytes, at + 1), None);
    }

    proptest! {
        #[test]
        fn records_come_back(body: Vec<u8>, repeat in 1..50_usize) {
            let body = body.repeat(repeat);
            let mut bytes = Vec::new();
            encode(&record(&body), &mut Compressor::default(), &mut bytes);
            prop_assert_eq!(decode_head(&bytes).unwrap().record_bytes(), bytes.len() as u64);
            prop_assert_eq!(decode(&bytes), Some(("täsk_1".to_owned(), body)));
        }

        #[test]
        fn damage_is_seen(body: Vec<u8>, at: prop::sample::Index, flip in 1..=255_u8) {
            let mut bytes = Vec::new();
            encode(&record(&body), &mut Compressor::default(), &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = decode_file_head(&bytes);
            let _ = find_head(&bytes, 0);
        }
    }
}
