//! What a table is: columns, row types, schemas, SQL. One definition of every column.

pub mod batch_builder;
pub mod catalog;
pub mod column;
pub mod definition;
pub mod macros;
pub mod row_key;
pub mod row_reader;
pub mod schema;
pub mod schema_drift;
pub mod selection;
pub mod sql;
pub mod table;
