//! Verifies tasks, one after the other: rebuilds each from its rows, compares it with its raw response, and compares the
//! rows with those that the response gives.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api::body_check::KEPT_BYTES;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::flatten::entity_versions::EntityVersion;
use crate::flatten::flattener::Flattener;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::compare::{FindingReporter, RowComparer, report_remaining_rows};
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::id_bitset::IdBitset;
use crate::jobs::verify::key_checks;
use crate::jobs::verify::raw_responses::{RawResponses, parse};
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::table_cursor::TableCursor;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::json::compare::{differences, same};
use crate::json::parser::Parser;
use crate::json::value::Value;
use crate::publish::digest_file::ResponseDigest;
use crate::publish::failure_lines::unusable;
use crate::rebuild::rebuilder::Rebuilder;
use crate::rebuild::row_cursor::{TableRows, TaskRows};
use crate::tables::batch_builder::BatchBuilder;
use crate::tables::definition::TABLES;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::Drift;
use crate::tables::selection::TableSelection;
use crate::tables::table::TableInfo;

/// The maximum number of differences of one task that are reported.
const MAX_REPORTED_DIFFERENCES: usize = 5;

/// About how many bytes of rows are compared at once. A missing row is searched for among these: with fewer, one misplaced
/// row would look like many.
pub(crate) const COMPARED_BYTES: usize = 256 << 10;

/// What all tasks are verified with.
#[derive(Clone, Copy)]
pub(crate) struct TaskChecks<'c> {
    pub(crate) export: VerifiedExport<'c>,
    pub(crate) ids: &'c TaskIds,
    /// IDs that are not exported.
    pub(crate) failed: &'c TaskIds,
    pub(crate) tables: TableSelection,
    /// Whether the export has all tables that a task is rebuilt from.
    pub(crate) rebuilds: bool,
    pub(crate) events: &'c Events,
    /// IDs that all threads are done with.
    pub(crate) done: &'c AtomicUsize,
}

impl TaskChecks<'_> {
    /// With the tables that the export has.
    pub(crate) fn with_tables(self, tables: TableSelection, results: &mut VerifyResults) -> Self {
        let is_part = |table: &&TableInfo| table.row_kind != RowKind::Entity;
        let missing: Vec<&str> = TABLES
            .iter()
            .filter(is_part)
            .filter(|table| !tables.contains(table.table))
            .map(|table| table.name)
            .collect();
        if !missing.is_empty() {
            let tables = missing.join(", ");
            results.add_unverified(format!("the rebuild of tasks (tables missing: {tables})"));
        }
        Self {
            tables,
            rebuilds: missing.is_empty(),
            ..self
        }
    }
}

/// What tasks give apart from findings.
pub(crate) struct VerifiedTasks {
    /// The drift of all tasks. `None` if a task could not be flattened.
    pub(crate) drift: Option<Drift>,
    /// The versions of projects and batches in a range.
    pub(crate) versions: Vec<EntityVersion>,
}

/// Verifies one task after the other.
pub(crate) struct TaskVerifier<'p> {
    checks: TaskChecks<'p>,
    pub(crate) results: &'p mut VerifyResults,
    raw: Option<RawResponses>,
    /// The digest of the raw response of the task, if it has one.
    sha256: Option<ResponseDigest>,
    /// Whether tasks are still rebuilt.
    rebuilds: bool,
    reported: IdBitset,
    flattener: Flattener,
    batches: BatchBuilder,
    rebuilder: Rebuilder,
    rebuilt: String,
    body: Vec<u8>,
    parsers: [Parser; 2],
    cells: u64,
    /// Whether every task was flattened. Only then the drift report can be compared.
    all_flattened: bool,
}

impl<'p> TaskVerifier<'p> {
    /// Starts without tasks. The flattener decides whether it verifies the whole list or a range.
    pub(crate) fn new(
        checks: TaskChecks<'p>,
        raw: Option<RawResponses>,
        flattener: Flattener,
        results: &'p mut VerifyResults,
    ) -> Self {
        Self {
            checks,
            results,
            raw,
            sha256: None,
            rebuilds: checks.rebuilds,
            reported: IdBitset::default(),
            flattener,
            batches: BatchBuilder::new(COMPARED_BYTES),
            rebuilder: Rebuilder::default(),
            rebuilt: String::new(),
            body: Vec::new(),
            parsers: [Parser::default(), Parser::default()],
            cells: 0,
            all_flattened: true,
        }
    }

