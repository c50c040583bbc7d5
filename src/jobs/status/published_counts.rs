//! Counts of published files: tasks by their status, and failures by their kind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::parquet::text_column::{ColumnError, each_text};
use crate::encode::table_reader;
use crate::failure_kind::FailureKind;
use crate::publish::file_names::FAILURES;
use crate::publish::manifest::Manifest;
use crate::tables::table::Table;

/// The column with the API's status.
const STATUS: &str = "status";

/// The key of tasks without a status.
const NO_STATUS: &str = "null";

/// The name of the file of `tasks`; `None` if the export has no such table.
pub(crate) fn tasks_file(manifest: &Manifest) -> Option<&str> {
    let mut tables = manifest.tables.iter();
    let (_, tasks) = tables.find(|(name, _)| name == Table::Tasks.name())?;
    Some(tasks.files.first()?.file.path.as_str())
}

/// Counts the rows of a file of `tasks` by status.
pub(crate) fn by_status(path: &Path, format: Format) -> Result<BTreeMap<String, u64>, String> {
    let mut counts = BTreeMap::new();
    let mut add = |status: Option<&str>| {
        let status = status.unwrap_or(NO_STATUS);
        // Most tasks have one of a few statuses: a new text is needed for the first of each.
        match counts.get_mut(status) {
            Some(count) => *count += 1,
            None => {
                counts.insert(status.to_owned(), 1);
            }
        }
    };
    let input = Input::at(path).map_err(|error| error.to_string())?;
    match format {
        Format::Parquet => each_parquet(input, &mut add)?,
        Format::Csv => each_csv(input, &mut add)?,
    }
    Ok(counts)
}

fn each_parquet(input: Input, add: &mut dyn FnMut(Option<&str>)) -> Result<(), String> {
    let missing = || format!("it has no column `{STATUS}`");
    let read = each_text(
        input,
        |names| {
            let position = names.iter().position(|name| name == STATUS);
            position.ok_or_else(missing)
        },
        |_, value| {
            let text = value.map(String::from_utf8_lossy);
            add(text.as_deref());
            Ok(())
        },
    );
    read.map_err(|error| match error {
        ColumnError::Type(found) => format!("its column `{STATUS}` holds {found}"),
        ColumnError::Damaged(damage) => damage.to_string(),
        ColumnError::Caller(cause) => cause,
    })
}

fn each_csv(input: Input, add: &mut dyn FnMut(Option<&str>)) -> Result<(), String> {
    let table = Table::Tasks.info();
    let column = table.columns().position(|column| column.name == STATUS);
    let column = column.unwrap_or(usize::MAX);
    let batches = table_reader::open(Format::Csv, table, input);
    for rows in batches.map_err(|error| error.to_string())? {
        let rows = rows.map_err(|error| error.to_string())?;
        for row in 0..rows.len() {
            add(rows.text(column, row));
        }
    }
    Ok(())
}

/// The part of a line of `failures.jsonl` that is counted.
#[derive(Deserialize)]
struct CountedFailure {
    kind: FailureKind,
}

/// Counts the published failures by kind.
pub(crate) fn failures_by_kind(directory: &Path) -> io::Result<BTreeMap<FailureKind, u64>> {
    let mut counts = BTreeMap::new();
    for line in BufReader::new(File::open(directory.join(FAILURES))?).lines() {
        let failure: CountedFailure = serde_json::from_str(&line?)?;
        *counts.entry(failure.kind).or_default() += 1;
    }
    Ok(counts)
}
