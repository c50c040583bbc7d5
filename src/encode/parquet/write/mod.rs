//! Writes Parquet files: encodings, row groups, pages, and rows that wait in a file.

pub mod boundary_order;
pub mod chunk_builder;
pub mod chunk_statistics;
pub mod column_encoder;
pub mod column_order;
pub mod dictionary;
pub mod encoded_chunk;
pub mod file_layout;
pub mod levels;
pub mod open_page;
pub mod page_compressor;
pub mod parquet_file;
pub mod properties;
pub mod raw_page;
pub mod row_encoder;
pub mod row_group_encoder;
pub mod row_group_footer;
pub mod runs;
pub mod source_file;
pub mod value_range;
