//! Parquet: the writer, the reader, and the check of statistics.

pub mod read;
pub mod read_batch;
pub mod statistics;
pub mod text_column;
pub mod write;
