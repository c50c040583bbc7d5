//! Compresses the pages of a table, and appends complete row groups to its file.

use std::io::Write;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::page_store::PageKeeper;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::raw_page::{ChunkEnd, RawPage};
use crate::encode::parquet::write::row_group_encoder::RowGroupBuilder;
use crate::tables::table::TableInfo;

/// The Parquet file of a table, and the row group that is being filled.
#[derive(Debug)]
pub(crate) struct ParquetTable<W: Write + Send> {
    layout: FileLayout,
    spill: Option<PathBuf>,
    row_group: Option<RowGroupBuilder>,
    file: ParquetFile<W>,
}

impl<W: Write + Send> ParquetTable<W> {
    /// Starts a file. Pages that exceed the bound of [`PageKeeper`] wait at the path `spill`.
    pub(crate) fn begin(
        table: &'static TableInfo,
        output: W,
        spill: Option<&Path>,
    ) -> Result<Self, ParquetError> {
        let layout = FileLayout::of(table)?;
        let file = ParquetFile::open(&layout, output)?;
        Ok(Self {
            layout,
            spill: spill.map(Path::to_owned),
            row_group: None,
            file,
        })
    }

    /// Adds a page to a column of the current row group.
    pub(crate) fn page(
        &mut self,
        column: usize,
        page: RawPage,
        compressor: &mut PageCompressor,
    ) -> Result<(), ParquetError> {
        self.row_group().add(column, page, compressor)
    }

    /// The current row group. Each has its own keeper of pages, so that the space of its temporary file is freed with
    /// it.
    fn row_group(&mut self) -> &mut RowGroupBuilder {
        self.row_group.get_or_insert_with(|| {
            RowGroupBuilder::new(&self.layout, &PageKeeper::new(self.spill.as_deref()))
        })
    }

    /// Writes the row group.
    pub(crate) fn end_row_group(
        &mut self,
        ends: Vec<ChunkEnd>,
        compressor: &mut PageCompressor,
    ) -> Result<(), ParquetError> {
        self.row_group();
        match self.row_group.take() {
            Some(row_group) => {
                let chunks = row_group.finish(ends, compressor)?;
                self.file.append_row_group(chunks)
            }
            None => Ok(()),
        }
    }

    /// Writes the footer. Returns the output.
    pub(crate) fn close(self) -> Result<W, ParquetError> {
        self.file.close()
    }
}