    /// Verifies the tasks at these positions of the list, and passes each position to `visit`, with the digest of its
    /// raw response if it has one, until that breaks.
    pub(crate) fn tasks(
        &mut self,
        cursors: &mut [TableCursor],
        positions: Range<usize>,
        mut visit: impl FnMut(usize, Option<ResponseDigest>, &mut VerifyResults) -> ControlFlow<()>,
    ) -> Result<(), VerifyError> {
        let TaskChecks {
            export,
            ids,
            failed,
            events,
            done,
            ..
        } = self.checks;
        for position in positions {
            let Some(task_id) = ids.get(position) else {
                break;
            };
            export.stop_if_cancelled()?;
            if failed.position(task_id).is_none() {
                self.task(cursors, position, task_id)?;
                self.results.report.tasks += 1;
                cursors
                    .iter_mut()
                    .try_for_each(TableCursor::check_read_error)?;
                let sha256 = self.sha256.take();
                if visit(position, sha256, self.results).is_break() {
                    break;
                }
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
                events.send(Event::Progress {
                    done,
                    total: Some(ids.len()),
                });
            }
        }
        Ok(())
    }

    fn reporter(&mut self) -> FindingReporter<'_> {
        FindingReporter {
            ids: self.checks.ids,
            findings: &mut self.results.findings,
            reported: &self.reported,
        }
    }

    /// Whether rows are compared with what tasks give.
    fn compares(&self) -> bool {
        self.raw.is_some() || self.rebuilds
    }

    fn task(
        &mut self,
        cursors: &mut [TableCursor],
        position: usize,
        task_id: &str,
    ) -> Result<(), VerifyError> {
        let mut taken = Vec::new();
        for cursor in cursors.iter_mut().filter(|cursor| is_of_task(cursor)) {
            let rows = cursor.take(
                self.checks.ids,
                position,
                task_id,
                &mut self.results.findings,
            );
            if !self.compares() {
                for (other, path) in &rows.orphans {
                    let finding = Finding::of_task(other, path, "no row here", "one");
                    self.results.add(finding.in_column(cursor.table().name));
                }
            }
            taken.push(rows);
        }
        let mut of_tables = vec![TableRows::default(); TABLES.len()];
        for (cursor, taken) in cursors
            .iter()
            .filter(|cursor| is_of_task(cursor))
            .zip(&taken)
        {
            if let Some(place) = of_tables.get_mut(cursor.table().table as usize) {
                *place = cursor.taken(taken);
            }
        }
        let rows = TaskRows::new(of_tables);
        let mut is_reported = false;
        if self.rebuilds && cursors.iter().any(|cursor| !cursor.is_whole()) {
            // Missing rows after a place that cannot be read follow from that, and are not reported again.
            self.rebuilds = false;
            let text =
                format!("the rebuild of tasks from {task_id} on (could not read a whole table)");
            self.results.add_unverified(text);
        }
        if self.rebuilds {
            for problem in self.rebuilder.task(&rows, &mut self.rebuilt) {
                is_reported = true;
                let finding =
                    Finding::of_task(task_id, &problem.path, &problem.expected, &problem.found);
                self.results.add(finding.in_column(problem.table));
            }
        } else if self.raw.is_none() {
            key_checks::check(
                task_id,
                &rows,
                self.checks.tables,
                &mut self.results.findings,
            );
        }
        drop(rows);
        if self.raw.is_some() {
            self.results.report.raw += 1;
        }
        if self.compares() {
            self.documents(cursors, (position, task_id), is_reported)?;
        } else {
            cursors.iter_mut().for_each(TableCursor::drop_taken);
        }
        self.shrink();
        Ok(())
    }

    /// Compares the task as it was received with the task as it was rebuilt.
    fn documents(
        &mut self,
        cursors: &mut [TableCursor],
        (position, task_id): (usize, &str),
        mut is_reported: bool,
    ) -> Result<(), VerifyError> {
        let [one, other] = &mut self.parsers;
        let results = &mut *self.results;
        let mut report = |expected: &str, found: &str| {
            is_reported = true;
            results.add(Finding::of_task(task_id, "", expected, found));
        };
        let received = match &mut self.raw {
            None => None,
            Some(raw) => match raw.read(position, task_id, &mut self.body)? {
                Ok(sha256) => {
                    self.sha256 = Some(sha256);
                    match parse(task_id, one, &self.body)? {
                        Ok(document) => match unusable(task_id, Ok(document.root())) {
                            None => Some(document),
                            Some(note) => {
                                report("a raw response of this task", &note.message);
                                None
                            }
                        },
                        Err(cause) => {
                            report("a raw response in JSON", &cause.to_string());
                            None
                        }
                    }
                }
                Err(instead) => {
                    report("a raw response in the journal", &instead);
                    None
                }
            },
        };
        let rebuilt = if self.rebuilds {
            match parse(task_id, other, self.rebuilt.as_bytes())? {
                Ok(document) => Some(document),
                Err(cause) => {
                    report("valid JSON in JSON columns", &cause.to_string());
                    None
                }
            }
        } else {
            None
        };
        if let (Some(received), Some(rebuilt)) = (&received, &rebuilt) {
            self.results.report.rebuilt += 1;
            let (received, rebuilt) = (received.root(), rebuilt.root());
            if !is_reported && !same(received, rebuilt) {
                is_reported = true;
                report_differences(task_id, received, rebuilt, &mut self.results.findings);
            }
        }
        if is_reported {
            self.reported.set(position, true);
        }
        let Some(document) = received.or(rebuilt) else {
            self.reported.set(position, true);
            self.all_flattened = false;
            return Ok(());
        };
        let mut compare = RowComparer {
            cursors,
            reporter: FindingReporter {
                ids: self.checks.ids,
                findings: &mut self.results.findings,
                reported: &self.reported,
            },
            cells: &mut self.cells,
        };
        let mut sink = self.batches.sink(&mut compare);
        Ok(self.flattener.task(task_id, &document, &mut sink)?)
    }

    /// Checks the rows that are left.
    pub(crate) fn finish(
        mut self,
        cursors: &mut [TableCursor],
    ) -> Result<VerifiedTasks, VerifyError> {
        if self.compares() {
            let mut compare = RowComparer {
                cursors: &mut *cursors,
                reporter: FindingReporter {
                    ids: self.checks.ids,
                    findings: &mut self.results.findings,
                    reported: &self.reported,
                },
                cells: &mut self.cells,
            };
            self.batches.flush(&mut compare)?;
            for cursor in &mut *cursors {
                report_remaining_rows(cursor, &mut self.reporter());
            }
            self.results.report.cells += self.cells;
        } else {
            self.finish_without_tasks(cursors);
        }
        cursors
            .iter_mut()
            .try_for_each(TableCursor::check_read_error)?;
        let is_known = self.compares() && self.all_flattened;
        let (drift, versions) = self.flattener.finish_range();
        Ok(VerifiedTasks {
            drift: is_known.then_some(drift),
            versions,
        })
    }

    /// Checks the rows that are left when there is nothing to compare them with.
    fn finish_without_tasks(&mut self, cursors: &mut [TableCursor]) {
        for cursor in cursors {
            if is_of_task(cursor) {
                cursor.drop_taken();
                report_remaining_rows(cursor, &mut self.reporter());
            } else {
                cursor.drain(&mut self.results.findings);
                let name = cursor.table().name;
                self.results.add_unverified(format!(
                    "the rows of `{name}` (they need rebuilt tasks or raw responses, and there are neither)"
                ));
            }
        }
    }

    fn shrink(&mut self) {
        if self.body.capacity() > KEPT_BYTES || self.rebuilt.capacity() > KEPT_BYTES {
            self.body = Vec::new();
            self.rebuilt = String::new();
            self.parsers = [Parser::default(), Parser::default()];
        }
    }
}

/// Whether each row of this table belongs to one task. Rows of `projects` and `batches` belong to many.
fn is_of_task(cursor: &TableCursor) -> bool {
    cursor.table().row_kind != RowKind::Entity
}

fn report_differences(
    task_id: &str,
    received: Value<'_>,
    rebuilt: Value<'_>,
    findings: &mut Findings,
) {
    let mut reported = 0;
    differences(received, rebuilt, |pointer, difference| {
        let raw =
            |value: Option<Value<'_>>| value.map_or("nothing", |value| value.raw()).to_owned();
        let (expected, found) = (raw(difference.left), raw(difference.right));
        findings.add(Finding::of_task(task_id, pointer, &expected, &found));
        reported += 1;
        reported < MAX_REPORTED_DIFFERENCES
    });
}
