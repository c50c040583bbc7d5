//! Every task: its rows together, rebuilt, compared with its raw response, and its rows compared with
//! those that the response gives. Depends on the files of this folder, `flatten` and `rebuild`.

use crate::api::body_check::KEPT_BYTES;
use crate::encode::read_error::ReadError;
use crate::encode::table_reader;
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::flatten::flattener::Flattener;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::compare::{Compare, Teller, leftovers};
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::failure_list::check_failures;
use crate::jobs::verify::files::tables;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::id_bitset::Positions;
use crate::jobs::verify::journal_source::{RawResponses, parse, read_list};
use crate::jobs::verify::key_checks;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::table_cursor::{Stream, input};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::json::compare::{differences, same};
use crate::json::document::Parser;
use crate::json::value::Value;
use crate::publish::failure_lines::unusable;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::Manifest;
use crate::rebuild::rebuilder::Rebuilder;
use crate::rebuild::row_cursor::{TableRows, TaskRows};
use crate::tables::definition::TABLES;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::DriftEntry;
use crate::tables::selection::TableSelection;

/// Differences of one task that are told one by one.
const TOLD_DIFFERENCES: usize = 5;

/// Bytes of rows that are compared at once, about. A row that is missing is looked for among these: with few of them, one
/// that stands elsewhere would look like many.
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
    let mut streams = open_streams(export, &mut results.findings)?;
    let mut proof = Proof::new(&streams, ids, results, raw);
    events.send(Event::Phase("rebuilding every task and comparing it"));
    let total = ids.len();
    let mut tasks = 0;
    for (position, task_id) in ids.iter().enumerate() {
        export.stop_if_cancelled()?;
        if failed.position(task_id).is_none() {
            tasks += 1;
            proof.task(&mut streams, position, task_id)?;
            streams.iter_mut().try_for_each(Stream::settle)?;
        }
        if (position + 1) % TASKS_BETWEEN_EVENTS == 0 {
            events.send(Event::Progress {
                done: position + 1,
                total: Some(total),
            });
        }
    }
    proof.finish(&mut streams, export.manifest)?;
    streams.iter_mut().try_for_each(Stream::settle)?;
    results.report.tasks = tasks;
    let exported = export.manifest.ids.exported;
    if tasks != exported {
        let expected = format!("{exported} exported tasks");
        results.add(Finding::of_file(MANIFEST, &expected, &tasks.to_string()));
    }
    check_row_counts(export.manifest, &streams, results);
    Ok(())
}

/// Checks what can be checked where nothing says which tasks there are.
fn check_without_ids(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
) -> Result<(), VerifyError> {
    results.add_unproven(
        "that rows belong to tasks: the export has no tasks, and there is no list of IDs",
    );
    let findings = &mut results.findings;
    let mut streams = open_streams(export, findings)?;
    for stream in &mut streams {
        stream.drain(findings);
        stream.settle()?;
    }
    check_failures(export, None, None, results)?;
    check_row_counts(export.manifest, &streams, results);
    Ok(())
}

/// Has every table the rows that the manifest says?
fn check_row_counts(manifest: &Manifest, streams: &[Stream], results: &mut VerifyResults) {
    let VerifyResults { findings, report } = results;
    for stream in streams {
        report.rows += stream.rows();
        let name = stream.table().name;
        let entry = manifest.tables.iter().find(|(table, _)| table == name);
        let expected = entry.map_or(0, |(_, table)| table.rows);
        if stream.is_whole() && stream.rows() != expected {
            let expected = format!("{expected} rows");
            let file = manifest.options.format.file_name(name);
            findings.add(Finding::of_file(
                &file,
                &expected,
                &stream.rows().to_string(),
            ));
        }
    }
}

/// Opens every table that can be read.
fn open_streams(
    export: VerifiedExport<'_>,
    findings: &mut Findings,
) -> Result<Vec<Stream>, VerifyError> {
    let VerifiedExport {
        directory,
        manifest,
        ..
    } = export;
    let format = manifest.options.format;
    let mut streams = Vec::new();
    for table in tables(manifest) {
        let mut named = manifest.tables.iter();
        if let Some((_, entry)) = named.find(|(name, _)| name == table.name) {
            streams.extend(Stream::open(directory, format, table, entry, findings)?);
        }
    }
    Ok(streams)
}

