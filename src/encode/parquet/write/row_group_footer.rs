//! The metadata of a row group, compressed. Parsed, it takes ten times as much memory.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::PageIndexBuilder;
use parquet::file::metadata::{
    FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataOptions,
    ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::writer::TrackedWrite;

use crate::encode::input::Input;
use crate::encode::parquet::write::chunk_statistics::with_deprecated_bounds;
use crate::encode::parquet::write::file_layout::{FileLayout, MAGIC};

/// What a file states about a row group.
#[derive(Debug)]
pub(crate) struct RowGroupParts {
    pub(crate) row_group: RowGroupMetaData,
    /// For each column.
    pub(crate) column_indexes: Vec<Option<ColumnIndexMetaData>>,
    /// For each column.
    pub(crate) offset_indexes: Vec<Option<OffsetIndexMetaData>>,
}

/// The metadata of a row group and its page indexes: the end of a file that has no other row group, compressed with zstd.
#[derive(Debug)]
pub(crate) struct RowGroupFooter(Box<[u8]>);

/// The fastest level: what a footer states of a row group is less than a hundredth of it.
const ZSTD_LEVEL: i32 = 1;

impl RowGroupFooter {
    pub(crate) fn new(layout: &FileLayout, parts: RowGroupParts) -> Result<Self, ParquetError> {
        let file = FileMetaData::new(1, 0, None, None, layout.schema(), None);
        let metadata = with_row_groups(file, vec![parts]);
        // A page index cannot begin at offset 0 of a file.
        let mut footer = Vec::new();
        let mut output = TrackedWrite::new(&mut footer);
        output.write_all(&MAGIC)?;
        let writer = ParquetMetaDataWriter::new_with_tracked(output, &metadata);
        writer.with_write_path_in_schema(false).finish()?;
        let compressed = zstd::bulk::compress(&footer, ZSTD_LEVEL)?;
        Ok(Self(compressed.into_boxed_slice()))
    }

    /// Parses the metadata. Its columns are those of the layout.
    pub(crate) fn parts(&self, layout: &FileLayout) -> Result<RowGroupParts, ParquetError> {
        let footer = Bytes::from(zstd::decode_all(&*self.0)?);
        let metadata = read_metadata(layout, &Input::Bytes(footer))?;
        let mut parts = row_group_parts(&metadata, 0)?;
        // The reader drops the deprecated fields.
        for column in parts.row_group.columns_mut() {
            if let Some(statistics) = column.statistics() {
                let statistics = with_deprecated_bounds(statistics.clone(), column.column_descr());
                *column = column
                    .clone()
                    .into_builder()
                    .set_statistics(statistics)
                    .build()?;
            }
        }
        Ok(parts)
    }
}

/// Reads the metadata of a file with these columns.
pub(crate) fn read_metadata(
    layout: &FileLayout,
    input: &Input,
) -> Result<ParquetMetaData, ParquetError> {
    // A mask would lose the number of pages of each encoding.
    let options = ParquetMetaDataOptions::new()
        .with_encoding_stats_as_mask(false)
        .with_schema(layout.schema());
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_metadata_options(Some(options))
        .parse_and_finish(input)
}

/// What a file states about one of its row groups.
pub(crate) fn row_group_parts(
    metadata: &ParquetMetaData,
    number: usize,
) -> Result<RowGroupParts, ParquetError> {
    let Some(row_group) = metadata.row_groups().get(number) else {
        let cause = format!("the file has no row group {number}");
        return Err(ParquetError::General(cause));
    };
    let indexes = metadata.page_index_for_row_group(number);
    let columns = 0..row_group.num_columns();
    Ok(RowGroupParts {
        column_indexes: columns
            .clone()
            .map(|column| indexes.column_index(column).cloned())
            .collect(),
        offset_indexes: columns
            .map(|column| indexes.offset_index(column).cloned())
            .collect(),
        row_group: row_group.clone(),
    })
}

/// The metadata of a file with these row groups.
pub(crate) fn with_row_groups(
    file: FileMetaData,
    row_groups: Vec<RowGroupParts>,
) -> ParquetMetaData {
    let columns = row_groups
        .first()
        .map_or(0, |parts| parts.row_group.num_columns());
    let mut indexes = PageIndexBuilder::new(row_groups.len(), columns);
    let mut metadata = ParquetMetaDataBuilder::new(file);
    for (number, parts) in row_groups.into_iter().enumerate() {
        for (column, index) in parts.column_indexes.into_iter().enumerate() {
            if let Some(index) = index {
                indexes.put_column_index(index, number, column);
            }
        }
        for (column, index) in parts.offset_indexes.into_iter().enumerate() {
            if let Some(index) = index {
                indexes.put_offset_index(index, number, column);
            }
        }
        metadata = metadata.add_row_group(parts.row_group);
    }
    metadata
        .set_page_index(Some(Arc::new(indexes.build())))
        .build()
}
