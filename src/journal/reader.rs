//! Reads single records of a journal.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::journal::binding::refuse_other;
use crate::journal::block_cache::BlockCache;
use crate::journal::decompressor::Decompressor;
use crate::journal::error::{JournalError, RecordDamage};
use crate::journal::failure_note::FailureNote;
use crate::journal::format::JournalOptions;
use crate::journal::journal_file::JournalFile;
use crate::journal::location::Location;
use crate::journal::record_head::{MAX_HEAD_BYTES, RecordHead};
use crate::journal::record_head_decoder::decode_head;
use crate::journal::scan::{RecordEntry, ScanSummary};
use crate::memory;

/// Whether the directory that a file is in belongs to another user.
fn is_in_directory_of_other(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(Path::new("."));
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(directory).is_ok_and(|found| found.uid() != own)
}

/// Reads single records.
#[derive(Debug)]
pub struct JournalReader {
    log: JournalFile,
    stored: Vec<u8>,
    decompressor: Decompressor,
    cache: BlockCache,
}

impl JournalReader {
    pub(crate) fn new(log: JournalFile) -> Self {
        Self {
            log,
            stored: Vec::new(),
            decompressor: Decompressor::default(),
            cache: BlockCache::default(),
        }
    }

    /// Another reader of the same file, for another thread.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.log.clone())
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
        // A journal that was cut off is shorter than the part of it that was published.
        let scanned = log.scan(from, end.unwrap_or(len).min(len), &mut visit)?;
        let opened = scanned.ok_or_else(|| log.interrupted())?;
        Ok((Self::new(log), options, opened))
    }

    /// Like [`open`](Self::open) for the whole journal, but takes what the index has from there, without reading the
    /// records themselves.
    pub(crate) fn open_with_index(
        path: &Path,
        mut visit: impl FnMut(RecordEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(Self, JournalOptions, ScanSummary), JournalError> {
        let mut log = JournalFile::open(path.to_owned())?;
        let (options, from) = log.read_head()?;
        let scanned = log.scan_with_index(from, log.len()?, None, &mut visit)?;
        let opened = scanned.ok_or_else(|| log.interrupted())?;
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
            // Mode bits do not show whether it can be read: ACLs and capabilities count as well.
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
        self.stored = Vec::new();
    }

    /// The error for a record whose content is not valid.
    pub fn damaged(&self, task_id: &str, cause: RecordDamage) -> JournalError {
        JournalError::record(&self.log.path, task_id, cause)
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

    /// Reads the body of the record at a location into `body`; returns its head.
    pub fn read(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<RecordHead, JournalError> {
        let head = self.head(task_id, location)?;
        let stored_at = head.stored_at(location.offset());
        let Self {
            log,
            stored,
            decompressor,
            cache,
        } = self;
        let record = RecordOfReader {
            log,
            task_id,
            head: &head,
        };
        let mut decode = |bodies: &mut Vec<u8>| {
            record.load(stored_at, stored)?;
            let decoded = head.decode_bodies(stored, decompressor, bodies);
            decoded.map_err(|error| record.undecoded(error))
        };
        // No other record needs its block. So it displaces none from the cache, and a huge body is not copied.
        if head.is_alone() {
            decode(body)?;
            return Ok(head);
        }
        body.clear();
        let bodies = cache.get_or_decode(&head, stored_at, decode)?;
        let part = bodies.get(head.body_range()).unwrap_or_default();
        memory::append(body, part).map_err(|error| record.undecoded(error.into()))?;
        Ok(head)
    }

    /// Reads the head of a record, and checks that it is that of a task.
    fn head(&self, task_id: &str, location: Location) -> Result<RecordHead, JournalError> {
        let damaged = |cause| self.damaged(task_id, cause);
        let mut head = [0; MAX_HEAD_BYTES];
        // The last record of the file may be shorter than the largest head.
        let bytes = usize::try_from(location.bytes()).unwrap_or(usize::MAX);
        let head = head
            .get_mut(..bytes.min(MAX_HEAD_BYTES))
            .unwrap_or_default();
        let filled = self.log.read_some(head, location.offset())?;
        if filled < head.len() {
            return Err(damaged(RecordDamage::CutOff));
        }
        let decoded = decode_head(head, self.log.version);
        let decoded = decoded.ok_or_else(|| damaged(RecordDamage::Head))?;
        // A location that belongs to another file, such as a journal before its compaction, may have a valid head too.
        if decoded.id(head) == Some(task_id) {
            Ok(decoded)
        } else {
            Err(damaged(RecordDamage::Checksum))
        }
    }
}

/// A record that is read, for its errors.
#[derive(Clone, Copy)]
struct RecordOfReader<'r> {
    log: &'r JournalFile,
    task_id: &'r str,
    head: &'r RecordHead,
}

impl RecordOfReader<'_> {
    /// Loads the stored bodies of its block and checks them.
    fn load(self, stored_at: u64, stored: &mut Vec<u8>) -> Result<(), JournalError> {
        let bytes = self.head.stored_bytes as usize;
        let more = bytes.saturating_sub(stored.len());
        // A head that was made to exhaust the memory may state up to 4 GiB.
        if stored.try_reserve(more).is_err() {
            return Err(self.no_memory());
        }
        stored.resize(bytes, 0);
        if self.log.read_some(stored, stored_at)? < bytes {
            return Err(self.damaged(RecordDamage::CutOff));
        }
        if self.head.is_whole(self.task_id.as_bytes(), stored) {
            Ok(())
        } else {
            Err(self.damaged(RecordDamage::Checksum))
        }
    }

    /// The error for bodies that could not be decompressed.
    fn undecoded(self, error: std::io::Error) -> JournalError {
        match error.kind() {
            ErrorKind::OutOfMemory => self.no_memory(),
            _ => self.damaged(RecordDamage::Body(error)),
        }
    }

    /// The error for a record that does not fit into memory.
    fn no_memory(self) -> JournalError {
        JournalError::NoMemory {
            path: self.log.path.clone(),
            task_id: self.task_id.to_owned(),
        }
    }

    fn damaged(self, cause: RecordDamage) -> JournalError {
        JournalError::record(&self.log.path, self.task_id, cause)
    }
}
