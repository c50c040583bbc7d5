//! Encodes the rows of one table: the columns of a row group together, and then their pages.

use parquet::errors::ParquetError;

use crate::encode::kept_bytes::BytesStore;
use crate::encode::parquet::write::chunk_builder::ChunkBuilder;
use crate::encode::parquet::write::column_encoder::{ColumnEncoder, PageLimits};
use crate::encode::parquet::write::encoded_chunk::EncodedChunk;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::raw_page::{ChunkEnd, RawPage};
use crate::tables::cell::Cell;
use crate::tables::table::TableInfo;

/// Where row groups and pages end.
#[derive(Debug, Clone, Copy)]
pub struct RowGroupLimits {
    /// Maximum rows of a row group.
    pub rows: usize,
    /// Bytes of values at which a row group ends, after the row that reaches them.
    pub value_bytes: usize,
    /// The limits of its pages.
    pub page: PageLimits,
}

impl Default for RowGroupLimits {
    fn default() -> Self {
        Self {
            // DuckDB's unit of parallel work.
            rows: 122_880,
            // Readers hold a column of a row group in memory.
            value_bytes: 128 << 20,
            page: PageLimits::default(),
        }
    }
}

/// Takes the rows of a table, one row group after the other.
#[derive(Debug)]
pub(crate) struct RowGroupEncoder {
    columns: Vec<ColumnEncoder>,
    limits: RowGroupLimits,
    rows: usize,
    value_bytes: usize,
    page_bytes: usize,
}

impl RowGroupEncoder {
    pub(crate) fn new(table: &'static TableInfo, limits: RowGroupLimits) -> Self {
        let columns = table.columns();
        Self {
            columns: columns
                .map(|column| ColumnEncoder::new(column, limits.page))
                .collect(),
            limits,
            rows: 0,
            value_bytes: 0,
            page_bytes: 0,
        }
    }

    /// Appends a row: a cell for each column. The error is the name of a column with another type. The row group must
    /// then be discarded, since some columns have a row more than others.
    pub(crate) fn append<'c, 'v: 'c>(
        &mut self,
        cells: impl IntoIterator<Item = Option<&'c Cell<'v>>>,
    ) -> Result<(), &'static str> {
        self.page_bytes = 0;
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.value_bytes += column.append(cell)?;
            self.page_bytes += column.page_bytes();
        }
        self.rows += 1;
        Ok(())
    }

    /// Rows of the row group.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the row group must be completed before the next row.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.limits.rows || self.value_bytes >= self.limits.value_bytes
    }

    /// Bytes of the complete pages after the last row.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Takes out the complete pages, each with the position of its column.
    pub(crate) fn take_pages(&mut self) -> impl Iterator<Item = (usize, RawPage)> {
        let columns = self.columns.iter_mut().enumerate();
        columns.flat_map(|(index, column)| column.take_pages().map(move |page| (index, page)))
    }

    /// Completes the row group, and starts the next one.
    pub(crate) fn finish(&mut self) -> Vec<ChunkEnd> {
        self.rows = 0;
        self.value_bytes = 0;
        self.columns.iter_mut().map(ColumnEncoder::finish).collect()
    }
}

/// Builds the chunks of a row group from pages.
#[derive(Debug)]
pub(crate) struct RowGroupBuilder {
    chunks: Vec<ChunkBuilder>,
}

impl RowGroupBuilder {
    pub(crate) fn new(layout: &FileLayout, store: &BytesStore) -> Self {
        let columns = layout.columns();
        Self {
            chunks: columns
                .map(|(info, column)| ChunkBuilder::new(info, column, store.clone()))
                .collect(),
        }
    }

    /// Compresses the next page of a column.
    pub(crate) fn add(
        &mut self,
        column: usize,
        page: RawPage,
        compressor: &mut PageCompressor,
    ) -> Result<(), ParquetError> {
        match self.chunks.get_mut(column) {
            Some(chunk) => chunk.add(page, compressor),
            None => Err(ParquetError::IndexOutOfBound(column, self.chunks.len())),
        }
    }

    /// Completes the chunks, in the order of the columns.
    pub(crate) fn finish(
        self,
        ends: Vec<ChunkEnd>,
        compressor: &mut PageCompressor,
    ) -> Result<Vec<EncodedChunk>, ParquetError> {
        let chunks = self.chunks.into_iter().zip(ends);
        chunks
            .map(|(chunk, end)| chunk.finish(end, compressor))
            .collect()
    }
}
