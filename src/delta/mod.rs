//! Tables as Delta tables: each has its own directory, and a publication adds one version to each table that changed.

pub mod delta_error;
pub mod delta_lake;
pub mod delta_store;
pub mod delta_table;
pub mod file_statistics;
pub mod kernel;
