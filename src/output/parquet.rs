//! Parquet: settings by the nature of each column, and row groups bounded in rows and bytes.
//! The only file that names the `parquet` crate's writer.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::OutputError;
use super::staging::{Published, StagedFile};
use super::writer::TableWriter;
use crate::tables::schema::{arrow_schema, file_metadata};
use crate::tables::{ColumnInfo, ColumnType, TableInfo};

/// Rows of a row group at most: DuckDB's own unit of parallel work.
const ROW_GROUP_ROWS: usize = 122_880;

/// Of short values: at level 3 all tables together would be 5 % larger.
const ZSTD_LEVEL: i32 = 1;

/// Of long texts, which are 6 % smaller than at level 1; levels above take several times as long for a few percent.
const TEXT_ZSTD_LEVEL: i32 = 3;

/// Bytes of a dictionary of values that repeat far apart, where no compression finds them. Past this, what follows is
/// written as it is. Readers hold a dictionary in memory.
const REPEATED_DICTIONARY_BYTES: usize = 4 << 20;

/// The columns that rows are looked up or joined by, whose pages have statistics: readers that know them skip pages.
/// Those of all columns would only make footers larger, in the file and in memory until its end.
const KEYS: [&str; 11] = [
    "task_id",
    "path",
    "thread_id",
    "thread_index",
    "turn_id",
    "turn_index",
    "message_id",
    "message_index",
    "annotation_id",
    "project_id",
    "batch_id",
];

/// In the form that the Parquet format asks for: older readers believe no statistics without it.
const CREATED_BY: &str = concat!("scale-export version ", env!("CARGO_PKG_VERSION"));

/// Bytes of a minimum or maximum that a reader needs to skip a page.
const STATISTICS_BYTES: usize = 64;

/// Writes one table's Parquet file.
///
/// Batches wait as they are until they make a row group, which is then encoded column by column; of tables for
/// which there is no room to wait, what is there is encoded, and the row group goes on. The crate's own
/// `ArrowWriter` encodes batches as they come and so keeps a page, a dictionary and a compressor for every
/// column of every table: over 100 MB for the 239 columns here.
pub(super) struct ParquetWriter<W: Write + Send> {
    table: &'static TableInfo,
    schema: SchemaRef,
    file: SerializedFileWriter<W>,
    columns: ArrowRowGroupWriterFactory,
    /// Rows that wait as they are, column by column.
    waiting: Vec<Vec<ArrayRef>>,
    waiting_bytes: usize,
    /// The row group's columns as far as they are encoded; none when nothing of it is.
    encoded: Vec<ArrowColumnWriter>,
    encoded_bytes: usize,
    /// Rows of the row group, encoded or not.
    rows: usize,
    /// Bytes of all rows of the table, as they came.
    bytes: u64,
}

impl ParquetWriter<StagedFile> {
    pub(super) fn begin(table: &'static TableInfo, file: StagedFile) -> Result<Self, OutputError> {
        let path = file.path().to_owned();
        Self::open(table, file).map_err(|error| failed(table, &path, &error))
    }

    fn failed(&self, error: &ParquetError) -> OutputError {
        failed(self.table, self.file.inner().path(), error)
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file.
    pub(super) fn open(table: &'static TableInfo, file: W) -> Result<Self, ParquetError> {
        let schema = arrow_schema(table);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let mut properties = properties(table)?;
        // Without an Arrow schema inside, polars takes JSON columns for bytes.
        add_encoded_arrow_schema_to_metadata(&plain(&schema, table), &mut properties);
        let properties = Arc::new(properties);
        let file = SerializedFileWriter::new(file, parquet_schema.root_schema_ptr(), properties)?;
        let columns = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
        Ok(Self {
            table,
            schema,
            file,
            columns,
            waiting: vec![Vec::new(); table.columns().count()],
            waiting_bytes: 0,
            encoded: Vec::new(),
            encoded_bytes: 0,
            rows: 0,
            bytes: 0,
        })
    }

    /// Encodes what waits; the row group goes on.
    fn encode_waiting(&mut self) -> Result<(), ParquetError> {
        let mut columns = self.take_columns()?;
        for (index, column) in columns.iter_mut().enumerate() {
            self.encode_column(index, column)?;
        }
        self.waiting_bytes = 0;
        self.encoded_bytes = columns.iter().map(ArrowColumnWriter::memory_size).sum();
        self.encoded = columns;
        Ok(())
    }

    /// Writes the row group, column by column: of each, the rows that wait are freed before the next is encoded.
    fn write_row_group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = self.take_columns()?;
        let mut chunks = Vec::new();
        for (index, mut column) in columns.into_iter().enumerate() {
            self.encode_column(index, &mut column)?;
            chunks.push(column.close()?);
        }
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.waiting_bytes = 0;
        self.encoded_bytes = 0;
        self.rows = 0;
        Ok(())
    }

