//! Encodes a table in memory, with the same bytes as a published file.

use std::fmt::Display;

use arrow::array::RecordBatch;
use thiserror::Error;

use crate::encode::file_part::RowEncoder;
use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::kept_bytes::BytesStore;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::row_encoder::ParquetRows;
use crate::encode::parquet::write::row_group_encoder::RowGroupLimits;
use crate::encode::parquet::write::source_file::SourceFile;
use crate::encode::part_collector::PartCollector;
use crate::encode::rows_encoder::row_encoder;
use crate::encode::table_file::OpenTableFile;
use crate::tables::row_reader::Rows;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// Why a table could not be encoded in memory.
#[derive(Debug, Error)]
#[error("could not encode table `{table}`: {cause}")]
pub struct EncodeError {
    table: &'static str,
    /// The error of the writer.
    cause: String,
}

impl EncodeError {
    fn new(table: &TableInfo, cause: &dyn Display) -> Self {
        Self {
            table: table.name,
            cause: cause.to_string(),
        }
    }
}

/// Encodes batches of rows.
pub fn encode(
    format: Format,
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Vec<u8>, EncodeError> {
    let rows = batches.into_iter().map(|batch| {
        let rows = Rows::of(table, batch);
        rows.map_err(|column| EncodeError::new(table, &SinkError::Column(column)))
    });
    let mut encoder = row_encoder(format, table);
    encode_with(encoder.as_mut(), format, table, rows)
}

/// Encodes rows as Parquet, with other limits of row groups and pages than published files have.
pub fn encode_parquet(
    table: &'static TableInfo,
    rows: impl IntoIterator<Item = Rows>,
    limits: RowGroupLimits,
) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = ParquetRows::new(table, limits);
    let rows = rows.into_iter().map(Ok);
    encode_with(&mut encoder, Format::Parquet, table, rows)
}

/// Encoded rows that exceed the memory bound wait in a temporary file.
fn encode_with(
    encoder: &mut dyn RowEncoder,
    format: Format,
    table: &'static TableInfo,
    batches: impl Iterator<Item = Result<Rows, EncodeError>>,
) -> Result<Vec<u8>, EncodeError> {
    let failed = |cause: &dyn Display| EncodeError::new(table, cause);
    let file = OpenTableFile::begin(format, table, Vec::new());
    let mut file = file.map_err(|error| failed(&error))?;
    let collector = PartCollector::new(format, table);
    let mut collector = collector.map_err(|error| failed(&error))?;
    let mut compressor = PageCompressor::default();
    let store = BytesStore::new(None);
    let mut refused = None;
    let mut write = |part| {
        let added = collector.add(part, &mut compressor, &store);
        added.map_err(|error| {
            refused = Some(error);
            SinkError::Closed
        })
    };
    let encode_all = || -> Result<(), EncodeError> {
        for rows in batches {
            let rows = rows?;
            for row in 0..rows.len() {
                let appended = encoder.row(&rows.cells(row), &mut write);
                appended.map_err(|error| failed(&error))?;
            }
        }
        encoder.finish(&mut write).map_err(|error| failed(&error))
    };
    let done = encode_all();
    // A sink that is closed follows from the part that was refused.
    if let Some(error) = refused {
        return Err(failed(&error));
    }
    done?;
    let appended = file.append(collector.take().content);
    appended.map_err(|error| failed(&error))?;
    let closed = file.close();
    closed
        .map(|closed| closed.output)
        .map_err(|error| failed(&error))
}

/// Writes a Parquet file with the row groups of an existing one. It has the same bytes if the same version of scale-export
/// wrote that file.
pub fn copy_row_groups(table: &'static TableInfo, input: Input) -> Result<Vec<u8>, EncodeError> {
    let copy = || {
        let layout = FileLayout::of(table)?;
        let source = SourceFile::open(layout.clone(), input)?;
        let mut file = ParquetFile::open(layout, Vec::new())?;
        for number in 0..source.row_groups() {
            file.append_row_group(source.row_group(number)?)?;
        }
        file.close()
    };
    copy().map_err(|error| EncodeError::new(table, &error))
}
