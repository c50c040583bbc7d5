//! Positions in a list of IDs, for error messages.

use std::fmt;

/// The position of a record in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPosition {
    /// A line of text, from 1.
    Line(u64),
    /// A row of a Parquet file, from 1.
    Row(u64),
    /// An element of a JSON array, from 1.
    Element(u64),
}

impl fmt::Display for ListPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Row(number) => write!(f, "row {number}"),
            Self::Element(number) => write!(f, "element {number}"),
        }
    }
}
