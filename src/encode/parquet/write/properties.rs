//! Encoding, compression and statistics of each column, by the nature of its values.

use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::schema::file_metadata;
use crate::tables::table::TableInfo;

/// Maximum bytes of a dictionary of values that repeat near each other.
const DICTIONARY_BYTES: usize = 1 << 20;

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
pub(crate) const STATISTICS_BYTES: usize = 64;

/// How a column is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnSettings {
    /// Maximum bytes of its dictionary. Values after this limit are written as PLAIN, and all values are if there is no
    /// dictionary. Delta encodings would be smaller, but Daft before 0.7 cannot read a file that has one.
    pub(crate) dictionary_bytes: Option<usize>,
    pub(crate) zstd_level: i32,
    /// Whether values may repeat only far apart. Their dictionary is kept even if the first values are all different.
    pub(crate) repeats_far_apart: bool,
    /// Whether its pages have minima and maxima.
    pub(crate) has_page_bounds: bool,
}

impl ColumnSettings {
    /// The settings by the nature of a column's values.
    pub(crate) fn of(column: &ColumnInfo) -> Self {
        let (dictionary_bytes, zstd_level) = match column.column_type {
            // A dictionary of values that do not repeat would be built and discarded. Values that repeat next to each
            // other compress as well without one. Booleans take a bit each.
            ColumnType::UniqueStr | ColumnType::Bool => (None, ZSTD_LEVEL),
            // The same paths occur in every task, so they repeat far apart.
            ColumnType::Path => (Some(REPEATED_DICTIONARY_BYTES), ZSTD_LEVEL),
            // Whole texts, such as a prompt, occur in many tasks, so they repeat far apart.
            ColumnType::RepeatedStr | ColumnType::Json | ColumnType::Bytes => {
                (Some(REPEATED_DICTIONARY_BYTES), TEXT_ZSTD_LEVEL)
            }
            ColumnType::Str
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::Float64
            | ColumnType::Timestamp
            | ColumnType::StrList => (Some(DICTIONARY_BYTES), ZSTD_LEVEL),
        };
        Self {
            dictionary_bytes,
            zstd_level,
            repeats_far_apart: dictionary_bytes == Some(REPEATED_DICTIONARY_BYTES),
            has_page_bounds: KEYS.contains(&column.name),
        }
    }
}

/// The properties of a table's file. Its columns are encoded already.
pub(crate) fn properties(table: &TableInfo) -> WriterProperties {
    let mut metadata: Vec<KeyValue> = file_metadata(table)
        .into_iter()
        .map(|(key, value)| KeyValue {
            key,
            value: Some(value),
        })
        .collect();
    // A fixed order, so that the same rows give the same bytes.
    metadata.sort_by(|left, right| left.key.cmp(&right.key));
    WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(metadata))
        .build()
}
