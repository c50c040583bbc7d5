//! The structures of Parquet metadata, with the fields that scale-export writes.

use crate::encode::parquet::statistics::compact;
use crate::encode::parquet::statistics::compact::{
    Binary, ByteSpan, Compact, Decode, Malformed, Skipped, compact_structs,
};

/// Numbers of the enumerations in the format.
pub(crate) mod number {
    pub(crate) const BOOLEAN: i64 = 0;
    pub(crate) const INT32: i64 = 1;
    pub(crate) const INT64: i64 = 2;
    pub(crate) const DOUBLE: i64 = 5;
    pub(crate) const BYTE_ARRAY: i64 = 6;

    pub(crate) const ZSTD: i64 = 6;

    pub(crate) const PLAIN: i64 = 0;
    pub(crate) const RLE: i64 = 3;
    pub(crate) const RLE_DICTIONARY: i64 = 8;

    pub(crate) const DATA_PAGE: i64 = 0;
    pub(crate) const DICTIONARY_PAGE: i64 = 2;

    pub(crate) const UNORDERED: i64 = 0;
    pub(crate) const ASCENDING: i64 = 1;
    pub(crate) const DESCENDING: i64 = 2;
}

compact_structs! {
    /// The footer. Its schema and key-value metadata are checked when a table is opened.
    FileMetaData {
        1 version: i64,
        2 schema: Skipped,
        3 num_rows: i64,
        4 row_groups: Vec<ByteSpan>,
        5 key_value_metadata: Skipped,
        6 created_by: Skipped,
        7 column_orders: Vec<ColumnOrder>,
    }

    /// A union: one of the two fields is present.
    ColumnOrder {
        1 type_defined: Skipped,
        2 ieee_754_total: Skipped,
    }

    RowGroup {
        1 columns: Vec<ByteSpan>,
        2 total_byte_size: i64,
        3 num_rows: i64,
        5 file_offset: i64,
        6 total_compressed_size: i64,
        7 ordinal: i64,
    }

    ColumnChunk {
        2 file_offset: i64,
        3 meta_data: ColumnMetaData,
        4 offset_index_offset: i64,
        5 offset_index_length: i64,
        6 column_index_offset: i64,
        7 column_index_length: i64,
    }

    ColumnMetaData {
        1 physical_type: i64,
        2 encodings: Vec<i64>,
        3 path_in_schema: Vec<Binary>,
        4 codec: i64,
        5 num_values: i64,
        6 total_uncompressed_size: i64,
        7 total_compressed_size: i64,
        9 data_page_offset: i64,
        11 dictionary_page_offset: i64,
        12 statistics: Statistics,
        13 encoding_stats: Vec<PageEncodingStats>,
        16 size_statistics: SizeStatistics,
    }

    Statistics {
        1 max: Binary,
        2 min: Binary,
        3 null_count: i64,
        4 distinct_count: i64,
        5 max_value: Binary,
        6 min_value: Binary,
        7 is_max_value_exact: bool,
        8 is_min_value_exact: bool,
        9 nan_count: i64,
    }

    PageEncodingStats {
        1 page_type: i64,
        2 encoding: i64,
        3 count: i64,
    }

    SizeStatistics {
        1 unencoded_byte_array_data_bytes: i64,
        2 repetition_level_histogram: Vec<i64>,
        3 definition_level_histogram: Vec<i64>,
    }

    PageHeader {
        1 page_type: i64,
        2 uncompressed_page_size: i64,
        3 compressed_page_size: i64,
        4 crc: i64,
        5 data_page: DataPageHeader,
        7 dictionary_page: DictionaryPageHeader,
    }

    DataPageHeader {
        1 num_values: i64,
        2 encoding: i64,
        3 definition_level_encoding: i64,
        4 repetition_level_encoding: i64,
    }

    DictionaryPageHeader {
        1 num_values: i64,
        2 encoding: i64,
        3 is_sorted: bool,
    }

    ColumnIndex {
        1 null_pages: Vec<bool>,
        2 min_values: Vec<Binary>,
        3 max_values: Vec<Binary>,
        4 boundary_order: i64,
        5 null_counts: Vec<i64>,
        6 repetition_level_histograms: Vec<i64>,
        7 definition_level_histograms: Vec<i64>,
        8 nan_counts: Vec<i64>,
    }

    OffsetIndex {
        1 page_locations: Vec<PageLocation>,
        2 unencoded_byte_array_data_bytes: Vec<i64>,
    }

    PageLocation {
        1 offset: i64,
        2 compressed_page_size: i64,
        3 first_row_index: i64,
    }
}
