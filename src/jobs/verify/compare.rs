//! The rows that tasks give, against the rows that are there: whole batches at once while they agree,
//! row by row and cell by cell where they do not. Depends on the files of this folder.

use std::cmp::Ordering;

use arrow::array::RecordBatch;

use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::findings::{Finding, Findings, shown};
use crate::jobs::verify::id_bitset::Positions;
use crate::jobs::verify::table_cursor::Stream;
use crate::tables::batch_builder::{BatchSink, SinkError};
use crate::tables::row_reader::Rows;
use crate::tables::table::TableInfo;

/// Rows that are looked at for one that does not stand where it should.
const LOOKED_AT: usize = 1_000;

/// Cells of one row that are told apart.
const TOLD_CELLS: usize = 3;

/// Tells what differs, but of no task twice.
pub(crate) struct Teller<'c> {
    pub(crate) ids: &'c TaskIds,
    pub(crate) findings: &'c mut Findings,
    /// Tasks that are known to differ, or that could not be flattened: nothing more is said of them.
    pub(crate) told: &'c Positions,
}

impl Teller<'_> {
    fn tell(&mut self, finding: Finding) {
        let task_id = finding.task_id.as_deref();
        let position = task_id.and_then(|task_id| self.ids.position(task_id));
        if !position.is_some_and(|position| self.told.has(position)) {
            self.findings.add(finding);
        }
    }
}

/// Takes the rows that tasks give.
pub(crate) struct Compare<'c> {
    pub(crate) streams: &'c mut [Stream],
    pub(crate) teller: Teller<'c>,
    pub(crate) cells: &'c mut u64,
}

impl BatchSink for Compare<'_> {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let expected = Rows::of(table, batch).map_err(SinkError::Column)?;
        let mut streams = self.streams.iter_mut();
        let Some(stream) = streams.find(|stream| stream.table().table == table.table) else {
            return Ok(());
        };
        *self.cells += expected.len() as u64 * table.columns().count() as u64;
        let key = Key::of(table);
        let mut at = 0;
        while at < expected.len() {
            let Some((found, row)) = stream.uncompared(self.teller.findings) else {
                if stream.is_whole() {
                    for row in at..expected.len() {
                        self.teller
                            .tell(key.finding(&expected, row, "a row", "none"));
                    }
                }
                break;
            };
            let count = (expected.len() - at).min(found.len() - row);
            let agree = agreeing(&expected, at, found, row, count);
            at += agree;
            stream.advance(agree);
            if agree < count {
                at += differing(&key, &expected, at, stream, &mut self.teller);
            }
        }
        Ok(())
    }
}

/// How many of the next rows are the same: all of them, nearly always.
fn agreeing(expected: &Rows, at: usize, found: &Rows, row: usize, count: usize) -> usize {
    if found.same(row, expected, at, count) {
        return count;
    }
    // Halving finds the first row that differs in a few looks at ever fewer rows.
    let (mut same, mut step) = (0, count);
    while step > 1 {
        step = step.div_ceil(2);
        if same + step <= count && found.same(row + same, expected, at + same, step) {
            same += step;
        }
    }
    same
}

/// One row that is not as expected; gives the expected rows that are done with.
fn differing(
    key: &Key,
    expected: &Rows,
    at: usize,
    stream: &mut Stream,
    teller: &mut Teller<'_>,
) -> usize {
    let wanted = key.get(expected, at);
    let found_at = stream
        .ahead()
        .take(LOOKED_AT)
        .position(|(rows, row)| key.get(rows, row) == wanted);
    let there = stream.ahead().next();
    let expected_at = there.and_then(|(rows, row)| {
        let there = key.get(rows, row);
        let ahead = at..expected.len().min(at + LOOKED_AT);
        ahead
            .into_iter()
            .position(|at| key.get(expected, at) == there)
    });
    if found_at == Some(0) {
        if let Some((found, row)) = stream.uncompared(teller.findings) {
            for finding in cells(key, expected, at, found, row) {
                teller.tell(finding);
            }
        }
        stream.advance(1);
        return 1;
    }
    // Rows too many come to an end where the expected one stands, rows that are missing where the row
    // that is there was expected; whichever is nearer. Otherwise one stands in the other's place.
    let far = |distance: Option<usize>| distance.unwrap_or(LOOKED_AT);
    let (too_many, missing) = match far(found_at).cmp(&far(expected_at)) {
        Ordering::Less => (far(found_at), 0),
        Ordering::Greater => (0, far(expected_at)),
        Ordering::Equal => (1, 1),
    };
    for at in at..at + missing {
        teller.tell(key.finding(expected, at, "a row here", "none"));
    }
    for _ in 0..too_many {
        if let Some((found, row)) = stream.uncompared(teller.findings) {
            teller.tell(key.finding(found, row, "no row here", "one"));
        }
        stream.advance(1);
    }
    missing
}

/// Rows that are left when every task has given its own.
pub(crate) fn leftovers(stream: &mut Stream, teller: &mut Teller<'_>) {
    let key = Key::of(stream.table());
    loop {
        let mut left = Vec::new();
        match stream.uncompared(teller.findings) {
            None => return,
            Some((found, from)) => {
                left.extend(
                    (from..found.len()).map(|row| key.finding(found, row, "no row", "one")),
                );
            }
        }
        stream.advance(left.len());
        for finding in left {
            teller.tell(finding);
        }
    }
}

/// The cells of two rows that differ.
fn cells(key: &Key, expected: &Rows, at: usize, found: &Rows, row: usize) -> Vec<Finding> {
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
    let mut told: Vec<Finding> = differing.take(TOLD_CELLS).collect();
    if told.is_empty() {
        // Whole rows are compared otherwise than cells; what one of them sees is told in any case.
        told.push(key.finding(expected, at, "another row", "this one"));
    }
    told
}

/// Where a table's key stands.
struct Key {
    table: &'static TableInfo,
    path: Option<usize>,
}

impl Key {
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
