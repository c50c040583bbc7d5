//! The journal as it is read: its header, all of its records in order, and single ones.
//! Depends on `format`.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::codec::Decompressor;
use super::format::{self, FLAG_FINAL, HEAD_BYTES, Head, Options, RecordKind};

/// Its name in the state directory.
pub(super) const FILE_NAME: &str = "journal";

/// Bytes that are read at once while the file is indexed.
const SCAN_BYTES: usize = 1 << 20;

/// Where a record is. There is one for each ID, so its size counts: 12 bytes, not 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub struct Location {
    offset: u64,
    bytes: u32,
}

impl Location {
    /// A record's first byte, and its size.
    pub(super) fn new(offset: u64, bytes: u64) -> Self {
        // Bodies are bounded to 1 GiB.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { offset, bytes }
    }

    /// Bytes of the file before the record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the record.
    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Stands where there is no record.
    pub(crate) const NOWHERE: Self = Self {
        offset: 0,
        bytes: 0,
    };
}

/// A final failure, as the journal and `failures.jsonl` have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// `not_found`, `timeout`, …
    pub kind: String,
    /// Status of the last response, if there was one.
    pub http_status: Option<u16>,
    /// Attempts that were made.
    pub attempts: u32,
    /// What went wrong last, printable and free of secrets.
    pub message: String,
}

/// What opening an existing journal found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Whole records.
    pub records: u64,
    /// Stretches that could not be read and were passed over.
    pub damaged: u64,
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
}

/// One record as the index sees it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// The task.
    pub task_id: &'a str,
    /// Where its body is.
    pub location: Location,
    /// Was the task in a state that does not change any more?
    pub is_final: bool,
}

