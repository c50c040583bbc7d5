//! Reads all records of a journal: those that its index has from there, and the others from the journal.

use crate::journal::error::JournalError;
use crate::journal::index_writer::IndexWriter;
use crate::journal::journal_file::JournalFile;
use crate::journal::saved_index::{Replayed, SavedIndex};
use crate::journal::scan::{ScanSummary, VisitRecord};

impl JournalFile {
    /// Like [`scan`](Self::scan), from the first record on, but takes what the index has from there. Lengthens the index if the
    /// journal has at least `worthwhile` bytes that are not in it.
    pub(crate) fn scan_with_index(
        &self,
        from: u64,
        len: u64,
        worthwhile: Option<u64>,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Option<ScanSummary>, JournalError> {
        let mut replayed = Replayed::none(from);
        if let Some(index) = SavedIndex::open(self, from, len) {
            match index.replay(from, visit) {
                Some(found) => replayed = found,
                None => return Ok(None),
            }
        }
        let rest = len.saturating_sub(replayed.to);
        let mut writer = worthwhile
            .filter(|bytes| rest >= *bytes)
            .and_then(|_| IndexWriter::begin(self, replayed));
        let scanned = self.scan(replayed.to, len, &mut |entry| {
            if let Some(writer) = &mut writer {
                writer.push(&entry);
            }
            visit(entry)
        })?;
        let Some(mut summary) = scanned else {
            return Ok(None);
        };
        if let Some(writer) = writer {
            writer.finish(self, from, &summary);
        }
        summary.records += replayed.records;
        Ok(Some(summary))
    }
}