/// Without the list, the tasks' own table says which there are, if the export has it.
fn list_of_tasks(
    export: VerifiedExport<'_>,
    findings: &mut Findings,
) -> Result<Option<TaskIds>, VerifyError> {
    let manifest = export.manifest;
    let mut ids = TaskIds::default();
    let format = manifest.options.format;
    let Some(table) = tables(manifest).find(|table| table.name == "tasks") else {
        return Ok(None);
    };
    let path = export.directory.join(format.file_name(table.name));
    let Some(input) = input(&path)? else {
        return Ok(None);
    };
    let batches = match table_reader::open(format, table, input) {
        Err(ReadError::Io(source)) => return Err(VerifyError::Io { path, source }),
        // Told when its rows are compared.
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
                let finding =
                    Finding::of_task(task_id, "", "an ID of its own", "one that is there already");
                findings.add(finding.in_column("tasks.task_id"));
            }
        }
    }
    Ok(Some(ids))
}

/// What is carried from task to task.
struct Proof<'p> {
    ids: &'p TaskIds,
    results: &'p mut VerifyResults,
    raw: Option<RawResponses>,
    /// Are all tables there that a task is rebuilt from?
    rebuilds: bool,
    present: Vec<bool>,
    told: Positions,
    flattener: Flattener,
    rebuilder: Rebuilder,
    rebuilt: String,
    body: Vec<u8>,
    parsers: [Parser; 2],
    cells: u64,
    /// Was every task flattened again? Only then the drift report can be compared.
    all_flattened: bool,
}

impl<'p> Proof<'p> {
    fn new(
        streams: &[Stream],
        ids: &'p TaskIds,
        results: &'p mut VerifyResults,
        raw: Option<RawResponses>,
    ) -> Self {
        let tables: TableSelection = streams.iter().map(|stream| stream.table().table).collect();
        let is_part = |table: &&crate::tables::table::TableInfo| table.row_kind != RowKind::Entity;
        let missing: Vec<&str> = TABLES
            .iter()
            .filter(is_part)
            .filter(|table| !tables.contains(table.table))
            .map(|table| table.name)
            .collect();
        if !missing.is_empty() {
            let tables = missing.join(", ");
            results.add_unproven(format!(
                "that tasks can be rebuilt: the export has no {tables}"
            ));
        }
        Self {
            ids,
            results,
            raw,
            rebuilds: missing.is_empty(),
            present: TABLES
                .iter()
                .map(|table| tables.contains(table.table))
                .collect(),
            told: Positions::default(),
            flattener: Flattener::with_batches(tables, COMPARED_BYTES),
            rebuilder: Rebuilder::default(),
            rebuilt: String::new(),
            body: Vec::new(),
            parsers: [Parser::default(), Parser::default()],
            cells: 0,
            all_flattened: true,
        }
    }

