//! The tables: the one definition of every column, and the row types, schemas and SQL that follow from it.

pub mod batch_builder;
pub mod catalog;
pub mod cell;
pub mod change_feed;
pub mod column;
pub mod column_builder;
pub mod date_time;
pub mod definition;
pub mod macros;
pub mod row_key;
pub mod row_reader;
pub mod row_sink;
pub mod schema;
pub mod schema_drift;
pub mod selection;
pub mod sql;
pub mod table;
