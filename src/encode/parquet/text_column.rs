//! One column of text or integers from any Parquet file, whichever program wrote it.

use std::fmt;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use thiserror::Error;

use crate::encode::catch_panic::{CaughtPanic, guarded};
use crate::encode::input::Input;

/// Values that are decoded at once. They share the memory of the page or dictionary that holds them.
const BATCH_VALUES: usize = 1_024;

/// Why a file is not a valid Parquet file. The types of the `parquet` crate stay private.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ParquetDamage(DamageCause);

#[derive(Debug, Error)]
enum DamageCause {
    /// The `parquet` crate returned an error.
    #[error(transparent)]
    Format(ParquetError),
    /// The `parquet` crate ended with a panic.
    #[error(transparent)]
    Panic(CaughtPanic),
    /// The row groups contradict the schema.
    #[error("a row group has another type than the schema")]
    ColumnType,
}

/// Why a column of text could not be read.
#[derive(Debug)]
pub enum ColumnError<E> {
    /// The column holds values of a type that is neither text nor integers.
    Type(UnusableType),
    /// The file is not a valid Parquet file.
    Damaged(ParquetDamage),
    /// The caller's error.
    Caller(E),
}

/// The type of a column that is neither text nor integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusableType {
    /// 32-bit or 64-bit floating point.
    Float,
    /// True and false.
    Boolean,
    /// Dates, times of day and timestamps.
    Time,
    /// Decimal numbers.
    Decimal,
    /// Bytes of a fixed length, UUIDs included, and encoded documents.
    Bytes,
    /// Lists, structs and maps.
    Nested,
}

impl fmt::Display for UnusableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "floating-point numbers",
            Self::Boolean => "booleans",
            Self::Time => "dates or times",
            Self::Decimal => "decimal numbers",
            Self::Bytes => "bytes that are not text",
            Self::Nested => "lists or structs",
        })
    }
}

/// How the values of a usable column become text.
#[derive(Debug, Clone, Copy)]
enum Usable {
    Text,
    Signed,
    Unsigned,
}

/// Reads one column. `choose` receives the names of the columns and returns the position of one. `see` receives
/// each value with its row, from 1; null is `None`, integers are decimal digits, and text may be invalid UTF-8.
pub fn each_text<E>(
    input: Input,
    choose: impl FnOnce(&[String]) -> Result<usize, E>,
    mut see: impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
) -> Result<(), ColumnError<E>> {
    // Statistics are for readers that skip rows.
    let options = ReadOptionsBuilder::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .build();
    let file = caught(|| SerializedFileReader::new_with_options(input, options))?;
    let schema = file.metadata().file_metadata().schema_descr();
    let fields = schema.root_schema().get_fields();
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    let field = choose(&names).map_err(ColumnError::Caller)?;
    let (leaf, usable) = usable_leaf(schema, field).map_err(ColumnError::Type)?;
    let mut row = 0;
    for group in 0..file.num_row_groups() {
        let reader = caught(|| file.get_row_group(group)?.get_column_reader(leaf))?;
        match (reader, usable) {
            (ColumnReader::ByteArrayColumnReader(reader), _) => {
                let to_text = |value: &ByteArray| value.clone();
                read_values(reader, &mut row, to_text, &mut see)
            }
            (ColumnReader::Int32ColumnReader(reader), Usable::Unsigned) => {
                let to_text = |value: &i32| digits(value.cast_unsigned());
                read_values(reader, &mut row, to_text, &mut see)
            }
            (ColumnReader::Int64ColumnReader(reader), Usable::Unsigned) => {
                let to_text = |value: &i64| digits(value.cast_unsigned());
                read_values(reader, &mut row, to_text, &mut see)
            }
            (ColumnReader::Int32ColumnReader(reader), _) => {
                read_values(reader, &mut row, |value: &i32| digits(value), &mut see)
            }
            (ColumnReader::Int64ColumnReader(reader), _) => {
                read_values(reader, &mut row, |value: &i64| digits(value), &mut see)
            }
            _ => Err(ColumnError::Damaged(ParquetDamage(DamageCause::ColumnType))),
        }?;
    }
    Ok(())
}

fn digits(number: impl fmt::Display) -> ByteArray {
    number.to_string().into_bytes().into()
}

/// Runs code of the `parquet` crate.
fn caught<T, E>(read: impl FnOnce() -> ParquetResult<T>) -> Result<T, ColumnError<E>> {
    let read = guarded(read).map_err(DamageCause::Panic);
    read.and_then(|read| read.map_err(DamageCause::Format))
        .map_err(|cause| ColumnError::Damaged(ParquetDamage(cause)))
}

