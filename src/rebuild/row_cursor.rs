//! A task's rows, table by table, and the way through them in their order. Depends on `tables`.

use std::collections::{HashMap, HashSet};

use crate::tables::definition::TABLES;
use crate::tables::row_reader::{Cell, Rows};

/// Some rows of one batch.
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
    /// The cell of a column, by the column's position; nothing when it is null.
    pub fn cell(&self, column: usize) -> Option<Cell<'t>> {
        self.rows.cell(column, self.row)
    }

    /// The text of a cell.
    pub fn text(&self, column: usize) -> Option<&'t str> {
        self.rows.text(column, self.row)
    }

    /// The count in a cell.
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
    /// Adds rows `from` to `to` of a batch.
    pub fn add(&mut self, rows: &'t Rows, from: usize, to: usize) {
        if from < to {
            self.0.push(Segment { rows, from, to });
        }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        let lens = self.0.iter().map(|segment| segment.to - segment.from);
        lens.sum()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A row by its place among them.
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

    /// All of them.
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
    /// Takes the rows of each table, in the order of `TABLES`. Tables that are no part of a task
    /// (`projects`, `batches`) have none here.
    pub fn new(tables: Vec<TableRows<'t>>) -> Self {
        Self(tables)
    }

    /// The rows of each table.
    pub fn tables(&self) -> &[TableRows<'t>] {
        &self.0
    }
}

/// What is known of a table for the task.
struct CursorColumns {
    path: Option<usize>,
    /// The column that says whether a row is only a convenience, and the value that says it is not.
    only: Option<(usize, &'static str)>,
}

impl CursorColumns {
    fn of(table: &Rows) -> Self {
        let table = table.table();
        let source = table.name == "attachments";
        Self {
            path: table.position("path"),
            only: table
                .position("source")
                .filter(|_| source)
                .map(|column| (column, "message")),
        }
    }

    /// Rows of annotations' values are a convenience: the value itself is in `value_json`.
    fn counts(&self, row: &RowRef<'_>) -> bool {
        self.only
            .is_none_or(|(column, value)| row.text(column) == Some(value))
    }
}

/// Where the row of a path was.
pub(crate) enum FoundRow<'t> {
    /// Behind all that were found before.
    InOrder(RowRef<'t>),
    /// Before one of those.
    Elsewhere(RowRef<'t>),
    /// Nowhere.
    Nothing,
}

/// Goes through one table's rows of the task.
pub(crate) struct RowCursor<'w, 't> {
    rows: &'w TableRows<'t>,
    columns: Option<CursorColumns>,
    next: usize,
    taken: Vec<bool>,
    /// Rows that were not next, by path; made when the first one is looked for.
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
        // The row of the task itself has no path, which is the pointer to the whole.
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
    pub(crate) fn take(&mut self, path: &str) -> FoundRow<'t> {
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
            return FoundRow::InOrder(row);
        }
        self.take_elsewhere(path)
    }

    fn take_elsewhere(&mut self, path: &str) -> FoundRow<'t> {
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
            places.iter().find(is_free).copied()
        });
        match place.and_then(|place| Some((place, self.rows.get(place)?))) {
            Some((place, row)) => {
                self.mark(place);
                if place < self.next {
                    return FoundRow::Elsewhere(row);
                }
                // Rows that were passed over are found later, out of their order, or by nobody.
                self.next = place + 1;
                FoundRow::InOrder(row)
            }
            None => FoundRow::Nothing,
        }
    }

    fn mark(&mut self, place: usize) {
        if let Some(taken) = self.taken.get_mut(place) {
            *taken = true;
        }
    }

    /// The number of rows, convenient ones included.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Paths of rows that nobody took, and whether another row of the same path was taken.
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

/// The place of a table in `TABLES`.
pub(crate) fn table_position(name: &str) -> usize {
    TABLES
        .iter()
        .position(|table| table.name == name)
        .unwrap_or(TABLES.len())
}
