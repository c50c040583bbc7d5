//! What can be wrong with a table's file. Depends on nothing.

use std::io;

use thiserror::Error;

/// Why a table's file could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Its columns are not those of the table.
    #[error("column {position} is {found}, not {expected}")]
    Column {
        /// From 1.
        position: usize,
        /// Name and type as the definition has them.
        expected: String,
        /// As the file has them.
        found: String,
    },
    /// A cell is not as this tool writes it.
    #[error("row {row}, column `{column}`: {found} is not {expected}")]
    Cell {
        /// From 1, the header not counted.
        row: u64,
        /// The column.
        column: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A record is not as this tool writes it.
    #[error("row {row}: {cause}")]
    Record {
        /// From 1, the header not counted.
        row: u64,
        /// Why.
        cause: String,
    },
    /// The system did not let it be read: this says nothing about its content.
    #[error("could not read it: {0}")]
    Io(io::Error),
    /// The file makes no sense.
    #[error("{0}")]
    Damaged(String),
}
