//! The interface of the writers of a table's file.

use arrow::array::RecordBatch;

use crate::durable_fs::FileRef;
use crate::output_error::OutputError;

/// Encodes the batches of one table into its file.
pub(crate) trait TableWriter: Send {
    /// Appends rows.
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError>;
    /// Bytes of rows that wait in memory before they are encoded.
    fn waiting_bytes(&self) -> usize {
        0
    }
    /// Bytes of all rows so far.
    fn bytes(&self) -> u64 {
        0
    }
    /// Frees the memory of waiting rows: encodes those of columns with at least `large` bytes, and moves the others to
    /// a file until their row group is written.
    fn make_room(&mut self, _large: u64) -> Result<(), OutputError> {
        Ok(())
    }
    /// Encodes all waiting rows. No more rows follow.
    fn encode_rest(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
    /// Completes and syncs the file.
    fn finish(self: Box<Self>) -> Result<FinishedFile, OutputError>;
}

/// A table's file, complete and synced.
pub(crate) struct FinishedFile {
    pub(crate) file: FileRef,
    /// See [`WrittenTable::longest_record`].
    pub(crate) longest_record: usize,
}
