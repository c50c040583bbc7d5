//! Damages a published table. Cells are text in both formats, and null differs from the empty string.

use std::fs;
use std::path::{Path, PathBuf};

use scale_export::encode::format::Format;
use scale_export::encode::in_memory::encode;
use scale_export::encode::input::Input;
use scale_export::encode::table_reader;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A cell. `None` is null.
pub(crate) type Cell = Option<String>;

/// All rows of a table.
pub(crate) struct Table {
    name: String,
    format: Format,
    columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// The first cell, mostly the task's ID, of the row that was changed last.
    pub(crate) changed: Option<String>,
}

fn read(format: Format, name: &str, content: Vec<u8>) -> Vec<arrow::array::RecordBatch> {
    let table = scale_export::tables::table::Table::find(name)
        .unwrap()
        .info();
    let rows = table_reader::open(format, table, Input::Bytes(content.into())).unwrap();
    rows.map(|rows| rows.unwrap().batch().clone()).collect()
}

impl Table {
    pub(crate) fn load(out: &Path, format: Format, name: &str) -> Self {
        let content = fs::read(out.join(format.file_name(name))).unwrap();
        let table = scale_export::tables::table::Table::find(name)
            .unwrap()
            .info();
        let csv = encode(Format::Csv, table, read(format, name, content)).unwrap();
        let mut records = records(&String::from_utf8(csv).unwrap()).into_iter();
        let columns = records.next().unwrap().into_iter().flatten().collect();
        Self {
            name: name.to_owned(),
            format,
            columns,
            rows: records.collect(),
            changed: None,
        }
    }

    /// Writes the table and updates the manifest, as an attacker would.
    pub(crate) fn save(&self, out: &Path) {
        let csv = csv(&self.columns, &self.rows).into_bytes();
        let content = match self.format {
            Format::Csv => csv,
            Format::Parquet => {
                let table = scale_export::tables::table::Table::find(&self.name)
                    .unwrap()
                    .info();
                encode(Format::Parquet, table, read(Format::Csv, &self.name, csv)).unwrap()
            }
        };
        let file = self.format.file_name(&self.name);
        fs::write(out.join(&file), content).unwrap();
        let rows = self.rows.len();
        edit_manifest(out, |manifest| {
            let table = &mut manifest["tables"][&self.name];
            table["rows"] = json!(rows);
            table["files"][0]["rows"] = json!(rows);
        });
        refresh(out, &file);
    }

    fn column(&self, name: &str) -> usize {
        let column = self.columns.iter().position(|column| column == name);
        column.unwrap_or_else(|| panic!("{} has no column {name}", self.name))
    }

    /// The cells of a column.
    pub(crate) fn cells(&self, column: &str) -> Vec<Cell> {
        let column = self.column(column);
        self.rows.iter().map(|row| row[column].clone()).collect()
    }

    /// Changes the first cell of a column for which `change` returns another value.
    pub(crate) fn change(&mut self, column: &str, change: impl Fn(Option<&str>) -> Option<Cell>) {
        let index = self.column(column);
        let changed = self.rows.iter_mut().find_map(|row| {
            let new = change(row[index].as_deref())?;
            assert_ne!(row[index], new);
            row[index] = new;
            row[0].clone()
        });
        assert!(
            changed.is_some(),
            "no cell of {}.{column} can be changed so",
            self.name
        );
        self.changed = changed;
    }

    /// Changes one cell.
    pub(crate) fn set(&mut self, row: usize, column: &str, cell: Cell) {
        let column = self.column(column);
        self.rows[row][column] = cell;
    }

    /// Bytes of consecutive rows in CSV.
    pub(crate) fn csv_bytes(&self, rows: std::ops::Range<usize>) -> usize {
        csv(&self.columns, &self.rows[rows]).len() - csv(&self.columns, &[]).len()
    }

    /// The first row whose cell in a column meets the condition.
    pub(crate) fn find(&self, column: &str, is: impl Fn(Option<&str>) -> bool) -> usize {
        let column = self.column(column);
        let found = self.rows.iter().position(|row| is(row[column].as_deref()));
        found.unwrap_or_else(|| panic!("no such row in {}", self.name))
    }
}

/// Changes the manifest.
pub(crate) fn edit_manifest(out: &Path, edit: impl FnOnce(&mut Value)) {
    let path = out.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
}

/// Updates the size and checksum of a file in the manifest.
pub(crate) fn refresh(out: &Path, file: &str) {
    let content = fs::read(out.join(file)).unwrap();
    let sha256 = scale_export::hex::encode(&Sha256::digest(&content));
    edit_manifest(out, |manifest| {
        let mut entries = vec![];
        let (mut ids, mut tables, mut files) = (json!(null), json!(null), json!(null));
        std::mem::swap(&mut ids, &mut manifest["ids"]);
        std::mem::swap(&mut tables, &mut manifest["tables"]);
        std::mem::swap(&mut files, &mut manifest["files"]);
        entries.push(&mut ids);
        for table in tables.as_object_mut().unwrap().values_mut() {
            entries.extend(table["files"].as_array_mut().unwrap());
        }
        entries.extend(files.as_array_mut().unwrap());
        for entry in entries.into_iter().filter(|entry| entry["path"] == file) {
            entry["bytes"] = json!(content.len());
            entry["sha256"] = json!(sha256);
        }
        manifest["ids"] = ids;
        manifest["tables"] = tables;
        manifest["files"] = files;
    });
}

/// Copies an export, state included.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn records(csv: &str) -> Vec<Vec<Cell>> {
    let mut records = vec![];
    let mut record: Vec<Cell> = vec![];
    let mut rest = csv;
    while !rest.is_empty() {
        let cell = if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut inside = quoted;
            loop {
                let (part, behind) = inside.split_once('"').unwrap();
                text += part;
                inside = behind;
                match inside.strip_prefix('"') {
                    Some(behind) => {
                        text.push('"');
                        inside = behind;
                    }
                    None => break,
                }
            }
            rest = inside;
            Some(text)
        } else {
            let end = rest.find([',', '\n']).unwrap();
            let text = &rest[..end];
            rest = &rest[end..];
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        record.push(cell);
        let is_last = rest.starts_with('\n');
        rest = &rest[1..];
        if is_last {
            records.push(std::mem::take(&mut record));
        }
    }
    records
}

fn csv(columns: &[String], rows: &[Vec<Cell>]) -> String {
    let field = |cell: &Cell| match cell {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    };
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let rows = rows.iter().map(|row| line(row.iter().map(field).collect()));
    line(columns.to_vec()) + &rows.collect::<String>()
}
