//! Encodes the rows of a table as the pages of its Parquet file, and decides where row groups end: only by the number
//! of the table's rows and the bytes of their values, so that the same rows always give the same row groups.

use crate::encode::file_part::{FilePart, RowEncoder};
use crate::encode::parquet::write::column_encoder::ColumnEncoder;
use crate::tables::cell::Cell;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// Maximum rows of a row group: DuckDB's unit of parallel work.
const MAX_ROWS: usize = 122_880;

/// Bytes of values after which a row group ends. It bounds the memory that readers need for a row group.
const MAX_VALUE_BYTES: usize = 128 << 20;

/// Bytes of values after which complete pages are passed on. Looking for them at every row would take longer than
/// appending the row.
const PASSED_BYTES: usize = 256 << 10;

/// The most rows after which they are passed on: rows of nulls have no bytes.
const PASSED_ROWS: usize = 1_000;

/// The limits of a row group.
#[derive(Debug, Clone, Copy)]
struct RowGroupLimits {
    rows: usize,
    value_bytes: usize,
}

/// The row group that is being filled.
#[derive(Debug)]
pub(crate) struct ParquetRows {
    columns: Vec<ColumnEncoder>,
    limits: RowGroupLimits,
    rows: usize,
    value_bytes: usize,
    /// The rows and bytes when pages were last passed on.
    passed: (usize, usize),
}

impl ParquetRows {
    /// Starts without rows.
    pub(crate) fn new(table: &TableInfo) -> Self {
        Self::with_limits(
            table,
            RowGroupLimits {
                rows: MAX_ROWS,
                value_bytes: MAX_VALUE_BYTES,
            },
        )
    }

    fn with_limits(table: &TableInfo, limits: RowGroupLimits) -> Self {
        Self {
            columns: table.columns().map(ColumnEncoder::new).collect(),
            limits,
            rows: 0,
            value_bytes: 0,
            passed: (0, 0),
        }
    }

    /// Passes on the pages that are complete.
    fn pass_pages(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        self.passed = (self.rows, self.value_bytes);
        for (index, column) in self.columns.iter_mut().enumerate() {
            let mut pages = column.take_pages();
            pages.try_for_each(|page| parts(FilePart::Page(index, page)))?;
        }
        Ok(())
    }

    fn end_row_group(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let mut ends = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let mut end = column.finish();
            // One by one, so that the receiver bounds how many wait.
            let mut pages = end.pages.drain(..);
            pages.try_for_each(|page| parts(FilePart::Page(index, page)))?;
            drop(pages);
            ends.push(end);
        }
        let rows = std::mem::take(&mut self.rows) as u64;
        self.value_bytes = 0;
        self.passed = (0, 0);
        parts(FilePart::RowGroup { ends, rows })
    }
}

impl RowEncoder for ParquetRows {
    fn row(
        &mut self,
        cells: &[Option<Cell<'_>>],
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let appended = column.append(cell.as_ref());
            self.value_bytes += appended.map_err(SinkError::Column)?;
        }
        self.rows += 1;
        if self.rows >= self.limits.rows || self.value_bytes >= self.limits.value_bytes {
            return self.end_row_group(parts);
        }
        let (rows, value_bytes) = self.passed;
        if self.rows - rows >= PASSED_ROWS || self.value_bytes - value_bytes >= PASSED_BYTES {
            self.pass_pages(parts)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        if self.rows == 0 {
            return Ok(());
        }
        self.end_row_group(parts)
    }
}
