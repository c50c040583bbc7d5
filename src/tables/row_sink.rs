//! Where rows go: the interface between flattening and the files, or a comparison.

use arrow::error::ArrowError;
use thiserror::Error;

use crate::tables::cell::Cell;
use crate::tables::table::{Table, TableInfo};

/// Why a sink did not take a row.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The rows are not a valid batch.
    #[error(transparent)]
    Batch(#[from] ArrowError),
    /// A cell does not have the type of its column, or is null although the column is required.
    #[error("column `{0}` has a cell of another type, or none where it needs one")]
    Column(&'static str),
    /// The sink has ended, and reports its own error.
    #[error("the sink takes no more rows")]
    Closed,
}

/// Takes the rows of all tables. The rows of one table come in their order.
pub trait RowSink {
    /// Takes one row: a cell for each column of the table, in order.
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError>;
}

/// A row of a table, as `tables!` defines it.
pub(crate) trait TableRow {
    /// The table.
    const TABLE: Table;

    /// Passes the cells to a sink.
    fn pass_to(&self, sink: &mut dyn RowSink) -> Result<(), SinkError>;
}
