//! Passes batches of rows straight to the writers of their tables.

use arrow::array::RecordBatch;

use crate::encode::table_writers::TableWriters;
use crate::output_error::OutputError;
use crate::tables::batch_builder::BatchSink;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// A sink that writes, and keeps the error of a writer.
#[derive(Debug)]
pub(crate) struct WriterSink {
    writers: TableWriters,
    failed: Option<OutputError>,
}

impl WriterSink {
    pub(crate) fn new(writers: TableWriters) -> Self {
        Self {
            writers,
            failed: None,
        }
    }

    /// The error of a writer, if there was one: a sink that is closed follows from it.
    pub(crate) fn take_error(&mut self) -> Option<OutputError> {
        self.failed.take()
    }

    /// The writers, after the last batch.
    pub(crate) fn into_writers(self) -> TableWriters {
        self.writers
    }
}

impl BatchSink for WriterSink {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        self.writers.write(table, batch).map_err(|error| {
            self.failed = Some(error);
            SinkError::Closed
        })
    }
}
