//! Reads the journal: its header, all records in order, and single records.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failure_kind::{FailureKind, is_gone};
use crate::journal::binding::refuse_other;
use crate::journal::codec::Decompressor;
use crate::journal::error::{JournalError, RecordDamage};
use crate::journal::format;
use crate::journal::format::{
    End, FLAG_FINAL, FileHead, HeadFault, JournalOptions, JournalVersion, MAX_HEAD_BYTES,
    RecordHead, RecordKind,
};

/// Bytes that are read at once while the file is indexed.
const SCAN_BYTES: usize = 1 << 20;

/// Where a record is. Every ID has one, so it takes 12 bytes and not 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub struct Location {
    offset: u64,
    bytes: u32,
}

impl Location {
    /// A record at an offset, with its size in bytes.
    pub(crate) fn new(offset: u64, bytes: u64) -> Self {
        // Bodies are bounded to 1 GiB.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { offset, bytes }
    }

    /// The offset of the record in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the record.
    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Stands for no record.
    pub(crate) const NOWHERE: Self = Self {
        offset: 0,
        bytes: 0,
    };
}

/// A final failure, as the journal and `failures.jsonl` have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// Why.
    pub kind: FailureKind,
    /// Status of the last response, if there was one.
    pub http_status: Option<u16>,
    /// Requests that were sent.
    pub attempts: u32,
    /// What went wrong last, printable and without secrets.
    pub message: String,
}

impl FailureNote {
    /// Whether the API reports the task as missing.
    pub fn is_gone(&self) -> bool {
        is_gone(self.http_status)
    }
}

/// What a scan of a journal found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ScanSummary {
    /// Whole records.
    pub records: u64,
    /// Stretches that could not be read and were skipped.
    pub damaged: u64,
    /// Bytes of an incomplete record at the end.
    pub torn_bytes: u64,
}

/// A record as a scan sees it.
#[derive(Debug, Clone, Copy)]
pub struct RecordEntry<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// The task.
    pub task_id: &'a str,
    /// Where it is.
    pub location: Location,
    /// Whether the task will never change. Of a failure: whether the ID fails with any key.
    pub is_final: bool,
    /// The content of a mark that ends a run.
    pub end: Option<End>,
}

/// For the callback of a scan: stops it when the run is over.
pub fn break_if(is_over: bool) -> ControlFlow<()> {
    if is_over {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// The open file.
#[derive(Debug, Clone)]
pub(crate) struct JournalFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) version: JournalVersion,
}

/// A record with a valid checksum.
struct CheckedRecord<'b> {
    head: RecordHead,
    task_id: &'b str,
    stored: &'b [u8],
    location: Location,
}

