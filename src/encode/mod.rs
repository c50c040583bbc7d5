//! Encodes rows as bytes of Parquet and CSV files, and decodes them.

pub mod batches;
pub mod catch_panic;
pub mod csv;
pub mod file_part;
pub mod format;
pub mod in_memory;
pub mod input;
pub mod kept_bytes;
pub mod parquet;
pub mod part_collector;
pub mod read_error;
pub mod region_writer;
pub mod rows_encoder;
pub mod source_table;
pub mod spill;
pub mod table_file;
pub mod table_parts;
pub mod table_reader;
pub mod table_writers;
pub mod writer_sink;
