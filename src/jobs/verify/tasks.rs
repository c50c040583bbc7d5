//! Verifies every task: rebuilds it from its rows, compares it with its raw response, and compares the rows with those
//! that the response gives.

use crate::api::body_check::KEPT_BYTES;
use crate::encode::read_error::ReadError;
use crate::encode::table_reader;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::flatten::flattener::Flattener;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::compare::{FindingReporter, RowComparer, report_remaining_rows};
use crate::jobs::verify::digest_check::DigestCheck;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::failure_list::check_failures;
use crate::jobs::verify::files::tables;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::id_bitset::IdBitset;
use crate::jobs::verify::journal_source::{RawResponses, parse, read_list};
use crate::jobs::verify::key_checks;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::table_cursor::{TableCursor, input};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::json::compare::{differences, same};
use crate::json::parser::Parser;
use crate::json::value::Value;
use crate::plural::plural;
use crate::publish::digest_file::ResponseDigest;
use crate::publish::failure_lines::unusable;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::Manifest;
use crate::rebuild::rebuilder::Rebuilder;
use crate::rebuild::row_cursor::{TableRows, TaskRows};
use crate::tables::batch_builder::BatchBuilder;
use crate::tables::definition::TABLES;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::DriftEntry;
use crate::tables::selection::TableSelection;
use crate::tables::table::{Table, TableInfo};

/// The maximum number of differences of one task that are reported.
const MAX_REPORTED_DIFFERENCES: usize = 5;

/// About how many bytes of rows are compared at once. A missing row is searched for among these: with fewer, one misplaced
/// row would look like many.
const COMPARED_BYTES: usize = 256 << 10;

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
    let mut cursors = open_cursors(export, &mut results.findings)?;
    let digests = DigestCheck::open(export, results);
    let mut verifier = TaskVerifier::new(&cursors, ids, results, (raw, digests));
    events.send(Event::Phase("rebuilding every task and comparing it"));
    let total = ids.len();
    let mut tasks = 0;
    for (position, task_id) in ids.iter().enumerate() {
        export.stop_if_cancelled()?;
        if failed.position(task_id).is_none() {
            tasks += 1;
            verifier.task(&mut cursors, position, task_id)?;
            cursors
                .iter_mut()
                .try_for_each(TableCursor::check_read_error)?;
        }
        if (position + 1) % TASKS_BETWEEN_EVENTS == 0 {
            events.send(Event::Progress {
                done: position + 1,
                total: Some(total),
            });
        }
    }
    std::mem::take(&mut verifier.digests).finish(verifier.results);
    verifier.finish(&mut cursors, export.manifest)?;
    cursors
        .iter_mut()
        .try_for_each(TableCursor::check_read_error)?;
    results.report.tasks = tasks;
    let exported = export.manifest.ids.exported;
    if tasks != exported {
        let expected = plural(exported, "exported task");
        results.add(Finding::of_file(MANIFEST, &expected, &tasks.to_string()));
    }
    check_row_counts(export.manifest, &cursors, results);
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
    let mut cursors = open_cursors(export, findings)?;
    for cursor in &mut cursors {
        cursor.drain(findings);
        cursor.check_read_error()?;
    }
    check_failures(export, None, None, results)?;
    check_row_counts(export.manifest, &cursors, results);
    Ok(())
}

/// Compares the number of rows of every table with the manifest.
fn check_row_counts(manifest: &Manifest, cursors: &[TableCursor], results: &mut VerifyResults) {
    let VerifyResults { findings, report } = results;
    for cursor in cursors {
        report.rows += cursor.rows();
        let name = cursor.table().name;
        let entry = manifest.tables.iter().find(|(table, _)| table == name);
        let expected = entry.map_or(0, |(_, table)| table.rows);
        if cursor.is_whole() && cursor.rows() != expected {
            let expected = plural(expected, "row");
            let file = manifest.options.format.file_name(name);
            findings.add(Finding::of_file(
                &file,
                &expected,
                &cursor.rows().to_string(),
            ));
        }
    }
}

/// Opens every table that can be read.
fn open_cursors(
    export: VerifiedExport<'_>,
    findings: &mut Findings,
) -> Result<Vec<TableCursor>, VerifyError> {
    let VerifiedExport {
        directory,
        manifest,
        ..
    } = export;
    let format = manifest.options.format;
    let mut cursors = Vec::new();
    for table in tables(manifest) {
        let mut named = manifest.tables.iter();
        if let Some((_, entry)) = named.find(|(name, _)| name == table.name) {
            cursors.extend(TableCursor::open(
                directory, format, table, entry, findings,
            )?);
        }
    }
    Ok(cursors)
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

/// Verifies one task after the other.
struct TaskVerifier<'p> {
    ids: &'p TaskIds,
    results: &'p mut VerifyResults,
    raw: Option<RawResponses>,
    digests: DigestCheck,
    /// The digest of the raw response of the task, if it has one.
    sha256: Option<ResponseDigest>,
    /// Whether the export has all tables that a task is rebuilt from.
    rebuilds: bool,
    tables: TableSelection,
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
    fn new(
        cursors: &[TableCursor],
        ids: &'p TaskIds,
        results: &'p mut VerifyResults,
        (raw, digests): (Option<RawResponses>, DigestCheck),
    ) -> Self {
        let tables: TableSelection = cursors.iter().map(|cursor| cursor.table().table).collect();
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
            ids,
            results,
            raw,
            digests,
            sha256: None,
            rebuilds: missing.is_empty(),
            tables,
            reported: IdBitset::default(),
            flattener: Flattener::new(tables),
            batches: BatchBuilder::new(COMPARED_BYTES),
            rebuilder: Rebuilder::default(),
            rebuilt: String::new(),
            body: Vec::new(),
            parsers: [Parser::default(), Parser::default()],
            cells: 0,
            all_flattened: true,
        }
    }

    fn reporter(&mut self) -> FindingReporter<'_> {
        FindingReporter {
            ids: self.ids,
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
            let rows = cursor.take(self.ids, position, task_id, &mut self.results.findings);
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
            key_checks::check(task_id, &rows, self.tables, &mut self.results.findings);
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
        let sha256 = self.sha256.take();
        self.digests.task(task_id, sha256, self.results);
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
                ids: self.ids,
                findings: &mut self.results.findings,
                reported: &self.reported,
            },
            cells: &mut self.cells,
        };
        let mut sink = self.batches.sink(&mut compare);
        Ok(self.flattener.task(task_id, &document, &mut sink)?)
    }

    /// Checks the rows that are left, and the drift report.
    fn finish(
        mut self,
        cursors: &mut [TableCursor],
        manifest: &Manifest,
    ) -> Result<(), VerifyError> {
        if !self.compares() {
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
            return Ok(());
        }
        let mut compare = RowComparer {
            cursors: &mut *cursors,
            reporter: FindingReporter {
                ids: self.ids,
                findings: &mut self.results.findings,
                reported: &self.reported,
            },
            cells: &mut self.cells,
        };
        self.batches.flush(&mut compare)?;
        let drift = self.flattener.finish().entries();
        let mut reporter = FindingReporter {
            ids: self.ids,
            findings: &mut self.results.findings,
            reported: &self.reported,
        };
        for cursor in cursors {
            report_remaining_rows(cursor, &mut reporter);
        }
        self.results.report.cells = self.cells;
        if self.all_flattened && drift != manifest.drift {
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
            self.results
                .add(Finding::of_file(MANIFEST, &expected, &found));
        }
        Ok(())
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