impl JournalFile {
    /// Opens the file for reading.
    pub(crate) fn open(path: PathBuf) -> Result<Self, JournalError> {
        let file = File::open(&path).map_err(JournalError::io("open", &path))?;
        Ok(Self::new(path, file))
    }

    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file: Arc::new(file),
            version: JournalVersion::LATEST,
        }
    }

    /// The size of the file in bytes.
    pub(crate) fn len(&self) -> Result<u64, JournalError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(JournalError::io("inspect", &self.path))?;
        Ok(metadata.len())
    }

    /// Reads the header; returns its options and the offset of the first record.
    pub(crate) fn read_head(&mut self) -> Result<(JournalOptions, u64), JournalError> {
        match format::decode_file_head(&self.beginning()?) {
            Ok(FileHead {
                version,
                options,
                bytes,
            }) => {
                self.version = version;
                Ok((options, bytes as u64))
            }
            Err(HeadFault::Newer(version)) => Err(JournalError::Newer {
                path: self.path.clone(),
                version,
            }),
            Err(HeadFault::Damaged(cause)) => Err(JournalError::Header {
                path: self.path.clone(),
                cause,
            }),
        }
    }

    /// The first bytes of the file, which contain the header.
    pub(crate) fn beginning(&self) -> Result<Vec<u8>, JournalError> {
        let mut bytes = vec![0; SCAN_BYTES];
        let filled = self.read_some(&mut bytes, 0)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Passes all whole records from an offset on to `visit`. Returns what was found and where the last record ends, or
    /// `None` if `visit` broke.
    pub(crate) fn scan(
        &self,
        from: u64,
        len: u64,
        visit: &mut dyn FnMut(RecordEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Option<(ScanSummary, u64)>, JournalError> {
        let mut opened = ScanSummary::default();
        let mut at = from;
        let mut record = Vec::new();
        while at < len {
            let next = match self.read_record(at, len, &mut record)? {
                Some(CheckedRecord {
                    head,
                    task_id,
                    stored,
                    location,
                }) => {
                    opened.records += 1;
                    let entry = RecordEntry {
                        kind: head.kind,
                        task_id,
                        location,
                        is_final: head.flags & FLAG_FINAL != 0,
                        end: decode_end(&head, stored),
                    };
                    if visit(entry).is_break() {
                        return Ok(None);
                    }
                    at + head.record_bytes()
                }
                None => match self.after_damage(at, len)? {
                    Some(next) => {
                        opened.damaged += 1;
                        next
                    }
                    None => break,
                },
            };
            at = next;
        }
        opened.torn_bytes = len.saturating_sub(at);
        Ok(Some((opened, at)))
    }

    /// The error of a scan that was stopped.
    pub(crate) fn interrupted(&self) -> JournalError {
        let path = self.path.clone();
        JournalError::Interrupted { path }
    }

    /// Whether there is a response among the whole records from an offset on.
    pub(crate) fn has_response(&self, from: u64) -> Result<bool, JournalError> {
        let mut has_response = false;
        self.scan(from, self.len()?, &mut |entry| {
            has_response = entry.kind == RecordKind::Response;
            break_if(has_response)
        })?;
        Ok(has_response)
    }

    /// Reads the record at an offset; `None` when there is no whole one.
    fn read_record<'b>(
        &self,
        at: u64,
        len: u64,
        record: &'b mut Vec<u8>,
    ) -> Result<Option<CheckedRecord<'b>>, JournalError> {
        let Some(head) = self.head(at)? else {
            return Ok(None);
        };
        let (bytes, head_bytes) = (head.record_bytes(), self.version.head_bytes() as u64);
        // The record is torn, or the length in its head is damaged.
        if bytes > len - at {
            return Ok(None);
        }
        let (Ok(total), Ok(body)) = (u32::try_from(bytes), usize::try_from(bytes - head_bytes))
        else {
            return Ok(None);
        };
        record.resize(body, 0);
        if self.read_some(record, at + head_bytes)? < body {
            return Ok(None);
        }
        let location = Location {
            offset: at,
            bytes: total,
        };
        Ok(head
            .decode_id(record)
            .map(|(task_id, stored)| CheckedRecord {
                head,
                task_id,
                stored,
                location,
            }))
    }

    /// The offset of the next record after damage. A valid head has the length of its record.
    fn after_damage(&self, at: u64, len: u64) -> Result<Option<u64>, JournalError> {
        if let Some(head) = self.head(at)? {
            let next = at.saturating_add(head.record_bytes());
            if next < len && self.head(next)?.is_some() {
                return Ok(Some(next));
            }
        }
        self.find_record(at + 1, len)
    }

    fn head(&self, at: u64) -> Result<Option<RecordHead>, JournalError> {
        let mut head = [0; MAX_HEAD_BYTES];
        let head = head.get_mut(..self.version.head_bytes());
        let head = head.unwrap_or_default();
        let filled = self.read_some(head, at)?;
        Ok((filled == head.len())
            .then(|| format::decode_head(head, self.version))
            .flatten())
    }

    /// The offset of the next record with a valid head.
    fn find_record(&self, from: u64, len: u64) -> Result<Option<u64>, JournalError> {
        let mut window = vec![0; SCAN_BYTES];
        let mut at = from;
        while at < len {
            let filled = self.read_some(&mut window, at)?;
            // A run that is at work lengthens the file meanwhile: what it adds is not part of this scan.
            let left = usize::try_from(len - at).unwrap_or(usize::MAX);
            let bytes = window.get(..filled.min(left)).unwrap_or_default();
            if let Some(found) = format::find_head(bytes, 0, self.version) {
                return Ok(Some(at + found as u64));
            }
            if filled < window.len() {
                return Ok(None);
            }
            // A head may cross the border of two windows.
            at += (filled - self.version.head_bytes()) as u64;
        }
        Ok(None)
    }

    /// Reads up to a full buffer; less only at the end of the file.
    fn read_some(&self, buffer: &mut [u8], at: u64) -> Result<usize, JournalError> {
        read_some(&self.file, buffer, at).map_err(JournalError::io("read", &self.path))
    }
}