    fn teller(&mut self) -> Teller<'_> {
        Teller {
            ids: self.ids,
            findings: &mut self.results.findings,
            told: &self.told,
        }
    }

    /// Are rows compared with what tasks give?
    fn compares(&self) -> bool {
        self.raw.is_some() || self.rebuilds
    }

    fn task(
        &mut self,
        streams: &mut [Stream],
        position: usize,
        task_id: &str,
    ) -> Result<(), VerifyError> {
        let mut taken = Vec::new();
        for stream in streams.iter_mut().filter(|stream| is_of_task(stream)) {
            let rows = stream.take(self.ids, position, task_id, &mut self.results.findings);
            if !self.compares() {
                for (other, path) in &rows.orphans {
                    let finding = Finding::of_task(other, path, "no row here", "one");
                    self.results.add(finding.in_column(stream.table().name));
                }
            }
            taken.push(rows);
        }
        let mut of_tables = vec![TableRows::default(); TABLES.len()];
        for (stream, taken) in streams
            .iter()
            .filter(|stream| is_of_task(stream))
            .zip(&taken)
        {
            let at = TABLES
                .iter()
                .position(|table| table.name == stream.table().name);
            if let Some(place) = at.and_then(|at| of_tables.get_mut(at)) {
                *place = stream.taken(taken);
            }
        }
        let rows = TaskRows::new(of_tables);
        let mut is_told = false;
        if self.rebuilds && streams.iter().any(|stream| !stream.is_whole()) {
            // What is missing behind a place that cannot be read follows from that, and is not told again.
            self.rebuilds = false;
            let text = format!(
                "that tasks from {task_id} on can be rebuilt: a table cannot be read further"
            );
            self.results.add_unproven(text);
        }
        if self.rebuilds {
            for problem in self.rebuilder.task(&rows, &mut self.rebuilt) {
                is_told = true;
                let finding =
                    Finding::of_task(task_id, &problem.path, &problem.expected, &problem.found);
                self.results.add(finding.in_column(problem.table));
            }
        } else if self.raw.is_none() {
            key_checks::check(task_id, &rows, &self.present, &mut self.results.findings);
        }
        drop(rows);
        if self.raw.is_some() {
            self.results.report.raw += 1;
        }
        if self.compares() {
            self.documents(streams, (position, task_id), is_told)?;
        } else {
            streams.iter_mut().for_each(Stream::drop_taken);
        }
        self.shrink();
        Ok(())
    }

    /// The task as it was received and as it was rebuilt.
    fn documents(
        &mut self,
        streams: &mut [Stream],
        (position, task_id): (usize, &str),
        mut is_told: bool,
    ) -> Result<(), VerifyError> {
        let [one, other] = &mut self.parsers;
        let received = match &mut self.raw {
            None => None,
            Some(raw) => match raw.read(position, task_id, &mut self.body)? {
                Ok(()) => match parse(task_id, one, &self.body)? {
                    Ok(document) => match unusable(task_id, Ok(document.root())) {
                        None => Some(document),
                        Some(note) => {
                            is_told = true;
                            let expected = "a raw response of this task";
                            let finding = Finding::of_task(task_id, "", expected, &note.message);
                            self.results.add(finding);
                            None
                        }
                    },
                    Err(cause) => {
                        is_told = true;
                        let finding =
                            Finding::of_task(task_id, "", "a raw response that is JSON", &cause);
                        self.results.add(finding);
                        None
                    }
                },
                Err(instead) => {
                    is_told = true;
                    let finding =
                        Finding::of_task(task_id, "", "a raw response in the journal", &instead);
                    self.results.add(finding);
                    None
                }
            },
        };
        let rebuilt = if self.rebuilds {
            match parse(task_id, other, self.rebuilt.as_bytes())? {
                Ok(document) => Some(document),
                Err(cause) => {
                    is_told = true;
                    let finding = Finding::of_task(task_id, "", "JSON in its JSON columns", &cause);
                    self.results.add(finding);
                    None
                }
            }
        } else {
            None
        };
        if let (Some(received), Some(rebuilt)) = (&received, &rebuilt) {
            self.results.report.rebuilt += 1;
            let (received, rebuilt) = (received.root(), rebuilt.root());
            if !is_told && !same(received, rebuilt) {
                is_told = true;
                tell_differences(task_id, received, rebuilt, &mut self.results.findings);
            }
        }
        if is_told {
            self.told.set(position, true);
        }
        let Some(document) = received.or(rebuilt) else {
            self.told.set(position, true);
            self.all_flattened = false;
            return Ok(());
        };
        let mut compare = Compare {
            streams,
            teller: Teller {
                ids: self.ids,
                findings: &mut self.results.findings,
                told: &self.told,
            },
            cells: &mut self.cells,
        };
        Ok(self.flattener.task(task_id, &document, &mut compare)?)
    }

    /// The rows that are left, and the drift report.
    fn finish(mut self, streams: &mut [Stream], manifest: &Manifest) -> Result<(), VerifyError> {
        if !self.compares() {
            for stream in streams {
                if is_of_task(stream) {
                    stream.drop_taken();
                    leftovers(stream, &mut self.teller());
                } else {
                    stream.drain(&mut self.results.findings);
                    let name = stream.table().name;
                    self.results.add_unproven(format!(
                        "that `{name}` follows from the tasks: neither they nor the raw responses are there"
                    ));
                }
            }
            return Ok(());
        }
        let mut compare = Compare {
            streams: &mut *streams,
            teller: Teller {
                ids: self.ids,
                findings: &mut self.results.findings,
                told: &self.told,
            },
            cells: &mut self.cells,
        };
        let drift = self.flattener.finish(&mut compare)?.entries();
        let mut teller = Teller {
            ids: self.ids,
            findings: &mut self.results.findings,
            told: &self.told,
        };
        for stream in streams {
            leftovers(stream, &mut teller);
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
                    || "nothing more".to_owned(),
                    |entry| serde_json::to_string(entry).unwrap_or_default(),
                )
            };
            let expected = format!("at {at} in `drift` {}", entry(&drift));
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

/// Do tasks take rows from this table? Those of `projects` and `batches` belong to many.
fn is_of_task(stream: &Stream) -> bool {
    stream.table().row_kind != RowKind::Entity
}

fn tell_differences(
    task_id: &str,
    received: Value<'_>,
    rebuilt: Value<'_>,
    findings: &mut Findings,
) {
    let mut told = 0;
    differences(received, rebuilt, |pointer, difference| {
        let raw =
            |value: Option<Value<'_>>| value.map_or("nothing", |value| value.raw()).to_owned();
        let (expected, found) = (raw(difference.left), raw(difference.right));
        findings.add(Finding::of_task(task_id, pointer, &expected, &found));
        told += 1;
        told < TOLD_DIFFERENCES
    });
}
