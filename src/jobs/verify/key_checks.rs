//! Checks of a task's rows for exports without some tables and without raw responses, whose tasks cannot be rebuilt.

use std::collections::HashSet;

use crate::jobs::verify::findings::{Finding, Findings};
use crate::rebuild::row_cursor::TaskRows;
use crate::tables::cell::Cell;
use crate::tables::definition::TABLES;
use crate::tables::selection::TableSelection;
use crate::tables::table::{Table, TableInfo};

/// Tables that rows of other tables refer to, and the columns that do.
const PARENTS: [(Table, &[&str]); 3] = [
    (Table::Threads, &["thread_index"]),
    (Table::Turns, &["thread_index", "turn_index"]),
    (
        Table::Messages,
        &["thread_index", "turn_index", "message_index"],
    ),
];

/// Checks that keys are unique, and that the thread, turn and message of every row exist.
pub(crate) fn check(
    task_id: &str,
    rows: &TaskRows<'_>,
    present: TableSelection,
    findings: &mut Findings,
) {
    for (table, of_table) in TABLES.iter().zip(rows.tables()) {
        let Some(path) = table.position("path") else {
            continue;
        };
        let mut seen = HashSet::new();
        for row in of_table.iter() {
            let path = row.text(path).unwrap_or_default();
            if !seen.insert(path) {
                let finding =
                    Finding::of_task(task_id, path, "one row with this key", "a second row");
                findings.add(finding.in_column(table.name));
            }
        }
    }
    for (parent, columns) in PARENTS {
        if present.contains(parent) {
            check_parent(task_id, rows, (parent, columns), findings);
        }
    }
}

fn check_parent(
    task_id: &str,
    rows: &TaskRows<'_>,
    (parent, columns): (Table, &[&str]),
    findings: &mut Findings,
) {
    let mut places = HashSet::new();
    let tables = || TABLES.iter().zip(rows.tables());
    let positions = |table: &TableInfo| {
        columns
            .iter()
            .map(|column| table.position(column))
            .collect::<Option<Vec<_>>>()
    };
    let place = |row: &crate::rebuild::row_cursor::RowRef<'_>, positions: &[usize]| {
        let index = |column: &usize| match row.cell(*column) {
            Some(Cell::Int32(index)) => Some(index),
            _ => None,
        };
        positions.iter().map(index).collect::<Option<Vec<i32>>>()
    };
    for (table, rows) in tables().filter(|(table, _)| table.table == parent) {
        if let Some(positions) = positions(table) {
            places.extend(rows.iter().filter_map(|row| place(&row, &positions)));
        }
    }
    for (table, rows) in tables().filter(|(table, _)| table.table != parent) {
        let (Some(positions), Some(path)) = (positions(table), table.position("path")) else {
            continue;
        };
        for row in rows.iter() {
            let is_orphan = place(&row, &positions).is_some_and(|place| !places.contains(&place));
            if is_orphan {
                let path = row.text(path).unwrap_or_default();
                let expected = format!("a parent row in `{}`", parent.name());
                let finding = Finding::of_task(task_id, path, &expected, "none");
                findings.add(finding.in_column(table.name));
            }
        }
    }
}
