//! Puts encoded column chunks together to the Parquet file of a table.

use std::io::{self, Write};

use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataWriter;
use parquet::file::writer::{SerializedRowGroupWriter, TrackedWrite};

use crate::encode::file_part::PartError;
use crate::encode::parquet::write::column_order::TypeDefinedOrder;
use crate::encode::parquet::write::encoded_chunk::EncodedChunk;
use crate::encode::parquet::write::file_layout::{FileLayout, MAGIC};
use crate::encode::parquet::write::row_group_footer::{
    RowGroupFooter, RowGroupParts, with_row_groups,
};

/// A Parquet file whose row groups are appended.
pub(crate) struct ParquetFile<W: Write + Send> {
    layout: FileLayout,
    output: TrackedWrite<TypeDefinedOrder<W>>,
    row_groups: Vec<RowGroupFooter>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Starts a file.
    pub(crate) fn open(layout: FileLayout, output: W) -> Result<Self, ParquetError> {
        let mut output = TrackedWrite::new(TypeDefinedOrder::new(output));
        output.write_all(&MAGIC)?;
        Ok(Self {
            layout,
            output,
            row_groups: Vec::new(),
        })
    }

    /// Appends a row group: a chunk of each column, in the order of the table.
    pub(crate) fn append_row_group(
        &mut self,
        chunks: impl IntoIterator<Item = EncodedChunk>,
    ) -> Result<(), ParquetError> {
        let number = i32::try_from(self.row_groups.len())?;
        let (layout, row_groups) = (&self.layout, &mut self.row_groups);
        let keep = |_: &mut _, row_group, _, column_indexes, offset_indexes| {
            let parts = RowGroupParts {
                row_group,
                column_indexes,
                offset_indexes,
            };
            row_groups.push(RowGroupFooter::new(layout, parts)?);
            Ok(())
        };
        let mut row_group = SerializedRowGroupWriter::new(
            layout.schema(),
            layout.properties(),
            &mut self.output,
            number,
            Some(Box::new(keep)),
        );
        for EncodedChunk { pages, close } in chunks {
            row_group.append_column(&pages, close)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// The output, to which everything before is passed.
    pub(crate) fn flushed(&mut self) -> Result<&mut W, ParquetError> {
        self.output.flush()?;
        self.output.inner_mut().inner_mut().ok_or_else(complete)
    }

    /// Writes the footer. Returns the output.
    pub(crate) fn close(mut self) -> Result<W, ParquetError> {
        let row_groups = self.row_groups.iter();
        let row_groups = row_groups.map(|footer| footer.parts(&self.layout));
        let row_groups = row_groups.collect::<Result<_, _>>()?;
        let metadata = with_row_groups(self.layout.file_metadata(), row_groups);
        // The crate buffers writes. Without this flush, the kept end would begin with bytes of the last row group.
        self.output.flush()?;
        let (output, end) = self.output.inner_mut().keep_end().ok_or_else(complete)?;
        ParquetMetaDataWriter::new_with_tracked(self.output, &metadata)
            .with_preserve_page_index_locations(false)
            .finish()?;
        end.write_to(output, self.layout.schema().num_columns())
    }
}

/// The error for a file that is complete already.
fn complete() -> ParquetError {
    ParquetError::General("the file is complete".to_owned())
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
