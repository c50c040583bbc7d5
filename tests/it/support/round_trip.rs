//! The round trip of a task: flattened, written, read, rebuilt. It uses only the library, and is shared by property
//! tests and fuzzing.

use scale_export::encode::format::Format;
use scale_export::encode::in_memory::encode;
use scale_export::encode::input::Input;
use scale_export::encode::table_reader;
use scale_export::flatten::flattener::Flattener;
use scale_export::json::compare::{differences, same};
use scale_export::json::parser::Parser;
use scale_export::rebuild::rebuilder::Rebuilder;
use scale_export::rebuild::row_cursor::{TableRows, TaskRows};
use scale_export::tables::batch_builder::{BATCH_BYTES, BatchBuilder, BatchSink};
use scale_export::tables::definition::TABLES;
use scale_export::tables::row_reader::Rows;
use scale_export::tables::row_sink::SinkError;
use scale_export::tables::schema::arrow_schema;
use scale_export::tables::table::TableInfo;

use arrow::array::RecordBatch;

/// The rows of every table, in the order of `TABLES`.
pub(crate) type Tables = Vec<Vec<Rows>>;

struct Collect(Vec<Vec<RecordBatch>>);

impl BatchSink for Collect {
    fn batch(&mut self, table: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        let at = TABLES.iter().position(|known| known.name == table.name);
        self.0[at.unwrap()].push(batch);
        Ok(())
    }
}

/// Flattens one task.
pub(crate) fn flatten(task_id: &str, json: &str) -> Vec<Vec<RecordBatch>> {
    let mut parser = Parser::default();
    let document = parser.parse(json).unwrap();
    let mut collect = Collect(vec![Vec::new(); TABLES.len()]);
    let mut flattener = Flattener::new(scale_export::tables::selection::TableSelection::all());
    let mut builder = BatchBuilder::new(BATCH_BYTES);
    let mut sink = builder.sink(&mut collect);
    flattener.task(task_id, &document, &mut sink).unwrap();
    builder.flush(&mut collect).unwrap();
    collect.0
}

/// Writes every table that has rows, and reads it. Also checks the statistics of the file.
pub(crate) fn write_and_read(format: Format, batches: Vec<Vec<RecordBatch>>) -> Tables {
    let tables = TABLES.iter().zip(batches);
    tables
        .map(|(table, batches)| {
            if batches.is_empty() {
                return Vec::new();
            }
            let bytes = encode(format, table, batches).unwrap();
            let input = Input::Bytes(bytes.into());
            let mut wrong = Vec::new();
            let mut batches = table_reader::open_checked(format, table, input, &mut wrong).unwrap();
            let rows = std::iter::from_fn(|| batches.next(&mut wrong));
            let rows = rows.map(|rows| rows.unwrap()).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", table.name);
            rows
        })
        .collect()
}

/// The same rows without a file.
pub(crate) fn as_rows(batches: Vec<Vec<RecordBatch>>) -> Tables {
    let tables = TABLES.iter().zip(batches);
    tables
        .map(|(table, batches)| {
            let rows = batches.into_iter().map(|batch| Rows::of(table, batch));
            rows.map(|rows| rows.unwrap()).collect()
        })
        .collect()
}

/// The rebuilt task, or the problems of the rows.
pub(crate) fn rebuild(tables: &Tables) -> Result<String, String> {
    let of_task = TABLES.iter().zip(tables).map(|(table, batches)| {
        let mut rows = TableRows::default();
        if !matches!(table.name, "projects" | "batches") {
            for batch in batches {
                rows.add(batch, 0, batch.len());
            }
        }
        rows
    });
    let mut json = String::new();
    let problems = Rebuilder::default().task(&TaskRows::new(of_task.collect()), &mut json);
    if problems.is_empty() {
        Ok(json)
    } else {
        Err(format!("{problems:?}"))
    }
}

/// The first difference of two JSON texts. `None` if they are the same task.
pub(crate) fn difference(expected: &str, found: &str) -> Option<String> {
    let (mut one, mut other) = (Parser::default(), Parser::default());
    let expected = one.parse(expected).unwrap().root();
    let found = match other.parse(found) {
        Ok(document) => document.root(),
        Err(error) => return Some(format!("not JSON: {error}: {found}")),
    };
    if same(expected, found) {
        return None;
    }
    let mut text = String::from("same() says no; ");
    differences(expected, found, |pointer, difference| {
        text += &format!(
            "{pointer}: {:?} became {:?}; ",
            difference.left.map(|value| value.raw()),
            difference.right.map(|value| value.raw())
        );
        true
    });
    Some(text)
}

/// Checks the whole round trip. The rebuilt task must be the same, and must give the same rows again.
pub(crate) fn check(format: Option<Format>, task_id: &str, json: &str) -> Result<(), String> {
    let batches = flatten(task_id, json);
    let tables = match format {
        Some(format) => write_and_read(format, batches.clone()),
        None => as_rows(batches.clone()),
    };
    let rebuilt = rebuild(&tables)?;
    if let Some(difference) = difference(json, &rebuilt) {
        return Err(difference);
    }
    let again = as_rows(flatten(task_id, &rebuilt));
    for ((table, left), right) in TABLES.iter().zip(&tables).zip(&again) {
        // Batches may end at other rows.
        let whole = |batches: &[Rows]| {
            let batches = batches.iter().map(Rows::batch);
            arrow::compute::concat_batches(&arrow_schema(table), batches).unwrap()
        };
        if whole(left).columns() != whole(right).columns() {
            return Err(format!(
                "`{}` differs when flattened again: {rebuilt}",
                table.name
            ));
        }
    }
    Ok(())
}
