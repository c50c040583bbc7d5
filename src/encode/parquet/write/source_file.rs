//! Reads encoded column chunks out of an existing file, so that another file can have the same bytes.

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
};

use crate::encode::catch_panic::guarded;
use crate::encode::input::Input;
use crate::encode::parquet::write::chunk_statistics::with_deprecated_bounds;
use crate::encode::parquet::write::encoded_chunk::{ChunkPagesSource, EncodedChunk};
use crate::encode::parquet::write::file_layout::FileLayout;

/// A file of a table, whose row groups are copied.
///
/// A copied row group has the same bytes as one that is encoded from the same rows, if the same version of scale-export
/// wrote the file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    layout: FileLayout,
    input: Input,
    metadata: ParquetMetaData,
}

impl SourceFile {
    /// Reads the metadata of a file.
    pub(crate) fn open(layout: FileLayout, input: Input) -> Result<Self, ParquetError> {
        // A mask would lose the number of pages of each encoding.
        let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_metadata_options(Some(options));
        let metadata = caught(|| reader.parse_and_finish(&input))?;
        Ok(Self {
            layout,
            input,
            metadata,
        })
    }

    /// The number of row groups.
    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// The chunks of a row group, in the order of the columns. Their pages are read when they are appended.
    pub(crate) fn row_group(&self, number: usize) -> Result<Vec<EncodedChunk>, ParquetError> {
        caught(|| self.chunks(number))
    }

    fn chunks(&self, number: usize) -> Result<Vec<EncodedChunk>, ParquetError> {
        let Some(row_group) = self.metadata.row_groups().get(number) else {
            let cause = format!("the file has no row group {number}");
            return Err(ParquetError::General(cause));
        };
        let indexes = self.metadata.page_index_for_row_group(number);
        let columns = row_group.columns().iter().zip(self.layout.columns());
        let chunks = columns.enumerate().map(|(index, (found, (_, column)))| {
            let mut metadata = found.clone().into_builder();
            if let Some(statistics) = found.statistics() {
                // The reader drops the deprecated fields.
                let statistics = with_deprecated_bounds(statistics.clone(), &column);
                metadata = metadata.set_statistics(statistics);
            }
            Ok(EncodedChunk {
                pages: ChunkPagesSource::File(self.input.clone()),
                close: ColumnCloseResult {
                    bytes_written: u64::try_from(found.compressed_size())?,
                    rows_written: u64::try_from(row_group.num_rows())?,
                    metadata: metadata.build()?,
                    bloom_filter: None,
                    column_index: indexes.column_index(index).cloned(),
                    offset_index: indexes.offset_index(index).cloned(),
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
