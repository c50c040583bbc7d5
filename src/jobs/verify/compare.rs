//! Compares the rows that tasks give with the rows of the tables: whole batches while they agree, then row by row and
//! cell by cell.

use std::cmp::Ordering;

use arrow::array::RecordBatch;

use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::findings::{Finding, Findings, shown};
use crate::jobs::verify::id_bitset::IdBitset;
use crate::jobs::verify::table_cursor::TableCursor;
use crate::tables::batch_builder::BatchSink;
use crate::tables::row_reader::Rows;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// Rows that are searched for one that is not where it should be.
const SEARCHED_ROWS: usize = 1_000;

/// The maximum number of cells of one row that are reported.
const MAX_REPORTED_CELLS: usize = 3;

/// Reports what differs, once for each task.
pub(crate) struct FindingReporter<'c> {
    pub(crate) ids: &'c TaskIds,
    pub(crate) findings: &'c mut Findings,
    /// Tasks that are known to differ, or that could not be flattened. Nothing more is reported for them.
    pub(crate) reported: &'c IdBitset,
}

impl FindingReporter<'_> {
    fn report(&mut self, finding: Finding) {
        let task_id = finding.task_id.as_deref();
        let position = task_id.and_then(|task_id| self.ids.position(task_id));
        if !position.is_some_and(|position| self.reported.has(position)) {
            self.findings.add(finding);
        }
    }
}

/// Takes the rows that tasks give, and compares them.
pub(crate) struct RowComparer<'c> {
    pub(crate) cursors: &'c mut [TableCursor],
    pub(crate) reporter: FindingReporter<'c>,
    pub(crate) cells: &'c mut u64,
}

impl BatchSink for RowComparer<'_> {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let expected = Rows::of(table, batch).map_err(SinkError::Column)?;
        let mut cursors = self.cursors.iter_mut();
        let Some(cursor) = cursors.find(|cursor| cursor.table().table == table.table) else {
            return Ok(());
        };
        *self.cells += expected.len() as u64 * table.columns().count() as u64;
        let key = TableKey::of(table);
        let mut at = 0;
        while at < expected.len() {
            let Some((found, row)) = cursor.uncompared(self.reporter.findings) else {
                if cursor.is_whole() {
                    for row in at..expected.len() {
                        self.reporter
                            .report(key.finding(&expected, row, "a row", "none"));
                    }
                }
                break;
            };
            let count = (expected.len() - at).min(found.len() - row);
            let agree = count_equal_rows(&expected, at, found, row, count);
            at += agree;
            cursor.advance(agree);
            if agree < count {
                at += report_difference(&key, &expected, at, cursor, &mut self.reporter);
            }
        }
        Ok(())
    }
}

/// How many of the next rows are the same: nearly always all.
fn count_equal_rows(expected: &Rows, at: usize, found: &Rows, row: usize, count: usize) -> usize {
    if found.same(row, expected, at, count) {
        return count;
    }
    // Binary search: rows are compared in bulk, which is much faster than one by one.
    let (mut same, mut step) = (0, count);
    while step > 1 {
        step = step.div_ceil(2);
        if same + step <= count && found.same(row + same, expected, at + same, step) {
            same += step;
        }
    }
    same
}

/// Reports a row that is not as expected; returns how many expected rows that settles.
fn report_difference(
    key: &TableKey,
    expected: &Rows,
    at: usize,
    cursor: &mut TableCursor,
    reporter: &mut FindingReporter<'_>,
) -> usize {
    let wanted = key.get(expected, at);
    let found_at = cursor
        .ahead()
        .take(SEARCHED_ROWS)
        .position(|(rows, row)| key.get(rows, row) == wanted);
    let there = cursor.ahead().next();
    let expected_at = there.and_then(|(rows, row)| {
        let there = key.get(rows, row);
        let ahead = at..expected.len().min(at + SEARCHED_ROWS);
        ahead
            .into_iter()
            .position(|at| key.get(expected, at) == there)
    });
    if found_at == Some(0) {
        if let Some((found, row)) = cursor.uncompared(reporter.findings) {
            for finding in cells(key, expected, at, found, row) {
                reporter.report(finding);
            }
        }
        cursor.advance(1);
        return 1;
    }
    // Surplus rows end where the expected row is, missing rows end where the found row is expected; the nearer end
    // counts. Otherwise the row replaces the expected one.
    let far = |distance: Option<usize>| distance.unwrap_or(SEARCHED_ROWS);
    let (too_many, missing) = match far(found_at).cmp(&far(expected_at)) {
        Ordering::Less => (far(found_at), 0),
        Ordering::Greater => (0, far(expected_at)),
        Ordering::Equal => (1, 1),
    };
    for at in at..at + missing {
        reporter.report(key.finding(expected, at, "a row here", "none"));
    }
    for _ in 0..too_many {
        if let Some((found, row)) = cursor.uncompared(reporter.findings) {
            reporter.report(key.finding(found, row, "no row here", "one"));
        }
        cursor.advance(1);
    }
    missing
}

/// Reports the rows that are left when every task has given its own.
pub(crate) fn report_remaining_rows(cursor: &mut TableCursor, reporter: &mut FindingReporter<'_>) {
    let key = TableKey::of(cursor.table());
    loop {
        let mut left = Vec::new();
        match cursor.uncompared(reporter.findings) {
            None => return,
            Some((found, from)) => {
                left.extend(
                    (from..found.len()).map(|row| key.finding(found, row, "no row", "one")),
                );
            }
        }
        cursor.advance(left.len());
        for finding in left {
            reporter.report(finding);
        }
    }
}

/// The cells of two rows that differ.
fn cells(key: &TableKey, expected: &Rows, at: usize, found: &Rows, row: usize) -> Vec<Finding> {
    let table = key.table;
    let columns = table.columns().enumerate();
    let differing = columns.filter_map(|(index, column)| {
        let (expected_cell, found_cell) = (expected.cell(index, at), found.cell(index, row));
        if expected_cell == found_cell {
            return None;
        }
        let kind = column.column_type;
        let (expected_text, found_text) = shown(kind, expected_cell.as_ref(), found_cell.as_ref());
        let finding = key.finding(expected, at, &expected_text, &found_text);
        Some(finding.in_column(format!("{}.{}", table.name, column.name)))
    });
    let mut reported: Vec<Finding> = differing.take(MAX_REPORTED_CELLS).collect();
    if reported.is_empty() {
        // Rows are compared in bulk, cells one by one: a difference that only the first sees is reported too.
        reported.push(key.finding(expected, at, "an equal row", "a different row"));
    }
    reported
}

/// The columns of a table's key.
struct TableKey {
    table: &'static TableInfo,
    path: Option<usize>,
}

impl TableKey {
    fn of(table: &'static TableInfo) -> Self {
        Self {
            table,
            path: table.position("path"),
        }
    }

    fn get<'r>(&self, rows: &'r Rows, row: usize) -> (Option<&'r str>, Option<&'r str>) {
        (
            rows.text(0, row),
            self.path.and_then(|path| rows.text(path, row)),
        )
    }

    /// A finding about a row of the table.
    fn finding(&self, rows: &Rows, row: usize, expected: &str, found: &str) -> Finding {
        let (id, path) = self.get(rows, row);
        Finding::of_task(
            id.unwrap_or_default(),
            path.unwrap_or_default(),
            expected,
            found,
        )
        .in_column(self.table.name)
    }
}
