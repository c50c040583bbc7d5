//! Encodes the rows of a table as the parts of its Parquet file.

use crate::encode::file_part::{FilePart, RowEncoder};
use crate::encode::parquet::write::row_group_encoder::{RowGroupEncoder, RowGroupLimits};
use crate::tables::cell::Cell;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// Bytes of complete pages that are passed on together.
const PASSED_BYTES: usize = 64 << 10;

/// The row group that is being filled.
#[derive(Debug)]
pub(crate) struct ParquetRows(RowGroupEncoder);

impl ParquetRows {
    /// Starts without rows.
    pub(crate) fn new(table: &'static TableInfo, limits: RowGroupLimits) -> Self {
        Self(RowGroupEncoder::new(table, limits))
    }
}

impl RowEncoder for ParquetRows {
    fn row(
        &mut self,
        cells: &[Option<Cell<'_>>],
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let appended = self.0.append(cells.iter().map(Option::as_ref));
        appended.map_err(SinkError::Column)?;
        if self.0.is_full() {
            return self.finish(parts);
        }
        if self.0.page_bytes() >= PASSED_BYTES {
            let mut pages = self.0.take_pages();
            pages.try_for_each(|(column, page)| parts(FilePart::Page(column, page)))?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let rows = self.0.rows() as u64;
        if rows == 0 {
            return Ok(());
        }
        let mut ends = self.0.finish();
        for (column, end) in ends.iter_mut().enumerate() {
            // One by one, so that the receiver bounds how many wait.
            let mut pages = end.pages.drain(..);
            pages.try_for_each(|page| parts(FilePart::Page(column, page)))?;
        }
        parts(FilePart::RowGroup { ends, rows })
    }
}
