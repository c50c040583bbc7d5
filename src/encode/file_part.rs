//! The parts of a table's file before compression.

use std::io;
use std::path::Path;

use thiserror::Error;

use crate::encode::parquet::write::raw_page::{ChunkEnd, RawPage};
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// A part of a table's file. The parts of a file come in order.
#[derive(Debug)]
pub(crate) enum FilePart {
    /// A page of a column, given by its position, in the current row group.
    Page(usize, RawPage),
    /// The end of a row group.
    RowGroup {
        /// What each column's chunk states. Their pages came before.
        ends: Vec<ChunkEnd>,
        /// Rows in the row group.
        rows: u64,
    },
    /// CSV records.
    Records {
        /// The records, each with its line break.
        text: String,
        /// Their number.
        rows: u64,
        /// Bytes of the longest one.
        longest: usize,
    },
}

/// Encodes the rows of one table. Appending a row neither compresses nor writes.
pub(crate) trait RowEncoder: Send {
    /// Appends a row, and passes on the parts that are complete.
    fn row(
        &mut self,
        cells: &[Option<Cell<'_>>],
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError>;

    /// Passes on what is left. No more rows follow.
    fn finish(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError>;
}

/// Why a part could not be written.
#[derive(Debug, Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The library that writes files refused it.
    #[error("{0}")]
    Library(String),
    /// The published file changed while it was copied.
    #[error("the published file changed while its rows were copied")]
    Changed,
    /// The part is one of another format.
    #[error("the part does not belong to this file")]
    Foreign,
}

impl PartError {
    /// The error of a published file.
    pub(crate) fn of_file(self, table: &'static TableInfo, path: &Path) -> OutputError {
        match self {
            Self::Io(source) => OutputError::io("write", path)(source),
            other => OutputError::Table {
                table: table.name,
                path: path.to_owned(),
                cause: other.to_string(),
            },
        }
    }
}
