//! The names of published files.

use crate::encode::format::Format;
use crate::tables::definition::TABLES;

/// The failed IDs, in the output directory.
pub const FAILURES: &str = "failures.jsonl";
/// The views, in the output directory.
pub const LOAD_SQL: &str = "load.sql";
/// What the export is and how to load it, in the output directory.
pub const README: &str = "README.md";
/// What was published, in the output directory.
pub const MANIFEST: &str = "manifest.json";

/// Names that an export can do without.
pub(crate) const DISPENSABLE: [&str; 2] = [LOAD_SQL, README];

/// Is this a name that this tool gives to a published file?
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
