//! The way of batches of rows from the flattening thread to the files of their tables.

use std::sync::mpsc::Receiver;

use arrow::array::RecordBatch;

use crate::encode::table_writers::TableWriters;
use crate::jobs::batch_channel::{BatchSender, ReceiverClosed};
use crate::output_error::OutputError;
use crate::tables::batch_builder::{BatchSink, SinkError};
use crate::tables::table::TableInfo;

/// A batch of rows of a table.
pub(crate) type TableBatch = (&'static TableInfo, RecordBatch);

/// The encoder's thread: writes batches as they come.
pub(crate) fn encode(
    mut writers: TableWriters,
    batches: &Receiver<Vec<TableBatch>>,
) -> Result<TableWriters, OutputError> {
    for (table, batch) in batches.iter().flatten() {
        writers.write(table, batch)?;
    }
    Ok(writers)
}

/// Sends batches to the encoder's thread.
pub(crate) struct EncoderSender(pub(crate) BatchSender<TableBatch>);

impl EncoderSender {
    /// Sends the batches that wait.
    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        Ok(self.0.flush()?)
    }
}

impl BatchSink for EncoderSender {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let bytes = batch.get_array_memory_size();
        Ok(self.0.push((table, batch), bytes)?)
    }
}

impl From<ReceiverClosed> for SinkError {
    fn from(_: ReceiverClosed) -> Self {
        Self::Closed
    }
}