    /// The columns of the row group at hand, which may begin with this. No column of ours has more than one leaf.
    fn take_columns(&mut self) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        if self.encoded.is_empty() {
            let number = self.file.flushed_row_groups().len();
            return self.columns.create_column_writers(number);
        }
        Ok(std::mem::take(&mut self.encoded))
    }

    /// Encodes what waits of a column, and frees it.
    fn encode_column(
        &mut self,
        index: usize,
        column: &mut ArrowColumnWriter,
    ) -> Result<(), ParquetError> {
        let (Some(field), Some(waiting)) =
            (self.schema.fields().get(index), self.waiting.get_mut(index))
        else {
            return Ok(());
        };
        for array in waiting.drain(..) {
            for leaf in compute_leaves(field, &array)? {
                column.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// Takes rows; they wait until they make a row group.
    pub(super) fn write_rows(&mut self, batch: RecordBatch) -> Result<(), ParquetError> {
        if self.rows + batch.num_rows() > ROW_GROUP_ROWS {
            self.write_row_group()?;
        }
        let (_, columns, rows) = batch.into_parts();
        self.rows += rows;
        let sizes = columns.iter().map(Array::get_array_memory_size);
        let size: usize = sizes.sum();
        self.waiting_bytes += size;
        self.bytes += size as u64;
        for (waiting, column) in self.waiting.iter_mut().zip(columns) {
            waiting.push(column);
        }
        Ok(())
    }

    /// Writes what waits and the file's end; gives back where it was written to.
    pub(super) fn close(mut self) -> Result<W, ParquetError> {
        self.write_row_group()?;
        self.file.into_inner()
    }
}

impl TableWriter for ParquetWriter<StagedFile> {
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError> {
        self.write_rows(batch).map_err(|error| self.failed(&error))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    fn encode(&mut self) -> Result<(), OutputError> {
        self.encode_waiting().map_err(|error| self.failed(&error))
    }

    fn write_out(&mut self) -> Result<(), OutputError> {
        self.write_row_group().map_err(|error| self.failed(&error))
    }

    fn finish(self: Box<Self>) -> Result<Published, OutputError> {
        let table = self.table;
        let path = self.file.inner().path().to_owned();
        let mut file = self.close().map_err(|error| failed(table, &path, &error))?;
        file.flush().map_err(OutputError::io("write", &path))?;
        file.finish()
    }
}

/// The schema without extension types, which some readers of Arrow do not know. It repeats the file's
/// metadata, since pyarrow shows that of this schema in its place.
fn plain(schema: &Schema, table: &TableInfo) -> Schema {
    let fields = schema.fields().iter();
    Schema::new(
        fields
            .map(|field| field.as_ref().clone().with_metadata(HashMap::new()))
            .collect::<Vec<_>>(),
    )
    .with_metadata(file_metadata(table))
}

fn failed(table: &'static TableInfo, path: &Path, error: &ParquetError) -> OutputError {
    if let ParquetError::External(cause) = error
        && let Some(cause) = cause.downcast_ref::<io::Error>()
    {
        let source = cause.raw_os_error().map_or_else(
            || io::Error::new(cause.kind(), cause.to_string()),
            io::Error::from_raw_os_error,
        );
        return OutputError::io("write", path)(source);
    }
    OutputError::Table {
        table: table.name,
        path: path.to_owned(),
        cause: error.to_string(),
    }
}

fn properties(table: &TableInfo) -> Result<WriterProperties, ParquetError> {
    let mut metadata: Vec<KeyValue> = file_metadata(table)
        .into_iter()
        .map(|(key, value)| KeyValue {
            key,
            value: Some(value),
        })
        .collect();
    metadata.sort_by(|left, right| left.key.cmp(&right.key));
    let builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(metadata))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES));
    let text_level = ZstdLevel::try_new(TEXT_ZSTD_LEVEL)?;
    let columns = table.columns();
    Ok(columns
        .fold(builder, |builder, column| {
            column_properties(builder, column, text_level)
        })
        .build())
}

/// Encodings by what the values of a column are like.
fn column_properties(
    builder: WriterPropertiesBuilder,
    column: &ColumnInfo,
    text_level: ZstdLevel,
) -> WriterPropertiesBuilder {
    let path = ColumnPath::new(vec![column.name.to_owned()]);
    let builder = if KEYS.contains(&column.name) {
        builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
    } else {
        builder
    };
    match column.column_type {
        // Where a dictionary has no room for all paths, each begins like the one above it.
        ColumnType::Path => builder.set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY),
        // A dictionary of values that do not repeat is built only to be thrown away; those that repeat beside each
        // other compress as well without.
        ColumnType::UniqueStr => builder.set_column_dictionary_enabled(path, false),
        ColumnType::RepeatedStr | ColumnType::Json | ColumnType::Bytes => builder
            .set_column_compression(path.clone(), Compression::ZSTD(text_level))
            .set_column_dictionary_page_size_limit(path, REPEATED_DICTIONARY_BYTES),
        _ => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;
    use crate::tables::definition::TABLES;

    #[test]
    fn a_full_disk_within_a_row_group_is_told_as_one() {
        const ENOSPC: i32 = 28;
        let error = ParquetError::from(io::Error::from_raw_os_error(ENOSPC));
        let error = failed(&TABLES[0], Path::new("out/tasks.parquet"), &error);
        assert!(
            error
                .to_string()
                .starts_with("could not write `out/tasks.parquet`: No space")
        );
        assert!(error.hint().unwrap().starts_with("make space"));
    }
}
