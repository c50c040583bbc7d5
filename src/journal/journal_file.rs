//! The file of a journal: its header, and heads at given offsets.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::error::JournalError;
use crate::journal::file_head_decoder::{FileHead, HeadFault, decode_file_head};
use crate::journal::format::{JournalOptions, JournalVersion};
use crate::journal::record_head::{MAX_HEAD_BYTES, RecordHead};
use crate::journal::record_head_decoder::{decode_head, find_head};

/// Bytes that are read at once while the file is searched.
const SCAN_BYTES: usize = 1 << 20;

/// The open file.
#[derive(Debug, Clone)]
pub(crate) struct JournalFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) version: JournalVersion,
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
            // That of a new file. Reading the header of another one replaces it.
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
        match decode_file_head(&self.beginning()?) {
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
        // Far more than any header, since a repair looks for the first record behind it.
        let mut bytes = vec![0; SCAN_BYTES];
        let filled = self.read_some(&mut bytes, 0)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The error of a scan that was stopped.
    pub(crate) fn interrupted(&self) -> JournalError {
        let path = self.path.clone();
        JournalError::Interrupted { path }
    }

    /// The head at an offset, of a file of which `len` bytes count.
    pub(crate) fn head(&self, at: u64, len: u64) -> Result<Option<RecordHead>, JournalError> {
        let mut head = [0; MAX_HEAD_BYTES];
        let left = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX);
        let head = head.get_mut(..left.min(MAX_HEAD_BYTES)).unwrap_or_default();
        let filled = self.read_some(head, at)?;
        let head = head.get(..filled).unwrap_or_default();
        Ok(decode_head(head, self.version))
    }

    /// The offset of the next valid head for which `is_wanted` is true of its offset and itself.
    pub(crate) fn find_head(
        &self,
        from: u64,
        len: u64,
        mut is_wanted: impl FnMut(u64, &RecordHead) -> bool,
    ) -> Result<Option<u64>, JournalError> {
        let mut window = vec![0; SCAN_BYTES];
        let mut at = from;
        while at < len {
            let filled = self.read_some(&mut window, at)?;
            // A run that is at work lengthens the file meanwhile: what it adds is not part of this scan.
            let left = usize::try_from(len - at).unwrap_or(usize::MAX);
            let bytes = window.get(..filled.min(left)).unwrap_or_default();
            let is_wanted = |found, head: &RecordHead| is_wanted(at + found as u64, head);
            if let Some(found) = find_head(bytes, self.version, is_wanted) {
                return Ok(Some(at + found as u64));
            }
            if filled < window.len() {
                return Ok(None);
            }
            // A head may cross the border of two windows.
            at += (filled - MAX_HEAD_BYTES) as u64;
        }
        Ok(None)
    }

    /// Reads up to a full buffer; less only at the end of the file.
    pub(crate) fn read_some(&self, buffer: &mut [u8], at: u64) -> Result<usize, JournalError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            // The position of the file is shared with the writer and all readers, so every call has an offset.
            match self.file.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                // A signal may interrupt a call. Whether the run ends because of it is decided elsewhere.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(JournalError::io("read", &self.path)(error)),
            }
        }
        Ok(filled)
    }
}
