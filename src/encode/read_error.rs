//! Errors of reading a table's file.

use std::io;

use thiserror::Error;

use crate::encode::catch_panic::CaughtPanic;

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
        cause: &'static str,
    },
    /// A record with another number of fields than the table has columns.
    #[error("row {row}: it has {found} fields, not {expected}")]
    Fields {
        /// Counted from 1, without the header.
        row: u64,
        /// The number of columns.
        expected: usize,
        /// The number of fields.
        found: usize,
    },
    /// A column of rows has another type than in the definition of the table.
    #[error("column `{0}` has another type")]
    ColumnType(&'static str),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The pages of a row group do not fit the memory that is allowed for them.
    #[error("a row group needs over 2 GiB of memory")]
    RowGroupSize,
    /// The crate that reads the format ended with a panic.
    #[error(transparent)]
    Panic(#[from] CaughtPanic),
    /// The stream that was to be decoded ended with an error.
    #[error(transparent)]
    Stream(io::Error),
    /// The system returned an error, which says nothing about the content of the file.
    #[error("could not read it: {0}")]
    Io(io::Error),
    /// The crate that reads the format reports damage, with this message.
    #[error("{0}")]
    Damaged(String),
}
