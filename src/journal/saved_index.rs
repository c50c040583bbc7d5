//! The index of a journal: its records without their bodies, in a file beside it. A run then reads only what the journal
//! got since, and not the whole journal.
//!
//! ```text
//! file    = segment*
//! segment = "scaleIDX" version:u32 from:u64 to:u64 records:u64 length:u64 payload_xxh3:u128 journal_xxh3:u128
//!           head_crc32:u32 payload
//! payload = record*
//! record  = kind:u8 flags:u8 id_length:u16 offset:u64 bytes:u32 next:u64 [sha256:[u8; 32]] [since:u64] id
//! ```
//!
//! A segment has the records from one offset of the journal to another, where a block ends. `journal_xxh3` is a digest of the last
//! bytes of the journal before that. The index is not needed: what is invalid in it, or has another version, is read from the
//! journal again.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use twox_hash::xxhash3_128::Hasher;

use crate::durable_fs;
use crate::journal::error::JournalError;
use crate::journal::format::{BodyDigest, End, RecordKind};
use crate::journal::journal_file::JournalFile;
use crate::journal::location::Location;
use crate::journal::record_head_decoder::kind_of;
use crate::journal::scan::{RecordEntry, VisitRecord};

/// Begins a segment.
pub(crate) const MAGIC: &[u8; 8] = b"scaleIDX";

/// Version of the format.
const VERSION: u32 = 1;

/// Bytes of a segment's head.
pub(crate) const HEAD_BYTES: usize = 80;

/// Bytes of a record before its digest.
const RECORD_BYTES: usize = 24;

/// Bits of a record's flags.
const IS_FINAL: u8 = 1;
const HAS_DIGEST: u8 = 2;
const HAS_END: u8 = 4;

/// Bytes of the journal that its digest in a segment covers: more than the head of any record.
const DIGESTED_BYTES: u64 = 4 << 10;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The extension of the file's name.
const EXTENSION: &str = "index";

/// The index of the journal at a path.
pub(crate) fn index_path(journal: &Path) -> PathBuf {
    journal.with_added_extension(EXTENSION)
}

/// Removes the index of the journal at a path, so that the next run reads the journal and notices what is lost. Returns whether
/// there was one.
pub(crate) fn remove_index(journal: &Path) -> bool {
    // In a directory that this user may not change, the next run reads the index, as before.
    durable_fs::remove(&index_path(journal)).is_ok()
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Offsets in the journal.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) records: u64,
    /// Bytes of the payload.
    pub(crate) length: u64,
    pub(crate) payload_xxh3: u128,
    pub(crate) journal_xxh3: u128,
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        for number in [self.from, self.to, self.records, self.length] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        for digest in [self.payload_xxh3, self.journal_xxh3] {
            head.extend_from_slice(&digest.to_le_bytes());
        }
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        head
    }

    fn decode(head: &[u8]) -> Option<Self> {
        let (fields, crc32) = head.split_last_chunk::<4>()?;
        if !fields.starts_with(MAGIC) || crc32fast::hash(fields).to_le_bytes() != *crc32 {
            return None;
        }
        let mut rest = Fields(fields.get(MAGIC.len()..)?);
        if rest.take().map(u32::from_le_bytes)? != VERSION {
            return None;
        }
        Some(Self {
            from: rest.u64()?,
            to: rest.u64()?,
            records: rest.u64()?,
            length: rest.u64()?,
            payload_xxh3: rest.take().map(u128::from_le_bytes)?,
            journal_xxh3: rest.take().map(u128::from_le_bytes)?,
        })
    }
}