/// The position of a column among the leaves of the schema, if its values can be read as text.
fn usable_leaf(schema: &SchemaDescriptor, field: usize) -> Result<(usize, Usable), UnusableType> {
    let is_usable = schema
        .root_schema()
        .get_fields()
        .get(field)
        .is_some_and(|field| {
            let info = field.get_basic_info();
            let is_list = info.has_repetition() && info.repetition() == Repetition::REPEATED;
            field.is_primitive() && !is_list
        });
    let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == field);
    let leaf = leaf.filter(|_| is_usable).ok_or(UnusableType::Nested)?;
    Ok((leaf, usable_type(&schema.column(leaf))?))
}

/// Old writers set the converted type only, and some types have a logical type only: both count.
fn usable_type(column: &ColumnDescriptor) -> Result<Usable, UnusableType> {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(_) | LogicalType::Time(_) | LogicalType::Date) => {
            return Err(UnusableType::Time);
        }
        Some(LogicalType::Decimal(_)) => return Err(UnusableType::Decimal),
        _ => {}
    }
    match (column.physical_type(), column.converted_type()) {
        (_, ConvertedType::DECIMAL) => Err(UnusableType::Decimal),
        (
            _,
            ConvertedType::DATE
            | ConvertedType::TIME_MILLIS
            | ConvertedType::TIME_MICROS
            | ConvertedType::TIMESTAMP_MILLIS
            | ConvertedType::TIMESTAMP_MICROS,
        )
        | (PhysicalType::INT96, _) => Err(UnusableType::Time),
        (PhysicalType::BYTE_ARRAY, ConvertedType::BSON)
        | (PhysicalType::FIXED_LEN_BYTE_ARRAY, _) => Err(UnusableType::Bytes),
        (PhysicalType::BYTE_ARRAY, _) => Ok(Usable::Text),
        (PhysicalType::BOOLEAN, _) => Err(UnusableType::Boolean),
        (PhysicalType::FLOAT | PhysicalType::DOUBLE, _) => Err(UnusableType::Float),
        (
            PhysicalType::INT32 | PhysicalType::INT64,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64,
        ) => Ok(Usable::Unsigned),
        (PhysicalType::INT32 | PhysicalType::INT64, _) => Ok(Usable::Signed),
    }
}

/// Reads the values of one row group.
fn read_values<T: DataType, E>(
    mut reader: ColumnReaderImpl<T>,
    row: &mut u64,
    to_text: impl Fn(&T::T) -> ByteArray,
    see: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
) -> Result<(), ColumnError<E>> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    loop {
        levels.clear();
        values.clear();
        let (records, ..) =
            caught(|| reader.read_records(BATCH_VALUES, Some(&mut levels), None, &mut values))?;
        if records == 0 {
            return Ok(());
        }
        // A column that cannot be null has no levels; in one that can, level 0 is null.
        let mut values = values.iter();
        for record in 0..records {
            let is_null = levels.get(record) == Some(&0);
            let value = if is_null { None } else { values.next() };
            *row += 1;
            let text = value.map(&to_text);
            see(*row, text.as_ref().map(ByteArray::data)).map_err(ColumnError::Caller)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, UInt64Array};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn file(column: ArrayRef, compression: Compression) -> Input {
        let batch = RecordBatch::try_from_iter([("id", column)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(1_500))
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        Input::Bytes(bytes.into())
    }

    fn texts(input: Input) -> Result<Vec<Option<String>>, ColumnError<String>> {
        let mut texts = Vec::new();
        each_text(
            input,
            |names| {
                let position = names.iter().position(|name| name == "id");
                position.ok_or_else(|| names.join(","))
            },
            |row, text| {
                assert_eq!(row, texts.len() as u64 + 1);
                texts.push(text.map(|text| String::from_utf8_lossy(text).into_owned()));
                Ok(())
            },
        )?;
        Ok(texts)
    }

    #[test]
    fn every_codec_is_read_with_its_nulls() {
        let expected: Vec<Option<String>> = (0..4_000)
            .map(|number| (number % 7 > 0).then(|| format!("task_{}", number % 900)))
            .collect();
        let column: ArrayRef = Arc::new(StringArray::from(expected.clone()));
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            // In the framing of Hadoop.
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            let found = texts(file(column.clone(), compression));
            assert_eq!(found.unwrap(), expected, "{compression:?}");
        }
    }

    #[test]
    fn integers_are_digits_and_other_types_are_named() {
        let plain = |column: ArrayRef| texts(file(column, Compression::UNCOMPRESSED));
        let signed = plain(Arc::new(Int32Array::from(vec![-1, i32::MAX]))).unwrap();
        assert_eq!(signed, [Some("-1".into()), Some("2147483647".into())]);
        let unsigned = plain(Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))).unwrap();
        assert_eq!(unsigned, [Some("18446744073709551615".into()), None]);
        let float = plain(Arc::new(Float64Array::from(vec![1.0])));
        assert!(matches!(float, Err(ColumnError::Type(UnusableType::Float))));
        let damaged = texts(Input::Bytes("PAR1PAR1".into()));
        assert!(matches!(damaged, Err(ColumnError::Damaged(_))));
    }
}
