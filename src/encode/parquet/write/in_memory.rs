//! Encodes a table in memory, with the same bytes as a published file.

use parquet::errors::ParquetError;
use thiserror::Error;

use crate::encode::input::Input;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::page_store::PageStore;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::row_group_encoder::{
    RowGroupBuilder, RowGroupEncoder, RowGroupLimits,
};
use crate::encode::parquet::write::source_file::SourceFile;
use crate::tables::cell::Cell;
use crate::tables::row_reader::Rows;
use crate::tables::table::TableInfo;

/// Bytes of complete pages that wait for their compression.
const PAGE_BYTES: usize = 256 << 10;

/// Why a table could not be encoded.
#[derive(Debug, Error)]
pub enum TableEncodeError {
    /// A cell does not have the type of its column, or is null in a required one.
    #[error("column `{0}` has another type")]
    Column(&'static str),
    /// The `parquet` crate or the temporary file failed. The types of the crate stay private.
    #[error("{0}")]
    Parquet(String),
}

impl From<ParquetError> for TableEncodeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

/// Encodes the rows of a table as a file. Pages that exceed the memory bound wait in a temporary file.
pub fn encode_rows(
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = Rows>,
    limits: RowGroupLimits,
) -> Result<Vec<u8>, TableEncodeError> {
    let mut file = MemoryTable::open(table, limits)?;
    let columns = table.columns().count();
    for rows in batches {
        let mut cells: Vec<Option<Cell<'_>>> = Vec::with_capacity(columns);
        for row in 0..rows.len() {
            cells.clear();
            cells.extend((0..columns).map(|column| rows.cell(column, row)));
            file.append(&cells)?;
        }
    }
    file.close()
}

/// Writes a file with the row groups of an existing one. It has the same bytes if the same version of scale-export wrote
/// that file.
pub fn copy_row_groups(
    table: &'static TableInfo,
    input: Input,
) -> Result<Vec<u8>, TableEncodeError> {
    let layout = FileLayout::of(table)?;
    let source = SourceFile::open(layout.clone(), input)?;
    let mut file = ParquetFile::open(&layout, Vec::new())?;
    for number in 0..source.row_groups() {
        file.append_row_group(source.row_group(number)?)?;
    }
    Ok(file.close()?)
}

/// A file whose rows are encoded and compressed on the same thread.
#[derive(Debug)]
struct MemoryTable {
    layout: FileLayout,
    store: PageStore,
    encoder: RowGroupEncoder,
    builder: RowGroupBuilder,
    compressor: PageCompressor,
    file: ParquetFile<Vec<u8>>,
}

impl MemoryTable {
    fn open(table: &'static TableInfo, limits: RowGroupLimits) -> Result<Self, TableEncodeError> {
        let layout = FileLayout::of(table)?;
        let store = PageStore::new(None);
        Ok(Self {
            encoder: RowGroupEncoder::new(table, limits),
            builder: RowGroupBuilder::new(&layout, &store),
            compressor: PageCompressor::default(),
            file: ParquetFile::open(&layout, Vec::new())?,
            layout,
            store,
        })
    }

    fn append(&mut self, cells: &[Option<Cell<'_>>]) -> Result<(), TableEncodeError> {
        if self.encoder.is_full() {
            self.end_row_group()?;
        }
        self.encoder
            .append(cells.iter().map(Option::as_ref))
            .map_err(TableEncodeError::Column)?;
        if self.encoder.page_bytes() >= PAGE_BYTES {
            for (column, page) in self.encoder.take_pages() {
                self.builder.add(column, page, &mut self.compressor)?;
            }
        }
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), TableEncodeError> {
        if self.encoder.rows() > 0 {
            let next = RowGroupBuilder::new(&self.layout, &self.store);
            let builder = std::mem::replace(&mut self.builder, next);
            let chunks = builder.finish(self.encoder.finish(), &mut self.compressor)?;
            self.file.append_row_group(chunks)?;
        }
        Ok(())
    }

    /// Completes the file, and returns its bytes.
    fn close(mut self) -> Result<Vec<u8>, TableEncodeError> {
        self.end_row_group()?;
        Ok(self.file.close()?)
    }
}