/// Appends a record to a payload.
pub(crate) fn encode_record(entry: &RecordEntry<'_>, out: &mut Vec<u8>) {
    let mut flags = 0;
    if entry.is_final {
        flags |= IS_FINAL;
    }
    if entry.digest.is_some() {
        flags |= HAS_DIGEST;
    }
    if entry.end.is_some() {
        flags |= HAS_END;
    }
    out.extend_from_slice(&[entry.kind as u8, flags]);
    // An ID in a head is shorter.
    let id_bytes = u16::try_from(entry.task_id.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&id_bytes.to_le_bytes());
    out.extend_from_slice(&entry.location.offset().to_le_bytes());
    let bytes = u32::try_from(entry.location.bytes()).unwrap_or(u32::MAX);
    out.extend_from_slice(&bytes.to_le_bytes());
    out.extend_from_slice(&entry.next.to_le_bytes());
    out.extend(entry.digest.iter().flatten());
    out.extend(entry.end.iter().flat_map(|end| end.since.to_le_bytes()));
    out.extend_from_slice(entry.task_id.as_bytes());
}

/// Little-endian fields, one after the other.
struct Fields<'f>(&'f [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// A record before its digest.
#[derive(Debug, Clone, Copy)]
struct RecordFields {
    kind: RecordKind,
    flags: u8,
    id_bytes: u16,
    offset: u64,
    bytes: u32,
    next: u64,
}

impl RecordFields {
    fn decode(head: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut fields = Fields(head);
        let [kind, flags] = fields.take()?;
        Some(Self {
            kind: kind_of(kind)?,
            flags,
            id_bytes: fields.take().map(u16::from_le_bytes)?,
            offset: fields.u64()?,
            bytes: fields.take().map(u32::from_le_bytes)?,
            next: fields.u64()?,
        })
    }

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of the record that follow.
    fn rest_bytes(self) -> usize {
        let digest = usize::from(self.has(HAS_DIGEST)) * size_of::<BodyDigest>();
        let end = usize::from(self.has(HAS_END)) * size_of::<u64>();
        digest + end + usize::from(self.id_bytes)
    }

    /// The record with the bytes that follow.
    fn entry(self, rest: &[u8]) -> Option<RecordEntry<'_>> {
        let mut fields = Fields(rest);
        let mut digest = None;
        if self.has(HAS_DIGEST) {
            digest = Some(fields.take()?);
        }
        let mut end = None;
        if self.has(HAS_END) {
            end = Some(End {
                since: fields.u64()?,
            });
        }
        Some(RecordEntry {
            kind: self.kind,
            task_id: std::str::from_utf8(fields.0).ok()?,
            location: Location::new(self.offset, self.bytes.into()),
            next: self.next,
            digest,
            is_final: self.has(IS_FINAL),
            end,
        })
    }
}

/// What an index says of a journal.
#[derive(Debug)]
pub(crate) struct SavedIndex {
    file: File,
    segments: Vec<SegmentHead>,
}

/// How far an index reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The offset in the journal.
    pub(crate) to: u64,
    /// The end of the segments in the file of the index.
    pub(crate) index_bytes: u64,
    pub(crate) records: u64,
}

impl Replayed {
    /// Nothing, of a journal whose first record is at an offset.
    pub(crate) fn none(from: u64) -> Self {
        Self {
            to: from,
            index_bytes: 0,
            records: 0,
        }
    }
}

impl SavedIndex {
    /// Opens the index of a journal whose first record is at `from` and of which `len` bytes count. `None` if there is none
    /// that fits.
    pub(crate) fn open(log: &JournalFile, from: u64, len: u64) -> Option<Self> {
        let mut file = durable_fs::open_to_read(&index_path(&log.path)).ok()?;
        let mut segments = Vec::new();
        let mut next = from;
        let mut head = [0; HEAD_BYTES];
        while file.read_exact(&mut head).is_ok() {
            let Some(segment) = SegmentHead::decode(&head) else {
                break;
            };
            if segment.from != next || segment.to < segment.from || segment.to > len {
                break;
            }
            next = segment.to;
            segments.push(segment);
            let Ok(length) = i64::try_from(segment.length) else {
                break;
            };
            if file.seek(SeekFrom::Current(length)).is_err() {
                break;
            }
        }
        // Another journal may have taken the place of the one that was indexed.
        while let Some(last) = segments.last() {
            if digest_before(log, from, last.to).ok() == Some(last.journal_xxh3) {
                return Some(Self { file, segments });
            }
            segments.pop();
        }
        None
    }

