//! Gathers rows into Arrow batches that are bounded in rows and bytes.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::tables::cell::Cell;
use crate::tables::column_builder::ColumnBuilder;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::schema::arrow_schema;
use crate::tables::table::TableInfo;

/// The most rows of a batch: enough that the fixed cost of a batch does not matter, and few enough that eighteen
/// unfinished batches stay small.
const BATCH_ROWS: usize = 8_192;

/// Bytes of a batch that is large enough for most uses.
pub const BATCH_BYTES: usize = 128 << 10;

/// Takes batches of rows of all tables. The batches of one table come in the order of its rows.
pub trait BatchSink {
    /// Takes one batch.
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError>;
}

/// The rows of all tables that have not been handed over.
#[derive(Debug)]
pub struct BatchBuilder {
    tables: Vec<WaitingRows>,
    batch_bytes: usize,
}

impl BatchBuilder {
    /// Starts without rows. A batch is handed over when it has about `batch_bytes`. Bodies have at most 1 GiB, so no
    /// text column of a batch comes near the 2 GiB that its 32-bit offsets can address.
    pub fn new(batch_bytes: usize) -> Self {
        Self {
            tables: Vec::new(),
            batch_bytes,
        }
    }

    /// A sink of rows, whose batches go to `sink`.
    pub fn sink<'b>(&'b mut self, sink: &'b mut dyn BatchSink) -> BatchingSink<'b> {
        BatchingSink {
            builder: self,
            sink,
        }
    }

    /// Hands over all rows that are left.
    pub fn flush(&mut self, sink: &mut dyn BatchSink) -> Result<(), SinkError> {
        let mut tables = self.tables.iter_mut();
        tables.try_for_each(|table| table.flush(sink))
    }
}

/// Takes rows, and hands over batches.
pub struct BatchingSink<'b> {
    builder: &'b mut BatchBuilder,
    sink: &'b mut dyn BatchSink,
}

impl std::fmt::Debug for BatchingSink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BatchingSink").field(&self.builder).finish()
    }
}

impl RowSink for BatchingSink<'_> {
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        let batch_bytes = self.builder.batch_bytes;
        let tables = &mut self.builder.tables;
        let known = tables
            .iter()
            .position(|waiting| waiting.table.table == table.table);
        let at = known.unwrap_or_else(|| {
            tables.push(WaitingRows::new(table));
            tables.len() - 1
        });
        let Some(waiting) = tables.get_mut(at) else {
            return Ok(());
        };
        waiting.push(cells).map_err(SinkError::Column)?;
        if waiting.rows >= BATCH_ROWS || waiting.bytes >= batch_bytes {
            waiting.flush(self.sink)
        } else {
            Ok(())
        }
    }
}

/// The rows of a table that have not been handed over.
#[derive(Debug)]
struct WaitingRows {
    table: &'static TableInfo,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl WaitingRows {
    fn new(table: &'static TableInfo) -> Self {
        Self {
            table,
            schema: arrow_schema(table),
            columns: table.columns().map(ColumnBuilder::new).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Appends a row. The error is the name of a column with another type.
    fn push(&mut self, cells: &[Option<Cell<'_>>]) -> Result<(), &'static str> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += column.append(cell.as_ref())?;
        }
        self.rows += 1;
        Ok(())
    }

    fn flush(&mut self, sink: &mut dyn BatchSink) -> Result<(), SinkError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        self.bytes = 0;
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        sink.batch(self.table, batch)
    }
}