/// Whether the directory that a file is in belongs to another user.
fn is_in_directory_of_other(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(Path::new("."));
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(directory).is_ok_and(|found| found.uid() != own)
}

/// The content of a mark that ends a run; `None` for other records, and for a body that is not valid.
fn decode_end(head: &RecordHead, stored: &[u8]) -> Option<End> {
    if head.kind != RecordKind::End {
        return None;
    }
    let mut body = Vec::new();
    head.decode_body(stored, &mut Decompressor::default(), &mut body)
        .ok()?;
    serde_json::from_slice(&body).ok()
}

/// Reads single records.
#[derive(Debug)]
pub struct JournalReader {
    log: JournalFile,
    record: Vec<u8>,
    upgraded: Vec<u8>,
    decompressor: Decompressor,
}

impl JournalReader {
    pub(crate) fn new(log: JournalFile) -> Self {
        Self {
            log,
            record: Vec::new(),
            upgraded: Vec::new(),
            decompressor: Decompressor::default(),
        }
    }

    /// Opens the journal at a path for reading, and passes its whole records up to `end` (all when it is `None`) to
    /// `visit`, in the order of writing, until it breaks. Changes nothing, so the directory may be read-only.
    pub fn open(
        path: &Path,
        end: Option<u64>,
        mut visit: impl FnMut(RecordEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(Self, JournalOptions, ScanSummary), JournalError> {
        let mut log = JournalFile::open(path.to_owned())?;
        let (options, from) = log.read_head()?;
        let len = log.len()?;
        let scanned = log.scan(from, end.unwrap_or(len).min(len), &mut visit)?;
        let (opened, _) = scanned.ok_or_else(|| log.interrupted())?;
        Ok((Self::new(log), options, opened))
    }

    /// The size of the file in bytes.
    pub fn bytes(&self) -> Result<u64, JournalError> {
        self.log.len()
    }

    /// The options of the journal at a path.
    pub fn options(path: &Path) -> Result<JournalOptions, JournalError> {
        let mut log = JournalFile::open(path.to_owned())?;
        Ok(log.read_head()?.0)
    }

    /// Refuses options with which a run cannot continue this journal.
    pub fn refuse_other(&self, options: &JournalOptions) -> Result<(), JournalError> {
        let mut log = self.log.clone();
        let (before, from) = log.read_head()?;
        match refuse_other(&log.path, &before, options) {
            Err(refused) if log.has_response(from)? => Err(refused),
            _ => Ok(()),
        }
    }

    /// Whether there is a journal at a path. One in a directory of another user who denies access counts as none. Any
    /// other failure to read it is an error.
    pub fn is_there(path: &Path) -> Result<bool, JournalError> {
        let refused = match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            // A broken link counts as an entry that is not a file.
            Ok(_) if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) => {
                return Err(JournalError::NoFile {
                    path: path.to_owned(),
                });
            }
            Ok(_) => File::open(path).err(),
            Err(error) => Some(error),
        };
        match refused {
            None => Ok(true),
            Some(error)
                if error.kind() == ErrorKind::PermissionDenied
                    && is_in_directory_of_other(path) =>
            {
                Ok(false)
            }
            Some(error) => Err(JournalError::io("open", path)(error)),
        }
    }

