//! The list of task IDs in order of first appearance, and a reader for each file format.

pub mod column;
pub mod error;
pub mod format;
pub mod json_list;
pub mod lines;
pub mod list;
pub mod mistake;
pub mod parquet_list;
pub mod position;
pub mod range_cutter;
pub mod read;
pub mod records;
pub mod separated;
pub mod shard;
pub mod shared_ids;
pub mod shown;
pub mod source;
pub mod task_ids;
pub mod text;
