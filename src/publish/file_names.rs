//! Names of published files.

use crate::encode::format::Format;
use crate::tables::definition::TABLES;

/// The failed IDs. This and the following names are relative to the output directory.
pub const FAILURES: &str = "failures.jsonl";
/// DuckDB views over the tables.
pub const LOAD_SQL: &str = "load.sql";
/// Description of the export, and how to load it.
pub const README: &str = "README.md";
/// The published files and their checksums.
pub const MANIFEST: &str = "manifest.json";

/// Files that an export can do without: a user's file of the same name is kept instead.
pub(crate) const DISPENSABLE: [&str; 2] = [LOAD_SQL, README];

/// Whether scale-export publishes files under this name.
pub fn is_published_name(name: &str) -> bool {
    let formats = [Format::Parquet, Format::Csv];
    name == MANIFEST
        || DISPENSABLE.contains(&name)
        || name == FAILURES
        || TABLES.iter().any(|table| {
            formats
                .iter()
                .any(|format| format.file_name(table.name) == name)
        })
}