    /// Passes the records to `visit`. Returns how far they reach, or `None` if `visit` broke.
    pub(crate) fn replay(mut self, from: u64, visit: &mut VisitRecord<'_>) -> Option<Replayed> {
        let mut replayed = Replayed::none(from);
        for segment in std::mem::take(&mut self.segments) {
            let at = replayed.index_bytes + HEAD_BYTES as u64;
            // The records of a segment follow each other without a gap, so all of it is checked before any of it is used.
            if !self.is_whole(&segment, at).unwrap_or_default() {
                break;
            }
            match self.visit(&segment, at, visit) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return None,
                // It was read a moment ago.
                Err(_) => break,
            }
            replayed = Replayed {
                to: segment.to,
                index_bytes: at + segment.length,
                records: replayed.records + segment.records,
            };
        }
        Some(replayed)
    }

    fn reader(&mut self, segment: &SegmentHead, at: u64) -> io::Result<io::Take<BufReader<&File>>> {
        self.file.seek(SeekFrom::Start(at))?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, &self.file);
        Ok(reader.take(segment.length))
    }

    /// Whether the payload at an offset is the one that was written.
    fn is_whole(&mut self, segment: &SegmentHead, at: u64) -> io::Result<bool> {
        let mut reader = self.reader(segment, at)?;
        let mut hasher = Hasher::new();
        let mut read = 0;
        loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            hasher.write(piece);
            let bytes = piece.len();
            read += bytes as u64;
            reader.consume(bytes);
        }
        Ok(read == segment.length && hasher.finish_128() == segment.payload_xxh3)
    }

    /// Passes the records of the payload at an offset to `visit`.
    fn visit(
        &mut self,
        segment: &SegmentHead,
        at: u64,
        visit: &mut VisitRecord<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut reader = self.reader(segment, at)?;
        let mut head = [0; RECORD_BYTES];
        let mut rest = Vec::new();
        for _ in 0..segment.records {
            reader.read_exact(&mut head)?;
            let fields = RecordFields::decode(&head).ok_or(io::ErrorKind::InvalidData)?;
            rest.resize(fields.rest_bytes(), 0);
            reader.read_exact(&mut rest)?;
            let entry = fields.entry(&rest).ok_or(io::ErrorKind::InvalidData)?;
            if visit(entry).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A digest of the last bytes of a journal before an offset. Its first record is at `from`.
pub(crate) fn digest_before(log: &JournalFile, from: u64, to: u64) -> Result<u128, JournalError> {
    let start = to.saturating_sub(DIGESTED_BYTES).max(from);
    let bytes = usize::try_from(to.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; bytes];
    let filled = log.read_some(&mut buffer, start)?;
    buffer.truncate(filled);
    Ok(Hasher::oneshot(&buffer))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::journal::format::{FLAG_FINAL, JournalOptions, JournalRecord};
    use crate::journal::writer::Journal;

    /// An entry, owned.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Seen(String);

    impl Seen {
        fn of(entry: &RecordEntry<'_>) -> Self {
            Self(format!("{entry:?}"))
        }
    }

    fn options() -> JournalOptions {
        JournalOptions {
            base_url: "https://api.example.com".into(),
            expand: vec![],
            opts: vec![],
            keep_secrets: false,
            copied: false,
        }
    }

    /// Appends records of several kinds to the journal, some in shared blocks.
    fn append(path: &Path, first: usize) {
        let (mut journal, _) =
            Journal::open(path, &options(), |_| ControlFlow::Continue(())).unwrap();
        for number in first..first + 6 {
            let kind = if number % 3 == 2 {
                RecordKind::Failure
            } else {
                RecordKind::Response
            };
            journal.append(&JournalRecord {
                kind,
                flags: if number % 2 == 0 { FLAG_FINAL } else { 0 },
                attempts: 1,
                time: number as u64,
                task_id: &format!("täsk_{number}"),
                body: format!("{{\"number\":{number}}}").as_bytes(),
                digest: None,
            });
            if number % 4 == 3 {
                journal.flush().unwrap();
            }
        }
        journal.sync().unwrap();
        journal.end_run(0, 7).unwrap();
    }

    /// Scans a journal, with its index where `worthwhile` is given. Returns the records, and how many bytes of the journal
    /// the index has.
    fn scan(path: &Path, worthwhile: Option<u64>) -> (Vec<Seen>, String) {
        let mut log = JournalFile::open(path.to_owned()).unwrap();
        let (_, from) = log.read_head().unwrap();
        let len = log.len().unwrap();
        let mut seen = Vec::new();
        let mut visit = |entry: RecordEntry<'_>| {
            seen.push(Seen::of(&entry));
            ControlFlow::Continue(())
        };
        let scanned = match worthwhile {
            Some(_) => log.scan_with_index(from, len, worthwhile, &mut visit),
            None => log.scan(from, len, &mut visit),
        };
        (seen, format!("{:?}", scanned.unwrap().unwrap()))
    }

    fn indexed(path: &Path) -> Option<u64> {
        let mut log = JournalFile::open(path.to_owned()).unwrap();
        let (_, from) = log.read_head().unwrap();
        let index = SavedIndex::open(&log, from, log.len().unwrap())?;
        index.segments.last().map(|segment| segment.to)
    }

    #[test]
    fn a_scan_with_an_index_sees_what_a_scan_of_the_journal_sees() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("journal");
        for run in 0..4 {
            append(&path, run * 6);
            let expected = scan(&path, None);
            // The index gets a segment, and then has everything.
            assert_eq!(scan(&path, Some(1)), expected);
            assert_eq!(indexed(&path), Some(fs::metadata(&path).unwrap().len()));
            assert_eq!(scan(&path, Some(1)), expected);
        }
    }

    #[test]
    fn damage_to_an_index_changes_nothing_that_is_seen() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("journal");
        for run in 0..2 {
            append(&path, run * 6);
            scan(&path, Some(1));
        }
        let expected = scan(&path, None);
        let index = index_path(&path);
        let whole = fs::read(&index).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&index, &damaged).unwrap();
            assert_eq!(scan(&path, Some(u64::MAX)), expected, "byte {at}");
            fs::write(&index, &whole[..at]).unwrap();
            assert_eq!(scan(&path, Some(1)), expected, "{at} bytes");
            assert_eq!(indexed(&path), Some(fs::metadata(&path).unwrap().len()));
        }
    }

    #[test]
    fn an_index_of_another_version_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("journal");
        append(&path, 0);
        scan(&path, Some(1));
        let index = index_path(&path);
        let mut bytes = fs::read(&index).unwrap();
        bytes[MAGIC.len()] += 1;
        // A valid head, as another version writes it.
        let crc32_at = HEAD_BYTES - 4;
        let crc32 = crc32fast::hash(&bytes[..crc32_at]);
        bytes[crc32_at..HEAD_BYTES].copy_from_slice(&crc32.to_le_bytes());
        fs::write(&index, &bytes).unwrap();
        assert_eq!(indexed(&path), None);
        assert_eq!(scan(&path, Some(u64::MAX)), scan(&path, None));
    }

    #[test]
    fn the_index_of_another_journal_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        let (path, other) = (base.path().join("journal"), base.path().join("other"));
        append(&path, 0);
        scan(&path, Some(1));
        // As a compaction does: another journal, which is longer, gets the name.
        append(&other, 100);
        append(&other, 200);
        fs::rename(&other, &path).unwrap();
        let expected = scan(&path, None);
        assert_eq!(indexed(&path), None);
        assert_eq!(scan(&path, Some(1)), expected);
        assert_eq!(indexed(&path), Some(fs::metadata(&path).unwrap().len()));
    }

    #[test]
    fn a_damaged_journal_gets_no_index() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("journal");
        append(&path, 0);
        append(&path, 6);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let expected = scan(&path, None);
        assert_eq!(scan(&path, Some(1)), expected);
        assert_eq!(indexed(&path), None);
    }
}
