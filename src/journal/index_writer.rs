//! Lengthens the index of a journal while the journal is scanned.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use twox_hash::xxhash3_128::Hasher;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::journal::journal_file::JournalFile;
use crate::journal::saved_index::{
    HEAD_BYTES, Replayed, SegmentHead, digest_before, encode_record, index_path,
};
use crate::journal::scan::{RecordEntry, ScanSummary};

/// Bytes of records that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes of a journal behind its index that are worth a new segment: reading them takes a few milliseconds.
const MIN_BYTES: u64 = 4 << 20;

/// The bytes behind the index for which this program lengthens it: the default ones, or in debug builds those of an environment variable.
pub(crate) fn min_bytes() -> u64 {
    #[cfg(debug_assertions)]
    if let Some(bytes) = test_bytes() {
        return bytes;
    }
    MIN_BYTES
}

/// The minimum in debug builds, so that tests have an index of a short journal.
#[cfg(debug_assertions)]
fn test_bytes() -> Option<u64> {
    std::env::var("SCALE_EXPORT_INDEX_BYTES").ok()?.parse().ok()
}

/// A segment that is being written. It counts when its head is written.
pub(crate) struct IndexWriter {
    file: File,
    path: PathBuf,
    /// The offset of the segment in the index.
    at: u64,
    /// The offset in the journal.
    from: u64,
    records: u64,
    payload_bytes: u64,
    buffer: Vec<u8>,
    hasher: Hasher,
    failed: bool,
}

impl IndexWriter {
    /// Starts a segment behind those that were replayed. `None` if the index cannot be written: a run does not need it.
    pub(crate) fn begin(log: &JournalFile, replayed: Replayed) -> Option<Self> {
        let path = index_path(&log.path);
        let file = if replayed.index_bytes == 0 {
            // A file that does not fit may belong to another journal.
            let _ = durable_fs::remove(&path);
            durable_fs::create(&path, Access::Owner)
        } else {
            durable_fs::open(&path, Access::Owner)
        };
        let file = file.ok()?;
        durable_fs::set_length(&file, &path, replayed.index_bytes).ok()?;
        Some(Self {
            file,
            path,
            at: replayed.index_bytes,
            from: replayed.to,
            records: 0,
            payload_bytes: 0,
            buffer: Vec::new(),
            hasher: Hasher::new(),
            failed: false,
        })
    }

    /// Adds a record, in the order of the journal.
    pub(crate) fn push(&mut self, entry: &RecordEntry<'_>) {
        if self.failed {
            return;
        }
        encode_record(entry, &mut self.buffer);
        self.records += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.failed = self.write().is_err();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.hasher.write(&self.buffer);
        let at = self.at + HEAD_BYTES as u64 + self.payload_bytes;
        durable_fs::write_all_at(&self.file, &self.path, &self.buffer, at)?;
        self.payload_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the segment after a scan of a journal whose first record is at `first`. A damaged
    /// journal gets no index: every run is to notice that something is lost, until the journal is replaced.
    pub(crate) fn finish(mut self, log: &JournalFile, first: u64, scan: &ScanSummary) {
        if scan.damaged > 0 || !scan.lost.is_empty() || self.failed || self.write().is_err() {
            return;
        }
        // Otherwise the index could survive a power loss that takes a part of the journal before its end.
        if durable_fs::sync(&log.file, &log.path).is_err() {
            return;
        }
        let Ok(journal_xxh3) = digest_before(log, first, scan.end) else {
            return;
        };
        let head = SegmentHead {
            from: self.from,
            to: scan.end,
            records: self.records,
            length: self.payload_bytes,
            payload_xxh3: self.hasher.finish_128(),
            journal_xxh3,
        };
        // Without its head the segment does not count, and the next run writes it again.
        let _ = durable_fs::write_all_at(&self.file, &self.path, &head.encode(), self.at);
    }
}
