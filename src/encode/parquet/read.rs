//! Reads Parquet tables that scale-export wrote.

use std::io::{BufReader, Read};
use std::ops::Range;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::file::reader::{ChunkReader, Length};

use crate::encode::batches::{Batches, until_error};
use crate::encode::catch_panic::guarded;
use crate::encode::input::Input;
use crate::encode::parquet::read_batch::batch_rows;
use crate::encode::read_error::ReadError;
use crate::tables::row_reader::Rows;
use crate::tables::schema::{VERSION_KEY, arrow_schema, file_metadata};
use crate::tables::table::TableInfo;

/// Bytes per read at the start of a page header. Most headers are far shorter.
const HEADER_BYTES: usize = 512;

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Path(_) => self.length().unwrap_or_default(),
            Self::Bytes(bytes) => Length::len(bytes),
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Path(input) => {
                let read = Self::read_from(input, start);
                Box::new(BufReader::with_capacity(HEADER_BYTES, read))
            }
            Self::Bytes(bytes) => Box::new(ChunkReader::get_read(bytes, start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self {
            Self::File(file) => file.as_ref().get_bytes(start, length),
            Self::Path(_) => Ok(self.read_at(start, length as u64)?),
            Self::Bytes(bytes) => ChunkReader::get_bytes(bytes, start, length),
        }
    }
}

fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

/// A table with a footer that was read and checked.
#[derive(Debug)]
pub(crate) struct ParquetTable {
    table: &'static TableInfo,
    metadata: ArrowReaderMetadata,
}

impl ParquetTable {
    /// Opens a table and checks its columns and metadata.
    pub(crate) fn open(table: &'static TableInfo, input: Input) -> Result<Self, ReadError> {
        // The crate panics on some damaged footers.
        guarded(|| open_unguarded(table, input))?
    }

    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The rows of some of the row groups; `input` has the bytes of the whole file.
    pub(crate) fn batches(&self, input: Input, row_groups: Range<usize>) -> Batches {
        until_error(ParquetBatches {
            table: self.table,
            input,
            metadata: self.metadata.clone(),
            groups: row_groups,
            reader: None,
        })
    }
}

fn open_unguarded(table: &'static TableInfo, input: Input) -> Result<ParquetTable, ReadError> {
    // The statistics in the footer are for readers that skip rows. They would stay in memory for all row groups.
    let options = ArrowReaderOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let metadata = ArrowReaderMetadata::load(&input, options).map_err(damaged)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata.clone());
    check_columns(table, &builder)?;
    check_metadata(table, &builder)?;
    Ok(ParquetTable { table, metadata })
}

/// Fails unless the columns are those of the definition, logical types included.
fn check_columns(
    table: &'static TableInfo,
    builder: &ParquetRecordBatchReaderBuilder<Input>,
) -> Result<(), ReadError> {
    let expected = ArrowSchemaConverter::new()
        .convert(&arrow_schema(table))
        .map_err(damaged)?;
    let found = builder.parquet_schema();
    let (expected, found) = (
        expected.root_schema().get_fields(),
        found.root_schema().get_fields(),
    );
    let name = |column: Option<&parquet::schema::types::TypePtr>| {
        column.map_or_else(
            || "no column".to_owned(),
            |column| {
                let mut text = Vec::new();
                parquet::schema::printer::print_schema(&mut text, column);
                let text = String::from_utf8_lossy(&text);
                let parts: Vec<&str> = text.split_whitespace().collect();
                parts.join(" ")
            },
        )
    };
    let differs = (0..expected.len().max(found.len()))
        .find(|&position| expected.get(position) != found.get(position));
    differs.map_or(Ok(()), |position| {
        Err(ReadError::Column {
            position: position + 1,
            expected: name(expected.get(position)),
            found: name(found.get(position)),
        })
    })
}

/// Fails unless the metadata names the table, the version of the tables, and the content of the columns. Only the
/// version of scale-export may differ.
fn check_metadata(
    table: &'static TableInfo,
    builder: &ParquetRecordBatchReaderBuilder<Input>,
) -> Result<(), ReadError> {
    let entries = builder.metadata().file_metadata().key_value_metadata();
    let stated = |key: &str| {
        let mut entries = entries.into_iter().flatten();
        entries.find(|entry| entry.key == key)?.value.as_deref()
    };
    for (key, value) in file_metadata(table) {
        if key != VERSION_KEY && stated(&key) != Some(&value) {
            return Err(damaged(format!(
                "the metadata `{key}` is missing or has another value"
            )));
        }
    }
    Ok(())
}

/// Reads the row groups in order. The rows of a batch differ between row groups.
struct ParquetBatches {
    table: &'static TableInfo,
    input: Input,
    metadata: ArrowReaderMetadata,
    /// Row groups that are not read yet.
    groups: Range<usize>,
    reader: Option<ParquetRecordBatchReader>,
}

impl ParquetBatches {
    fn batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Some(batch) => return batch.map(Some).map_err(damaged),
                    None => self.reader = None,
                }
            }
            let Some(group) = self.groups.next() else {
                return Ok(None);
            };
            let rows = batch_rows(&self.input, self.metadata.metadata().row_group(group))?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.input.clone(),
                self.metadata.clone(),
            );
            let builder = builder.with_row_groups(vec![group]).with_batch_size(rows);
            self.reader = Some(builder.build().map_err(damaged)?);
        }
    }
}

impl Iterator for ParquetBatches {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(|| self.batch()).unwrap_or_else(|panic| Err(panic.into()));
        let batch = match next.transpose()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let rows = Rows::of(self.table, batch);
        Some(rows.map_err(ReadError::ColumnType))
    }
}
