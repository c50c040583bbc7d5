//! Builds the tables range by range: workers flatten, encode and compress ranges, and their results are appended in the
//! order of the list.

pub mod build;
pub mod merge;
pub mod range_key;
pub mod range_list;
pub mod range_order;
pub mod range_turns;
pub mod saved_ranges;
pub mod saved_tables;
pub mod table_target;
pub mod task_source;
pub mod worker;
