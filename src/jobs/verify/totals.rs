//! Compares what all tasks give together with the manifest.

use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::table_cursor::TableCursor;
use crate::plural::plural;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::Manifest;
use crate::tables::schema_drift::{Drift, DriftEntry};
use crate::tables::table::TableInfo;

/// Compares the drift report.
pub(crate) fn compare_drift(drift: &Drift, manifest: &Manifest, results: &mut VerifyResults) {
    let drift = drift.entries();
    if drift == manifest.drift {
        return;
    }
    let at = drift
        .iter()
        .zip(&manifest.drift)
        .take_while(|(one, other)| one == other);
    let at = at.count();
    let entry = |entries: &[DriftEntry]| {
        let entry = entries.get(at);
        entry.map_or_else(
            || "no entry".to_owned(),
            |entry| serde_json::to_string(entry).unwrap_or_default(),
        )
    };
    let expected = format!("at index {at} of `drift` {}", entry(&drift));
    let found = entry(&manifest.drift);
    results.add(Finding::of_file(MANIFEST, &expected, &found));
}

/// Compares the number of tasks.
pub(crate) fn compare_exported(manifest: &Manifest, results: &mut VerifyResults) {
    let (expected, found) = (manifest.ids.exported, results.report.tasks);
    if found != expected {
        let expected = plural(expected, "exported task");
        results.add(Finding::of_file(MANIFEST, &expected, &found.to_string()));
    }
}

/// Compares the number of rows of every table that was read.
pub(crate) fn compare_row_counts(
    manifest: &Manifest,
    cursors: &[TableCursor],
    results: &mut VerifyResults,
) {
    for cursor in cursors {
        let rows = cursor.rows();
        results.report.rows += rows;
        if cursor.is_whole() {
            compare_row_count(manifest, cursor.table(), rows, results);
        }
    }
}

/// Compares the number of rows of a table.
pub(crate) fn compare_row_count(
    manifest: &Manifest,
    table: &TableInfo,
    rows: u64,
    results: &mut VerifyResults,
) {
    let mut entries = manifest.tables.iter();
    let entry = entries.find(|(name, _)| name == table.name);
    let expected = entry.map_or(0, |(_, entry)| entry.rows);
    if rows != expected {
        let file = manifest.options.format.file_name(table.name);
        let expected = plural(expected, "row");
        results.add(Finding::of_file(&file, &expected, &rows.to_string()));
    }
}
