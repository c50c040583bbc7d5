//! The commands, one file each.

pub mod export;
pub mod offline;
pub mod schema;
