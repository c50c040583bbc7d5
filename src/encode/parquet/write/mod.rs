//! Writes Parquet files: encodings, row groups, pages, and rows that wait in a file.

pub mod column_order;
pub mod pages;
pub mod properties;
pub mod row_groups;
pub mod rows;
pub mod spill;
pub mod writer;
