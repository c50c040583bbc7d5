//! Gathers rows into batches that are bounded in rows and bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thiserror::Error;

use crate::tables::schema::arrow_schema;
use crate::tables::table::TableInfo;

/// The most rows of a batch: enough that the fixed cost of a batch does not matter, and few enough that eighteen
/// unfinished batches stay small.
const BATCH_ROWS: usize = 8_192;

/// The size in bytes at which a batch is handed over. Bodies have at most 1 GiB, so no text column of a batch comes
/// near the 2 GiB that its 32-bit offsets can address.
pub const BATCH_BYTES: usize = 128 << 10;

/// Why a sink did not take a batch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The rows are not a valid batch.
    #[error(transparent)]
    Batch(#[from] ArrowError),
    /// A column does not have the type of its table.
    #[error("column `{0}` has another type")]
    Column(&'static str),
    /// The sink has ended, and reports its own error.
    #[error("the sink takes no more batches")]
    Closed,
}

/// Takes batches of rows of all tables. The batches of one table come in the order of its rows.
pub trait BatchSink {
    /// Takes one batch.
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError>;
}

/// The columns of a table while rows are appended.
pub(crate) trait TableColumns: std::fmt::Debug + Default {
    /// A row of the table.
    type Row<'a>;
    /// Appends a row, and returns about how many bytes it takes.
    fn append(&mut self, row: &Self::Row<'_>) -> usize;
    /// Takes out all columns in the order of the schema.
    fn finish(&mut self) -> Vec<ArrayRef>;
}

/// The rows of a table that have not been handed over.
#[derive(Debug)]
pub(crate) struct TableBuffer<C> {
    table: Option<&'static TableInfo>,
    schema: SchemaRef,
    columns: C,
    rows: usize,
    bytes: usize,
    batch_bytes: usize,
}

impl<C: TableColumns> TableBuffer<C> {
    pub(crate) fn new(table: Option<&'static TableInfo>, wanted: bool, batch_bytes: usize) -> Self {
        let table = table.filter(|_| wanted);
        let schema =
            table.map_or_else(|| Arc::new(arrow::datatypes::Schema::empty()), arrow_schema);
        Self {
            table,
            schema,
            columns: C::default(),
            rows: 0,
            bytes: 0,
            batch_bytes,
        }
    }

    /// Appends a row, and hands the batch over when it is full. Rows of a table that is not wanted are dropped.
    pub(crate) fn push(
        &mut self,
        row: &C::Row<'_>,
        sink: &mut dyn BatchSink,
    ) -> Result<(), SinkError> {
        if self.table.is_none() {
            return Ok(());
        }
        self.bytes += self.columns.append(row);
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.bytes >= self.batch_bytes {
            self.flush(sink)
        } else {
            Ok(())
        }
    }

    /// Hands over the rows that are there, if there are any.
    pub(crate) fn flush(&mut self, sink: &mut dyn BatchSink) -> Result<(), SinkError> {
        let Some(table) = self.table.filter(|_| self.rows > 0) else {
            return Ok(());
        };
        // `finish` takes the rows out even if they turn out not to be a valid batch.
        self.rows = 0;
        self.bytes = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), self.columns.finish())?;
        sink.batch(table, batch)
    }
}
