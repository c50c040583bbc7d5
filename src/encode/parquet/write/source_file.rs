//! Reads encoded column chunks out of an existing file, so that another file can have the same bytes.

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;

use crate::encode::catch_panic::guarded;
use crate::encode::input::Input;
use crate::encode::parquet::write::encoded_chunk::{ChunkPagesSource, EncodedChunk};
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::row_group_footer::{
    RowGroupFooter, RowGroupParts, read_metadata, row_group_parts,
};

/// A file of a table, whose row groups are copied.
///
/// A copied row group has the same bytes as one that is encoded from the same rows, if the same version of scale-export
/// wrote the file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    layout: FileLayout,
    input: Input,
    row_groups: Vec<RowGroupFooter>,
}

impl SourceFile {
    /// Reads the metadata of a file.
    pub(crate) fn open(layout: FileLayout, input: Input) -> Result<Self, ParquetError> {
        let row_groups = caught(|| {
            let metadata = read_metadata(&layout, &input)?;
            let row_groups = 0..metadata.num_row_groups();
            row_groups
                .map(|number| RowGroupFooter::new(&layout, row_group_parts(&metadata, number)?))
                .collect()
        })?;
        Ok(Self {
            layout,
            input,
            row_groups,
        })
    }

    /// The number of row groups.
    pub(crate) fn row_groups(&self) -> usize {
        self.row_groups.len()
    }

    /// The chunks of a row group, in the order of the columns. Their pages are read when they are appended.
    pub(crate) fn row_group(&self, number: usize) -> Result<Vec<EncodedChunk>, ParquetError> {
        let Some(footer) = self.row_groups.get(number) else {
            let cause = format!("the file has no row group {number}");
            return Err(ParquetError::General(cause));
        };
        caught(|| self.chunks(footer.parts(&self.layout)?))
    }

    fn chunks(&self, parts: RowGroupParts) -> Result<Vec<EncodedChunk>, ParquetError> {
        let rows_written = u64::try_from(parts.row_group.num_rows())?;
        let columns = parts.row_group.into_builder().take_columns().into_iter();
        let indexes = parts.column_indexes.into_iter().zip(parts.offset_indexes);
        let chunks = columns.zip(indexes);
        let chunks = chunks.map(|(metadata, (column_index, offset_index))| {
            Ok(EncodedChunk {
                pages: ChunkPagesSource::File(self.input.clone()),
                close: ColumnCloseResult {
                    bytes_written: u64::try_from(metadata.compressed_size())?,
                    rows_written,
                    metadata,
                    bloom_filter: None,
                    column_index,
                    offset_index,
                },
            })
        });
        chunks.collect()
    }
}

/// Runs code of the `parquet` crate, which panics on some damaged footers.
fn caught<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    guarded(read).unwrap_or_else(|panic| Err(ParquetError::General(panic.to_string())))
}