/// For whoever looks at records: breaks off if the user wants to stop.
pub fn break_if(is_over: bool) -> ControlFlow<()> {
    if is_over {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// The file, open.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
}

impl Log {
    /// Opens the file to be read.
    fn open(path: PathBuf) -> Result<Self, JournalError> {
        let file = File::open(&path).map_err(JournalError::io("open", &path))?;
        Ok(Self::new(path, file))
    }

    pub(super) fn new(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file: Arc::new(file),
        }
    }

    /// Bytes of the file.
    pub(super) fn len(&self) -> Result<u64, JournalError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(JournalError::io("look at", &self.path))?;
        Ok(metadata.len())
    }

    /// Reads the header; gives its options and where the records begin.
    pub(super) fn read_head(&self) -> Result<(Options, u64), JournalError> {
        let mut head = vec![0; SCAN_BYTES];
        let filled = self.read_some(&mut head, 0)?;
        head.truncate(filled);
        match format::decode_file_head(&head) {
            Ok((options, end)) => Ok((options, end as u64)),
            Err(cause) => Err(JournalError::Header {
                path: self.path.clone(),
                cause,
            }),
        }
    }

    /// Shows all whole records from an offset on, until `see` breaks off; gives what was found, and where
    /// the last one ends.
    pub(super) fn scan(
        &self,
        from: u64,
        len: u64,
        see: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(Opened, u64), JournalError> {
        let mut opened = Opened::default();
        let mut at = from;
        let mut record = Vec::new();
        while at < len {
            let next = match self.read_record(at, len, &mut record)? {
                Some((head, task_id, location)) => {
                    opened.records += 1;
                    let entry = Entry {
                        kind: head.kind,
                        task_id,
                        location,
                        is_final: head.flags & FLAG_FINAL != 0,
                    };
                    if see(entry).is_break() {
                        let path = self.path.clone();
                        return Err(JournalError::Interrupted { path });
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
        Ok((opened, at))
    }

    /// Reads the record at an offset; nothing when there is no whole one.
    fn read_record<'b>(
        &self,
        at: u64,
        len: u64,
        record: &'b mut Vec<u8>,
    ) -> Result<Option<(Head, &'b str, Location)>, JournalError> {
        let Some(head) = self.head(at)? else {
            return Ok(None);
        };
        let bytes = head.record_bytes();
        if bytes > len - at {
            return Ok(None);
        }
        let (Ok(total), Ok(body)) = (
            u32::try_from(bytes),
            usize::try_from(bytes - HEAD_BYTES as u64),
        ) else {
            return Ok(None);
        };
        record.resize(body, 0);
        if self.read_some(record, at + HEAD_BYTES as u64)? < body {
            return Ok(None);
        }
        let location = Location {
            offset: at,
            bytes: total,
        };
        Ok(head
            .decode_id(record)
            .map(|(task_id, _)| (head, task_id, location)))
    }

    /// Where the next record begins behind damage. If the head is whole, so is its length.
    fn after_damage(&self, at: u64, len: u64) -> Result<Option<u64>, JournalError> {
        if let Some(head) = self.head(at)? {
            let next = at.saturating_add(head.record_bytes());
            if next < len && self.head(next)?.is_some() {
                return Ok(Some(next));
            }
        }
        self.find_record(at + 1, len)
    }

    fn head(&self, at: u64) -> Result<Option<Head>, JournalError> {
        let mut head = [0; HEAD_BYTES];
        let filled = self.read_some(&mut head, at)?;
        Ok(Some(head)
            .filter(|_| filled == HEAD_BYTES)
            .and_then(|head| format::decode_head(&head)))
    }

    /// Where the next record with a valid head begins.
    fn find_record(&self, from: u64, len: u64) -> Result<Option<u64>, JournalError> {
        let mut window = vec![0; SCAN_BYTES];
        let mut at = from;
        while at < len {
            let filled = self.read_some(&mut window, at)?;
            let bytes = window.get(..filled).unwrap_or_default();
            if let Some(found) = format::find_head(bytes, 0) {
                return Ok(Some(at + found as u64));
            }
            if filled < window.len() {
                return Ok(None);
            }
            // A head may lie across the windows' border.
            at += (filled - HEAD_BYTES) as u64;
        }
        Ok(None)
    }

    /// Reads up to a full buffer; less only at the end of the file.
    fn read_some(&self, buffer: &mut [u8], at: u64) -> Result<usize, JournalError> {
        read_some(&self.file, buffer, at).map_err(JournalError::io("read", &self.path))
    }
}

/// Reads single records.
#[derive(Debug)]
pub struct JournalReader {
    log: Log,
    record: Vec<u8>,
    decompressor: Decompressor,
}

impl JournalReader {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            record: Vec::new(),
            decompressor: Decompressor::default(),
        }
    }

    /// Opens the journal of a state directory to be read only, and shows its whole records up to
    /// `end` (all of them when it is `None`) to `see`, in the order of writing, until it breaks off.
    /// Nothing is changed.
    /// The directory need not be ours to write to.
    pub fn open(
        state: &Path,
        end: Option<u64>,
        mut see: impl FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(Self, Options, Opened), JournalError> {
        let log = Log::open(state.join(FILE_NAME))?;
        let (options, from) = log.read_head()?;
        let len = log.len()?;
        let (opened, _) = log.scan(from, end.unwrap_or(len).min(len), &mut see)?;
        Ok((Self::new(log), options, opened))
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> Result<u64, JournalError> {
        self.log.len()
    }

    /// The options of a directory's journal.
    pub fn options(state: &Path) -> Result<Options, JournalError> {
        let log = Log::open(state.join(FILE_NAME))?;
        Ok(log.read_head()?.0)
    }

    /// Is there a journal in this state directory, and may it be read? Any other trouble with it is an error of
    /// its reader.
    pub fn is_there(state: &Path) -> bool {
        let path = state.join(FILE_NAME);
        let is_not = |error: std::io::Error| {
            matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            )
        };
        path.is_file() && !File::open(path).is_err_and(is_not)
    }

    /// Frees the memory that one very large record left behind.
    pub fn shrink(&mut self) {
        self.record = Vec::new();
    }

    /// The error for a record whose content makes no sense.
    pub fn damaged(&self, task_id: &str, cause: &str) -> JournalError {
        JournalError::Record {
            path: self.log.path.clone(),
            task_id: task_id.to_owned(),
            cause: cause.to_owned(),
        }
    }

    /// Reads the failure at a location; `body` is for its text.
    pub fn read_failure(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<FailureNote, JournalError> {
        self.read(task_id, location, body)?;
        serde_json::from_slice(body).map_err(|error| self.damaged(task_id, &error.to_string()))
    }

    /// Reads a whole record as it stands in the file, checked.
    pub fn read_record(
        &mut self,
        task_id: &str,
        location: Location,
    ) -> Result<&[u8], JournalError> {
        self.load(task_id, location)?;
        Ok(&self.record)
    }

    /// Reads the body of the record at a location into `body`.
    pub fn read(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let (head, start) = self.load(task_id, location)?;
        let stored = self.record.get(start..).unwrap_or_default();
        head.decode_body(stored, &mut self.decompressor, body)
            .map_err(|error| match error.kind() {
                ErrorKind::OutOfMemory => self.no_memory(task_id),
                _ => self.damaged(task_id, &error.to_string()),
            })
    }

    /// The error for a record that there is no memory for.
    fn no_memory(&self, task_id: &str) -> JournalError {
        JournalError::NoMemory {
            path: self.log.path.clone(),
            task_id: task_id.to_owned(),
        }
    }

    /// Loads a record and checks it; gives its head, and where its body begins.
    fn load(&mut self, task_id: &str, location: Location) -> Result<(Head, usize), JournalError> {
        let bytes = location.bytes as usize;
        let more = bytes.saturating_sub(self.record.len());
        if self.record.try_reserve(more).is_err() {
            return Err(self.no_memory(task_id));
        }
        self.record.resize(bytes, 0);
        let filled = read_some(&self.log.file, &mut self.record, location.offset)
            .map_err(JournalError::io("read", &self.log.path))?;
        let damaged = |cause: &str| self.damaged(task_id, cause);
        if filled < self.record.len() {
            return Err(damaged("it is cut off"));
        }
        let (head, rest) = self
            .record
            .split_at_checked(HEAD_BYTES)
            .ok_or_else(|| damaged("it is cut off"))?;
        let head = format::decode_head(head).ok_or_else(|| damaged("its head is damaged"))?;
        let (_, stored) = head
            .decode_id(rest)
            .filter(|(id, _)| *id == task_id)
            .ok_or_else(|| damaged("its checksum does not match"))?;
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
