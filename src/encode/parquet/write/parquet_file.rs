//! Puts encoded column chunks together to the Parquet file of a table.

use std::io::{self, Write};

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use crate::encode::file_part::PartError;
use crate::encode::parquet::write::column_order::TypeDefinedOrder;
use crate::encode::parquet::write::encoded_chunk::EncodedChunk;
use crate::encode::parquet::write::file_layout::FileLayout;

/// A Parquet file whose row groups are appended.
pub(crate) struct ParquetFile<W: Write + Send> {
    file: SerializedFileWriter<TypeDefinedOrder<W>>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Starts a file.
    pub(crate) fn open(layout: &FileLayout, output: W) -> Result<Self, ParquetError> {
        let output = TypeDefinedOrder::new(output);
        let file = SerializedFileWriter::new(output, layout.root(), layout.properties())?;
        Ok(Self { file })
    }

    /// Appends a row group: a chunk of each column, in the order of the table.
    pub(crate) fn append_row_group(
        &mut self,
        chunks: impl IntoIterator<Item = EncodedChunk>,
    ) -> Result<(), ParquetError> {
        let mut row_group = self.file.next_row_group()?;
        for EncodedChunk { pages, close } in chunks {
            row_group.append_column(&pages, close)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// The output, to which everything before is passed.
    pub(crate) fn flushed(&mut self) -> Result<&mut W, ParquetError> {
        self.file.flush()?;
        Ok(self.file.inner_mut().inner_mut())
    }

    /// Writes the footer. Returns the output.
    pub(crate) fn close(mut self) -> Result<W, ParquetError> {
        let columns = self.file.schema_descr().num_columns();
        // The crate buffers writes. Without this flush, the kept end would begin with bytes of the last row group.
        self.file.flush()?;
        self.file.inner_mut().keep_end();
        self.file.into_inner()?.finish(columns)
    }
}

impl<W: Write + Send> std::fmt::Debug for ParquetFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").finish_non_exhaustive()
    }
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
    use std::path::Path;

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
