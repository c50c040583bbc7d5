//! `CREATE TABLE` and load statements for SQL dialects.

pub mod dialect;
pub mod script;