    /// Frees the memory that a very large record took.
    pub fn shrink(&mut self) {
        self.record = Vec::new();
        self.upgraded = Vec::new();
    }

    /// The error for a record whose content is not valid.
    pub fn damaged(&self, task_id: &str, cause: RecordDamage) -> JournalError {
        JournalError::Record {
            path: self.log.path.clone(),
            task_id: task_id.to_owned(),
            cause,
        }
    }

    /// Reads the failure at a location; `body` is a buffer for its JSON.
    pub fn read_failure(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<FailureNote, JournalError> {
        self.read(task_id, location, body)?;
        serde_json::from_slice(body)
            .map_err(|error| self.damaged(task_id, RecordDamage::Failure(error)))
    }

    /// Reads a whole record and checks it; returns it in the latest version of the format.
    pub fn read_record(
        &mut self,
        task_id: &str,
        location: Location,
    ) -> Result<&[u8], JournalError> {
        let (head, _) = self.load(task_id, location)?;
        if self.log.version == JournalVersion::LATEST {
            return Ok(&self.record);
        }
        self.upgraded.clear();
        let id_and_stored = self.record.get(self.log.version.head_bytes()..);
        let id_and_stored = id_and_stored.unwrap_or_default();
        let decompressor = &mut self.decompressor;
        match format::upgrade(&head, id_and_stored, decompressor, &mut self.upgraded) {
            Ok(()) => Ok(&self.upgraded),
            Err(error) => Err(self.undecoded(task_id, error)),
        }
    }

    /// Reads the body of the record at a location into `body`; returns its head.
    pub fn read(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<RecordHead, JournalError> {
        let (head, start) = self.load(task_id, location)?;
        let stored = self.record.get(start..).unwrap_or_default();
        head.decode_body(stored, &mut self.decompressor, body)
            .map_err(|error| self.undecoded(task_id, error))?;
        Ok(head)
    }

    /// The error for a body that could not be decompressed.
    fn undecoded(&self, task_id: &str, error: std::io::Error) -> JournalError {
        match error.kind() {
            ErrorKind::OutOfMemory => self.no_memory(task_id),
            _ => self.damaged(task_id, RecordDamage::Body(error)),
        }
    }

    /// The error for a record that does not fit into memory.
    fn no_memory(&self, task_id: &str) -> JournalError {
        JournalError::NoMemory {
            path: self.log.path.clone(),
            task_id: task_id.to_owned(),
        }
    }

    /// Loads a record and checks it; returns its head and where its body begins.
    fn load(
        &mut self,
        task_id: &str,
        location: Location,
    ) -> Result<(RecordHead, usize), JournalError> {
        let bytes = location.bytes as usize;
        let more = bytes.saturating_sub(self.record.len());
        if self.record.try_reserve(more).is_err() {
            return Err(self.no_memory(task_id));
        }
        self.record.resize(bytes, 0);
        let filled = read_some(&self.log.file, &mut self.record, location.offset)
            .map_err(JournalError::io("read", &self.log.path))?;
        let damaged = |cause| self.damaged(task_id, cause);
        if filled < self.record.len() {
            return Err(damaged(RecordDamage::CutOff));
        }
        let (head, rest) = self
            .record
            .split_at_checked(self.log.version.head_bytes())
            .ok_or_else(|| damaged(RecordDamage::CutOff))?;
        let head = format::decode_head(head, self.log.version)
            .ok_or_else(|| damaged(RecordDamage::Head))?;
        let (_, stored) = head
            .decode_id(rest)
            .filter(|(id, _)| *id == task_id)
            .ok_or_else(|| damaged(RecordDamage::Checksum))?;
        Ok((head, self.record.len() - stored.len()))
    }
}

fn read_some(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
