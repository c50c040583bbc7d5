//! The stages of an export. The input of a stage is prepared first, and its output is dropped.

use std::hint::black_box;

use arrow::array::RecordBatch;
use bytes::Bytes;
use scale_export::api::body_check;
use scale_export::api::body_text::BodyText;
use scale_export::encode::format::Format;
use scale_export::encode::in_memory::{encode, encode_parquet};
use scale_export::encode::parquet::write::row_group_encoder::RowGroupLimits;
use scale_export::flatten::flattener::Flattener;
use scale_export::journal::format::{FLAG_FINAL, JournalOptions, JournalRecord, RecordKind};
use scale_export::journal::location::Location;
use scale_export::journal::writer::Journal;
use scale_export::json;
use scale_export::json::document::Document;
use scale_export::json::parser::Parser;
use scale_export::rebuild::rebuilder::Rebuilder;
use scale_export::rebuild::row_cursor::{TableRows, TaskRows};
use scale_export::tables::batch_builder::{BATCH_BYTES, BatchBuilder, BatchSink};
use scale_export::tables::cell::Cell;
use scale_export::tables::definition::TABLES;
use scale_export::tables::row_reader::Rows;
use scale_export::tables::row_sink::{RowSink, SinkError};
use scale_export::tables::table::TableInfo;

/// Receives the work of a stage, and runs it any number of times.
pub(crate) type Measure<'m> = &'m mut dyn FnMut(&mut dyn FnMut());

/// A stage: prepares its input, and passes its work on all tasks to [`Measure`].
pub(crate) type Stage = fn(&[String], Measure<'_>);

/// All stages by name, in the order of an export.
pub(crate) const STAGES: [(&str, Stage); 9] = [
    ("parse", parse),
    ("check", check),
    ("flatten", flatten),
    ("parquet", parquet),
    ("cells to parquet", cells_to_parquet),
    ("csv", csv),
    ("journal append", journal_append),
    ("journal read", journal_read),
    ("rebuild", rebuild),
];

/// JSON to nodes.
fn parse(tasks: &[String], measure: Measure<'_>) {
    let mut parser = Parser::default();
    measure(&mut || {
        for task in tasks {
            black_box(parser.parse(task).unwrap().root());
        }
    });
}

/// The check of a received body: UTF-8, JSON, the requested task, final state, secrets. Includes parsing.
fn check(tasks: &[String], measure: Measure<'_>) {
    let ids: Vec<String> = tasks.iter().map(|task| task_id(task)).collect();
    let bodies: Vec<Bytes> = tasks.iter().map(|task| task.clone().into()).collect();
    let mut parser = Parser::default();
    measure(&mut || {
        for (body, id) in bodies.iter().zip(&ids) {
            let checked = BodyText::read(body.clone())
                .map_err(|(_, error)| error)
                .and_then(|body| body_check::check_task(&body, Some(id), false, &mut parser));
            black_box(checked.unwrap());
        }
    });
}

/// Nodes to rows of all tables.
fn flatten(tasks: &[String], measure: Measure<'_>) {
    let mut parsers: Vec<Parser> = tasks.iter().map(|_| Parser::default()).collect();
    let parsed: Vec<(String, Document<'_>)> = parsers
        .iter_mut()
        .zip(tasks)
        .map(|(parser, task)| (task_id(task), parser.parse(task).unwrap()))
        .collect();
    measure(&mut || {
        let mut flattener = Flattener::new(scale_export::tables::selection::TableSelection::all());
        for (id, document) in &parsed {
            flattener.task(id, document, &mut Nowhere).unwrap();
        }
        black_box(flattener.finish());
    });
}

/// Rows to files of all tables.
fn encode_all(format: Format, tasks: &[String], measure: Measure<'_>) {
    let batches = Batches::of(tasks);
    measure(&mut || {
        for (table, batches) in TABLES.iter().zip(&batches.0) {
            black_box(encode(format, table, batches.iter().cloned()).unwrap());
        }
    });
}

fn parquet(tasks: &[String], measure: Measure<'_>) {
    encode_all(Format::Parquet, tasks, measure);
}

/// Rows to files of all tables, cell by cell.
fn cells_to_parquet(tasks: &[String], measure: Measure<'_>) {
    let batches = Batches::of(tasks).0.into_iter().zip(TABLES.iter());
    let tables: Vec<(&'static TableInfo, Vec<Rows>)> = batches
        .map(|(batches, table)| {
            let rows = batches.into_iter().map(|batch| Rows::of(table, batch));
            (table, rows.collect::<Result<_, _>>().unwrap())
        })
        .collect();
    measure(&mut || {
        for (table, rows) in &tables {
            let file = encode_parquet(table, rows.iter().cloned(), RowGroupLimits::default());
            black_box(file.unwrap());
        }
    });
}

fn csv(tasks: &[String], measure: Measure<'_>) {
    encode_all(Format::Csv, tasks, measure);
}

/// Bodies to the journal: compressed, with checksums and written. Not synced, which would measure the disk.
fn journal_append(tasks: &[String], measure: Measure<'_>) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let ids: Vec<String> = tasks.iter().map(|task| task_id(task)).collect();
    measure(&mut || {
        let mut journal = Journal::create(path.clone(), &options()).unwrap();
        append(&mut journal, tasks, &ids);
        drop(journal);
        std::fs::remove_file(&path).unwrap();
    });
}

/// Bodies back from the journal, one by one.
fn journal_read(tasks: &[String], measure: Measure<'_>) {
    let place = tempfile::tempdir().unwrap();
    let ids: Vec<String> = tasks.iter().map(|task| task_id(task)).collect();
    let mut journal = Journal::create(place.path().join("journal"), &options()).unwrap();
    let locations = append(&mut journal, tasks, &ids);
    let mut reader = journal.reader();
    let mut body = Vec::new();
    measure(&mut || {
        for (id, location) in ids.iter().zip(&locations) {
            reader.read(id, *location, &mut body).unwrap();
            black_box(&body);
        }
    });
}

/// Rows to JSON, as `verify` does it.
fn rebuild(tasks: &[String], measure: Measure<'_>) {
    let rows: Vec<Vec<Rows>> = TABLES
        .iter()
        .zip(Batches::of(tasks).0)
        .map(|(table, batches)| {
            let rows = batches.into_iter().map(|batch| Rows::of(table, batch));
            rows.collect::<Result<_, _>>().unwrap()
        })
        .collect();
    let tasks_rows = by_task(tasks, &rows);
    let mut rebuilder = Rebuilder::default();
    let mut out = String::new();
    for (task, rows) in tasks.iter().zip(&tasks_rows) {
        assert_eq!(rebuilder.task(rows, &mut out), []);
        let (mut left, mut right) = (Parser::default(), Parser::default());
        let (left, right) = (left.parse(task).unwrap(), right.parse(&out).unwrap());
        assert!(
            json::compare::same(left.root(), right.root()),
            "{task}\n{out}"
        );
    }
    measure(&mut || {
        for rows in &tasks_rows {
            rebuilder.task(rows, &mut out);
            black_box(&out);
        }
    });
}

/// The rows of each task. In every table they are adjacent, in the order of the tasks.
fn by_task<'r>(tasks: &[String], tables: &'r [Vec<Rows>]) -> Vec<TaskRows<'r>> {
    let mut at = vec![(0, 0); tables.len()];
    let ids = tasks.iter().map(|task| task_id(task));
    let of_task = |id: String| {
        let tables = TABLES.iter().zip(tables).zip(&mut at);
        let rows = tables.map(|((table, batches), (batch, from))| {
            let mut rows = TableRows::default();
            // Rows of `projects` and `batches` do not belong to a task.
            let Some(column) = table.position("task_id") else {
                return rows;
            };
            while let Some(here) = batches.get(*batch) {
                let mut to = *from;
                while here.text(column, to) == Some(id.as_str()) {
                    to += 1;
                }
                rows.add(here, *from, to);
                *from = to;
                if to < here.len() {
                    break;
                }
                (*batch, *from) = (*batch + 1, 0);
            }
            rows
        });
        TaskRows::new(rows.collect())
    };
    ids.map(of_task).collect()
}

fn append(journal: &mut Journal, tasks: &[String], ids: &[String]) -> Vec<Location> {
    let mut locations = Vec::with_capacity(tasks.len());
    for (task, id) in tasks.iter().zip(ids) {
        journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 1,
            time: 0,
            task_id: id,
            body: task.as_bytes(),
            digest: None,
        });
        if journal.is_full() {
            locations.append(&mut journal.write_blocks().unwrap());
        }
    }
    locations.append(&mut journal.flush().unwrap());
    locations
}

