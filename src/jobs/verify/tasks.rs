//! Verifies every task: in ranges and with several threads if the export has no findings, otherwise in order.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::encode::read_error::ReadError;
use crate::encode::table_reader;
use crate::event::{Event, Events};
use crate::flatten::flattener::Flattener;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::digest_check::DigestCheck;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::failure_list::check_failures;
use crate::jobs::verify::files::tables;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::id_list::read_list;
use crate::jobs::verify::range_workers::check_in_ranges;
use crate::jobs::verify::raw_responses::RawResponses;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::table_cursor::{input, open_cursors};
use crate::jobs::verify::task_verifier::{TaskChecks, TaskVerifier};
use crate::jobs::verify::totals::{compare_drift, compare_exported, compare_row_counts};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::tables::table::Table;

/// Checks all rows.
pub(crate) fn check(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
    events: &Events,
) -> Result<(), VerifyError> {
    events.send(Event::Phase("reading the journal"));
    let list = read_list(export, results)?;
    let of_tasks = match &list {
        Some(_) => None,
        None => list_of_tasks(export, &mut results.findings)?,
    };
    let Some(ids) = list.as_ref().or(of_tasks.as_ref()) else {
        return check_without_ids(export, results);
    };
    let mut raw = RawResponses::open(export, ids, results)?;
    let failed = check_failures(export, list.as_ref(), raw.as_mut(), results)?;
    let done = AtomicUsize::new(0);
    let checks = TaskChecks {
        export,
        ids,
        failed: &failed,
        tables: export.manifest.options.table_selection(),
        rebuilds: false,
        events,
        done: &done,
    };
    events.send(Event::Phase("rebuilding every task and comparing it"));
    // Ranges are those of the list, and findings about files make findings in ranges likely.
    if list.is_some() && results.findings.count() == 0 {
        if let Some(report) = check_in_ranges(checks, raw.as_ref())? {
            results.add_report(report);
            return Ok(());
        }
        done.store(0, Ordering::Relaxed);
    }
    check_in_order(checks, raw, results)
}

/// Verifies one task after the other.
fn check_in_order(
    checks: TaskChecks<'_>,
    raw: Option<RawResponses>,
    results: &mut VerifyResults,
) -> Result<(), VerifyError> {
    let TaskChecks { export, ids, .. } = checks;
    let manifest = export.manifest;
    let mut cursors = open_cursors(export, tables(manifest), &mut results.findings)?;
    let mut digests = DigestCheck::open(export, results);
    let tables = cursors.iter().map(|cursor| cursor.table().table).collect();
    let checks = checks.with_tables(tables, results);
    let flattener = Flattener::new(tables);
    let mut verifier = TaskVerifier::new(checks, raw, flattener, results);
    verifier.tasks(&mut cursors, 0..ids.len(), |position, sha256, results| {
        let task_id = ids.get(position).unwrap_or_default();
        digests.task(task_id, sha256, results);
        ControlFlow::Continue(())
    })?;
    digests.finish(verifier.results);
    if let Some(drift) = verifier.finish(&mut cursors)?.drift {
        compare_drift(&drift, manifest, results);
    }
    compare_exported(manifest, results);
    compare_row_counts(manifest, &cursors, results);
    Ok(())
}

/// Checks what can be checked when the tasks are unknown.
fn check_without_ids(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
) -> Result<(), VerifyError> {
    results.add_unverified(
        "the tasks of the rows (the export has neither the table `tasks` nor a list of IDs)",
    );
    let findings = &mut results.findings;
    let mut cursors = open_cursors(export, tables(export.manifest), findings)?;
    for cursor in &mut cursors {
        cursor.drain(findings);
        cursor.check_read_error()?;
    }
    check_failures(export, None, None, results)?;
    compare_row_counts(export.manifest, &cursors, results);
    Ok(())
}

/// The IDs in the table `tasks`, if the export has it. They replace a missing list.
fn list_of_tasks(
    export: VerifiedExport<'_>,
    findings: &mut Findings,
) -> Result<Option<TaskIds>, VerifyError> {
    let manifest = export.manifest;
    let mut ids = TaskIds::default();
    let format = manifest.options.format;
    let Some(table) = tables(manifest).find(|info| info.table == Table::Tasks) else {
        return Ok(None);
    };
    let path = export.directory.join(format.file_name(table.name));
    let Some(input) = input(&path)? else {
        return Ok(None);
    };
    let batches = match table_reader::open(format, table, input) {
        Err(ReadError::Io(source)) => return Err(VerifyError::Io { path, source }),
        // Reported when its rows are compared.
        Err(_) => return Ok(None),
        Ok(batches) => batches,
    };
    for rows in batches {
        let rows = match rows {
            Err(ReadError::Io(source)) => return Err(VerifyError::Io { path, source }),
            Err(_) => break,
            Ok(rows) => rows,
        };
        for row in 0..rows.len() {
            let task_id = rows.text(0, row).unwrap_or_default();
            if !ids.insert(task_id).is_ok_and(|inserted| inserted.is_new) {
                let finding = Finding::of_task(task_id, "", "a unique ID", "a repeated ID");
                findings.add(finding.in_column("tasks.task_id"));
            }
        }
    }
    Ok(Some(ids))
}
