//! What the readers of all formats share: they add cells to a list of IDs.

use std::fmt;

use crate::ids::column::{NoColumn, find_column};
use crate::ids::error::{BadRecord, IdsError};
use crate::ids::position::ListPosition;
use crate::ids::task_ids::TaskIds;

/// The number of cells of a list without an ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedCells {
    /// The file, printable.
    pub file: String,
    /// The number of cells that are null, empty or white space.
    pub cells: u64,
}

impl fmt::Display for SkippedCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, cells } = self;
        let plural = if *cells == 1 { "" } else { "s" };
        write!(f, "skipped {cells} null or empty cell{plural} in `{file}`")
    }
}

/// A list that is being read.
#[derive(Debug)]
pub(crate) struct ListReader<'l> {
    /// The file, printable.
    pub(crate) name: String,
    /// The column that holds the IDs.
    pub(crate) column: &'l str,
    pub(crate) ids: &'l mut TaskIds,
    /// The number of cells without an ID.
    pub(crate) skipped: u64,
}

impl ListReader<'_> {
    /// Adds the ID of a cell, or counts a cell without an ID.
    pub(crate) fn add(
        &mut self,
        cell: Option<&str>,
        position: ListPosition,
    ) -> Result<(), IdsError> {
        // No ID has white space at either end, and spreadsheets leave it there.
        let id = cell.map(str::trim).unwrap_or_default();
        if id.is_empty() {
            self.skipped += 1;
            return Ok(());
        }
        let inserted = self.ids.insert(id);
        inserted.map_err(|cause| self.bad(position, BadRecord::Id(cause)))?;
        Ok(())
    }

    /// Like [`add`](Self::add), for bytes that should be UTF-8.
    pub(crate) fn add_bytes(
        &mut self,
        cell: Option<&[u8]>,
        position: ListPosition,
    ) -> Result<(), IdsError> {
        let cell = cell.map(std::str::from_utf8).transpose();
        let cell = cell.map_err(|_| self.bad(position, BadRecord::NotUtf8))?;
        self.add(cell, position)
    }

    pub(crate) fn bad(&self, position: ListPosition, cause: BadRecord) -> IdsError {
        IdsError::Record {
            file: self.name.clone(),
            position,
            cause,
        }
    }

    /// Returns the position of the column of IDs.
    pub(crate) fn find_column(&self, columns: &[String]) -> Result<usize, IdsError> {
        let found = find_column(self.column, || columns.iter().map(String::as_str));
        let name = |position: usize| columns.get(position).cloned().unwrap_or_default();
        let file = self.name.clone();
        let wanted = self.column.to_owned();
        found.map_err(|error| match error {
            NoColumn::Missing => IdsError::Column {
                file,
                wanted,
                columns: columns.to_vec(),
            },
            NoColumn::Ambiguous(first, second) => IdsError::Ambiguous {
                file,
                wanted,
                first: name(first),
                second: name(second),
            },
        })
    }
}
