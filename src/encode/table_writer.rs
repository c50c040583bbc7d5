//! What a writer of one table's file does, whatever the format.

use arrow::array::RecordBatch;

use crate::durable_fs::FileRef;
use crate::output_error::OutputError;

/// Encodes the batches of one table into its file.
pub(crate) trait TableWriter: Send {
    /// Appends rows.
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError>;
    /// Bytes of rows that wait in memory as they are.
    fn waiting_bytes(&self) -> usize {
        0
    }
    /// Bytes of all rows that it was given.
    fn bytes(&self) -> u64 {
        0
    }
    /// Lets no row wait in memory as it is: encodes those of columns with at least so many bytes, and puts the others into
    /// a file until their row group is written.
    fn make_room(&mut self, _large: u64) -> Result<(), OutputError> {
        Ok(())
    }
    /// Encodes all rows that wait: there are no more.
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
