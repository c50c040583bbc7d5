//! Checks the statistics of a Parquet file against its values.

pub mod bounds;
pub mod check;
pub mod compact;
pub mod compare;
pub mod format;
pub mod observed;
pub mod page_index;
pub mod pages;
pub mod wrong_statistic;
