//! Compresses the pages of a table, and appends complete row groups to its file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::encode::file_part::PartError;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::page_store::PageStore;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::raw_page::{ChunkEnd, RawPage};
use crate::encode::parquet::write::row_group_encoder::RowGroupBuilder;
use crate::tables::table::TableInfo;

/// The Parquet file of a table, and the row group that is being filled.
#[derive(Debug)]
pub(crate) struct ParquetTable<W: Write + Send> {
    layout: FileLayout,
    spill: Option<PathBuf>,
    row_group: RowGroupBuilder,
    file: ParquetFile<W>,
}

impl<W: Write + Send> ParquetTable<W> {
    /// Starts a file. Pages that exceed the bound of [`PageStore`] wait at the path `spill`.
    pub(crate) fn begin(
        table: &'static TableInfo,
        output: W,
        spill: Option<&Path>,
    ) -> Result<Self, PartError> {
        let layout = FileLayout::of(table)?;
        let file = ParquetFile::open(&layout, output)?;
        Ok(Self {
            row_group: new_row_group(&layout, spill),
            layout,
            spill: spill.map(Path::to_owned),
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
        Ok(self.row_group.add(column, page, compressor)?)
    }

    /// Writes the row group.
    pub(crate) fn end_row_group(
        &mut self,
        ends: Vec<ChunkEnd>,
        compressor: &mut PageCompressor,
    ) -> Result<(), PartError> {
        let next = new_row_group(&self.layout, self.spill.as_deref());
        let row_group = std::mem::replace(&mut self.row_group, next);
        let chunks = row_group.finish(ends, compressor)?;
        Ok(self.file.append_row_group(chunks)?)
    }

    /// Writes the footer. Returns the output.
    pub(crate) fn close(self) -> Result<W, PartError> {
        Ok(self.file.close()?)
    }
}

/// A row group without pages. Each has its own store of pages, so that the space of its temporary file is freed with it.
fn new_row_group(layout: &FileLayout, spill: Option<&Path>) -> RowGroupBuilder {
    RowGroupBuilder::new(layout, &PageStore::new(spill))
}

impl From<ParquetError> for PartError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(source) => Self::Io(*source),
                Err(other) => Self::Library(other.to_string()),
            },
            other => Self::Library(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;
    use crate::tables::table::Table;

    #[test]
    fn a_full_disk_within_a_row_group_has_the_hint_for_a_full_disk() {
        const ENOSPC: i32 = 28;
        let error = ParquetError::from(io::Error::from_raw_os_error(ENOSPC));
        let path = Path::new("out/tasks.parquet");
        let error = PartError::from(error).of_file(Table::Tasks.info(), path);
        assert!(
            error
                .to_string()
                .starts_with("could not write `out/tasks.parquet`: No space")
        );
        assert!(error.hint().unwrap().starts_with("free disk space"));
    }
}
