//! Errors of reading a table's file.

use std::io;

use thiserror::Error;

/// Why a table's file could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The columns are not those of the table.
    #[error("column {position} is {found}, not {expected}")]
    Column {
        /// Counted from 1.
        position: usize,
        /// Name and type in the definition of the table.
        expected: String,
        /// Name and type in the file.
        found: String,
    },
    /// A cell that scale-export does not write.
    #[error("row {row}, column `{column}`: {found} is not {expected}")]
    Cell {
        /// Counted from 1, without the header.
        row: u64,
        /// The column.
        column: &'static str,
        /// The expected value.
        expected: &'static str,
        /// The value in the file.
        found: String,
    },
    /// A record that scale-export does not write.
    #[error("row {row}: {cause}")]
    Record {
        /// Counted from 1, without the header.
        row: u64,
        /// The reason.
        cause: String,
    },
    /// The system returned an error, which says nothing about the content of the file.
    #[error("could not read it: {0}")]
    Io(io::Error),
    /// The file is damaged.
    #[error("{0}")]
    Damaged(String),
}
