//! Parquet: settings by the nature of each column, and row groups bounded in rows and bytes.
//! The only file that names the `parquet` crate's writer.

use std::io::Write as _;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::OutputError;
use super::staging::{Published, StagedFile};
use super::writer::TableWriter;
use crate::tables::schema::{arrow_schema, file_metadata};
use crate::tables::{ColumnInfo, ColumnType, TableInfo};

/// Rows of a row group: DuckDB's own unit of parallel work.
const ROW_GROUP_ROWS: usize = 122_880;

/// Bytes of a row group before encoding, after which it is closed: the writer holds a row group in
/// memory, and so do readers.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Bytes of a page, and of a dictionary, before compression. Each of some 180 open columns holds one
/// of each: the format's usual megabyte would cost more memory than all else together.
const PAGE_BYTES: usize = 128 << 10;

/// The level that costs least time a byte saved on tasks of real shape; levels above take several
/// times as long for a few percent.
const ZSTD_LEVEL: i32 = 1;

/// Bytes of a minimum or maximum that a reader needs to skip a page.
const STATISTICS_BYTES: usize = 64;

/// Writes one table's Parquet file.
pub(super) struct ParquetWriter {
    table: &'static TableInfo,
    writer: ArrowWriter<StagedFile>,
    row_group_bytes: usize,
}

impl ParquetWriter {
    pub(super) fn begin(table: &'static TableInfo, file: StagedFile) -> Result<Self, OutputError> {
        let path = file.path().to_owned();
        let properties = properties(table).map_err(|error| failed(table, &path, &error))?;
        // The file's schema is plain Parquet. An embedded Arrow schema would make readers of Arrow
        // show JSON columns as an extension type that some of them do not know.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, arrow_schema(table), options)
            .map_err(|error| failed(table, &path, &error))?;
        Ok(Self {
            table,
            writer,
            row_group_bytes: 0,
        })
    }

    fn failed(&self, error: &parquet::errors::ParquetError) -> OutputError {
        failed(self.table, self.writer.inner().path(), error)
    }
}

impl TableWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.writer
            .write(batch)
            .map_err(|error| self.failed(&error))?;
        self.row_group_bytes += batch.get_array_memory_size();
        if self.writer.in_progress_rows() == 0 {
            self.row_group_bytes = 0;
        } else if self.row_group_bytes >= ROW_GROUP_BYTES {
            self.writer.flush().map_err(|error| self.failed(&error))?;
            self.row_group_bytes = 0;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Published, OutputError> {
        let path = self.writer.inner().path().to_owned();
        let table = self.table;
        let mut file = self
            .writer
            .into_inner()
            .map_err(|error| failed(table, &path, &error))?;
        file.flush().map_err(OutputError::io("write", &path))?;
        file.finish()
    }
}

fn failed(
    table: &'static TableInfo,
    path: &std::path::Path,
    error: &parquet::errors::ParquetError,
) -> OutputError {
    OutputError::Table {
        table: table.name,
        path: path.to_owned(),
        cause: error.to_string(),
    }
}

fn properties(table: &TableInfo) -> Result<WriterProperties, parquet::errors::ParquetError> {
    let mut metadata: Vec<KeyValue> = file_metadata(table)
        .into_iter()
        .map(|(key, value)| KeyValue {
            key,
            value: Some(value),
        })
        .collect();
    metadata.sort_by(|left, right| left.key.cmp(&right.key));
    let builder = WriterProperties::builder()
        .set_created_by(format!("scale-export {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(metadata))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES));
    Ok(table.columns().fold(builder, column_properties).build())
}

/// Encodings by what the values of a column are like.
fn column_properties(
    builder: WriterPropertiesBuilder,
    column: &ColumnInfo,
) -> WriterPropertiesBuilder {
    let path = ColumnPath::new(vec![column.name.to_owned()]);
    match column.column_type {
        // Each path begins like the one above it.
        ColumnType::Path => builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY),
        // A dictionary of values that do not repeat is built only to be thrown away.
        ColumnType::UniqueStr | ColumnType::Bytes => {
            builder.set_column_dictionary_enabled(path, false)
        }
        _ => builder,
    }
}
