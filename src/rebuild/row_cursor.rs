//! The rows of a task by table, and the order in which they are taken.

use std::collections::{HashMap, HashSet};

use crate::tables::cell::Cell;
use crate::tables::row_reader::Rows;
use crate::tables::table::Table;

/// Consecutive rows of one batch.
#[derive(Debug, Clone, Copy)]
struct Segment<'t> {
    rows: &'t Rows,
    from: usize,
    to: usize,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'t> {
    rows: &'t Rows,
    row: usize,
}

impl<'t> RowRef<'t> {
    /// The cell at the position of a column; nothing if it is null.
    pub fn cell(&self, column: usize) -> Option<Cell<'t>> {
        self.rows.cell(column, self.row)
    }

    /// The text of a cell; nothing if it is null or not text.
    pub fn text(&self, column: usize) -> Option<&'t str> {
        self.rows.text(column, self.row)
    }

    /// The count in a cell; nothing if it is null.
    pub(crate) fn count(&self, column: usize) -> Option<i32> {
        match self.cell(column)? {
            Cell::Int32(count) => Some(count),
            _ => None,
        }
    }
}

/// The rows of one task in one table.
#[derive(Debug, Clone, Default)]
pub struct TableRows<'t>(Vec<Segment<'t>>);

impl<'t> TableRows<'t> {
    /// Adds the rows from `from` up to, but without, `to` of a batch.
    pub fn add(&mut self, rows: &'t Rows, from: usize, to: usize) {
        if from < to {
            self.0.push(Segment { rows, from, to });
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        let lens = self.0.iter().map(|segment| segment.to - segment.from);
        lens.sum()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row at an index.
    pub fn get(&self, mut index: usize) -> Option<RowRef<'t>> {
        for segment in &self.0 {
            let len = segment.to - segment.from;
            if index < len {
                let row = segment.from + index;
                return Some(RowRef {
                    rows: segment.rows,
                    row,
                });
            }
            index -= len;
        }
        None
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'t>> {
        self.0.iter().flat_map(|segment| {
            let rows = segment.rows;
            (segment.from..segment.to).map(move |row| RowRef { rows, row })
        })
    }
}

/// The rows of one task in all tables.
#[derive(Debug, Clone)]
pub struct TaskRows<'t>(Vec<TableRows<'t>>);

impl<'t> TaskRows<'t> {
    /// Takes the rows of each table, in the order of `TABLES`. Tables that are not part of a task (`projects`,
    /// `batches`) have none.
    pub fn new(tables: Vec<TableRows<'t>>) -> Self {
        Self(tables)
    }

    /// The rows of each table.
    pub fn tables(&self) -> &[TableRows<'t>] {
        &self.0
    }
}

/// The columns that a cursor reads.
struct CursorColumns {
    path: Option<usize>,
    /// The column that marks rows that repeat another value, and its value for the other rows.
    only: Option<(usize, &'static str)>,
}

impl CursorColumns {
    fn of(table: &Rows) -> Self {
        let table = table.table();
        let source = table.table == Table::Attachments;
        Self {
            path: table.position("path"),
            only: table
                .position("source")
                .filter(|_| source)
                .map(|column| (column, "message")),
        }
    }

    /// Whether a row is needed. The files of annotation values are not: the value itself is in `value_json`.
    fn counts(&self, row: &RowRef<'_>) -> bool {
        self.only
            .is_none_or(|(column, value)| row.text(column) == Some(value))
    }
}

/// Where the row of a path was found.
pub(crate) enum RowMatch<'t> {
    /// After all rows that were taken before.
    InOrder(RowRef<'t>),
    /// Before one of them.
    Elsewhere(RowRef<'t>),
    /// There is no such row.
    Nothing,
}

/// Takes the rows of one table of a task.
pub(crate) struct RowCursor<'w, 't> {
    rows: &'w TableRows<'t>,
    columns: Option<CursorColumns>,
    next: usize,
    taken: Vec<bool>,
    /// The needed rows by path, for those that are not next. Filled when the first one is looked for.
    by_path: Option<HashMap<&'t str, Vec<usize>>>,
}

impl<'w, 't> RowCursor<'w, 't> {
    pub(crate) fn new(rows: &'w TableRows<'t>) -> Self {
        Self {
            rows,
            columns: rows.get(0).map(|row| CursorColumns::of(row.rows)),
            next: 0,
            taken: vec![false; rows.len()],
            by_path: None,
        }
    }

    fn path(&self, row: &RowRef<'t>) -> &'t str {
        let column = self.columns.as_ref().and_then(|columns| columns.path);
        // The row of a task has no column `path`; its path is the empty JSON Pointer.
        column
            .and_then(|column| row.text(column))
            .unwrap_or_default()
    }

    fn counts(&self, row: &RowRef<'t>) -> bool {
        self.columns
            .as_ref()
            .is_some_and(|columns| columns.counts(row))
    }

    /// Takes the row of a path.
    pub(crate) fn take(&mut self, path: &str) -> RowMatch<'t> {
        // Rows are nearly always in order, so the next one is looked at before any path is hashed.
        while let Some(row) = self.rows.get(self.next) {
            let is_passed = self.taken.get(self.next).copied().unwrap_or_default();
            if !is_passed && self.counts(&row) {
                break;
            }
            self.next += 1;
        }
        if let Some(row) = self.rows.get(self.next)
            && self.path(&row) == path
        {
            self.mark(self.next);
            self.next += 1;
            return RowMatch::InOrder(row);
        }
        self.take_elsewhere(path)
    }

    fn take_elsewhere(&mut self, path: &str) -> RowMatch<'t> {
        if self.by_path.is_none() {
            let mut by_path: HashMap<&str, Vec<usize>> = HashMap::new();
            for (index, row) in self.rows.iter().enumerate() {
                if self.counts(&row) {
                    by_path.entry(self.path(&row)).or_default().push(index);
                }
            }
            self.by_path = Some(by_path);
        }
        let places = self.by_path.as_ref().and_then(|by_path| by_path.get(path));
        let place = places.and_then(|places| {
            let is_free = |place: &&usize| !self.taken.get(**place).copied().unwrap_or(true);
            // Of several rows with one path the first counts, and the others are reported as doubles.
            places.iter().find(is_free).copied()
        });
        match place.and_then(|place| Some((place, self.rows.get(place)?))) {
            Some((place, row)) => {
                self.mark(place);
                if place < self.next {
                    return RowMatch::Elsewhere(row);
                }
                // Rows that were skipped are found later, out of order, or remain.
                self.next = place + 1;
                RowMatch::InOrder(row)
            }
            None => RowMatch::Nothing,
        }
    }

    fn mark(&mut self, place: usize) {
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = true;
        }
    }

    /// The number of rows, with those that are not needed.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The paths of needed rows that were not taken, and whether another row of the same path was.
    pub(crate) fn strays(&self) -> Vec<(&'t str, bool)> {
        let rows = || self.rows.iter().zip(&self.taken);
        let strays: Vec<_> = rows()
            .filter(|(row, taken)| !**taken && self.counts(row))
            .map(|(row, _)| self.path(&row))
            .collect();
        if strays.is_empty() {
            return Vec::new();
        }
        let taken: HashSet<_> = rows()
            .filter(|(_, taken)| **taken)
            .map(|(row, _)| self.path(&row))
            .collect();
        let is_double = |path| (path, taken.contains(path));
        strays.into_iter().map(is_double).collect()
    }
}
