//! Compresses the pages of a table, and appends complete row groups to its file.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::encode::parquet::write::chunk_builder::ChunkBuilder;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::page_store::PageKeeper;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::raw_page::{ChunkEnd, RawPage};
use crate::encode::table_file::PartError;
use crate::tables::table::TableInfo;

/// The Parquet file of a table, and the row group that is being filled.
#[derive(Debug)]
pub(crate) struct ParquetTable<W: Write + Send> {
    layout: FileLayout,
    spill: Option<PathBuf>,
    chunks: Vec<ChunkBuilder>,
    file: ParquetFile<W>,
}

impl<W: Write + Send> ParquetTable<W> {
    /// Starts a file. Pages that exceed the bound of [`PageKeeper`] wait at the path `spill`.
    pub(crate) fn begin(
        table: &'static TableInfo,
        output: W,
        spill: Option<&Path>,
    ) -> Result<Self, PartError> {
        let layout = FileLayout::of(table)?;
        let file = ParquetFile::open(&layout, output)?;
        Ok(Self {
            layout,
            spill: spill.map(Path::to_owned),
            chunks: Vec::new(),
            file,
        })
    }

    /// Adds a page to a column of the current row group.
    pub(crate) fn page(
        &mut self,
        column: usize,
        page: RawPage,
        compressor: &mut PageCompressor,
    ) -> Result<(), PartError> {
        self.begin_row_group();
        let chunk = self.chunks.get_mut(column).ok_or(PartError::Foreign)?;
        Ok(chunk.add(page, compressor)?)
    }

    /// Creates the chunks of a row group, unless it has begun.
    fn begin_row_group(&mut self) {
        if self.chunks.is_empty() {
            // A row group has its own, so that the space of its temporary file is freed with it.
            let keeper = PageKeeper::new(self.spill.as_deref());
            let columns = self.layout.columns();
            let chunks = columns.map(|(info, column)| ChunkBuilder::new(info, column, keeper.clone()));
            self.chunks = chunks.collect();
        }
    }

    /// Writes the row group.
    pub(crate) fn row_group(
        &mut self,
        ends: Vec<ChunkEnd>,
        compressor: &mut PageCompressor,
    ) -> Result<(), PartError> {
        self.begin_row_group();
        let chunks = std::mem::take(&mut self.chunks).into_iter().zip(ends);
        let encoded = chunks
            .map(|(chunk, end)| chunk.finish(end, compressor))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.file.append_row_group(encoded)?)
    }

    /// Writes the footer. Returns the output.
    pub(crate) fn close(self) -> Result<W, PartError> {
        Ok(self.file.close()?)
    }
}
