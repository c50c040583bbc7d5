//! Encoding, compression and statistics of each column, by the nature of its values.

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::schema::file_metadata;
use crate::tables::table::TableInfo;

/// Level for short values. At level 3, all tables together would be 5% larger.
const ZSTD_LEVEL: i32 = 1;

/// Level for long texts, which are 6% smaller than at level 1. Higher levels take several times as long to save a few
/// percent.
const TEXT_ZSTD_LEVEL: i32 = 3;

/// Maximum bytes of a dictionary for values that repeat far apart, where compression does not find them. Values after
/// this limit are written without a dictionary. Readers hold a dictionary in memory.
const REPEATED_DICTIONARY_BYTES: usize = 4 << 20;

/// Columns for lookups and joins. Their pages have statistics, so that readers can skip pages. Statistics of all
/// columns would only make footers larger, in the file and in memory until the file is complete.
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

/// In the form that the Parquet format defines: older readers ignore statistics without it.
const CREATED_BY: &str = concat!("scale-export version ", env!("CARGO_PKG_VERSION"));

/// Bytes of a minimum or maximum, longer values are shortened: readers need no more to skip a page.
const STATISTICS_BYTES: usize = 64;

/// The properties of a table's file.
pub(crate) fn properties(table: &TableInfo) -> Result<WriterProperties, ParquetError> {
    let mut metadata: Vec<KeyValue> = file_metadata(table)
        .into_iter()
        .map(|(key, value)| KeyValue {
            key,
            value: Some(value),
        })
        .collect();
    // A fixed order, so that the same rows give the same bytes.
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

/// Sets encodings by the nature of a column's values.
///
/// Values that exceed their dictionary are written as PLAIN. Delta encodings would be smaller, but Daft before 0.7
/// cannot read a file that has one.
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
        // A dictionary of values that do not repeat would be built and discarded. Values that repeat next to each other
        // compress as well without one.
        ColumnType::UniqueStr => builder.set_column_dictionary_enabled(path, false),
        // The same paths occur in every task, so they repeat far apart.
        ColumnType::Path => {
            builder.set_column_dictionary_page_size_limit(path, REPEATED_DICTIONARY_BYTES)
        }
        // Whole texts, such as a prompt, occur in many tasks, so they repeat far apart.
        ColumnType::RepeatedStr | ColumnType::Json | ColumnType::Bytes => builder
            .set_column_compression(path.clone(), Compression::ZSTD(text_level))
            .set_column_dictionary_page_size_limit(path, REPEATED_DICTIONARY_BYTES),
        _ => builder,
    }
}