fn options() -> JournalOptions {
    JournalOptions {
        base_url: "http://127.0.0.1:9".to_owned(),
        expand: vec![],
        opts: vec![],
        keep_secrets: false,
        copied: false,
    }
}

fn task_id(task: &str) -> String {
    let mut parser = Parser::default();
    let document = parser.parse(task).unwrap();
    let id = document.root().get("task_id").unwrap().text().unwrap();
    id.decode().into_owned()
}

struct Nowhere;

impl RowSink for Nowhere {
    fn row(&mut self, _: &'static TableInfo, cells: &[Option<Cell<'_>>]) -> Result<(), SinkError> {
        black_box(cells);
        Ok(())
    }
}

/// The batches of each table, in the order of `TABLES`.
struct Batches(Vec<Vec<RecordBatch>>);

impl Batches {
    fn of(tasks: &[String]) -> Self {
        let mut batches = Self(TABLES.iter().map(|_| Vec::new()).collect());
        let mut flattener = Flattener::new(scale_export::tables::selection::TableSelection::all());
        let mut parser = Parser::default();
        let mut builder = BatchBuilder::new(BATCH_BYTES);
        for task in tasks {
            let document = parser.parse(task).unwrap();
            let mut sink = builder.sink(&mut batches);
            flattener
                .task(&task_id(task), &document, &mut sink)
                .unwrap();
        }
        builder.flush(&mut batches).unwrap();
        batches
    }
}

impl BatchSink for Batches {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let known = TABLES.iter().position(|known| known.name == table.name);
        self.0[known.unwrap()].push(batch);
        Ok(())
    }
}
