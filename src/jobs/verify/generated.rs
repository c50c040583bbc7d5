//! Checks the files that follow from the tables: `load.sql` and `README.md`.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use crate::durable_fs;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::publish::export_readme::export_readme;
use crate::publish::file_names::{LOAD_SQL, README};
use crate::publish::load_sql::{Views, load_sql};
use crate::publish::manifest::ENCODING_VERSION;
use crate::tables::table::TableInfo;

/// Bytes of the longest record of each CSV file.
pub(crate) type LongestRecords = BTreeMap<String, usize>;

/// Compares both files with what this version writes for these tables. The manifest does not name a file whose name a
/// user's own file has.
pub(crate) fn check(
    export: VerifiedExport<'_>,
    tables: impl Iterator<Item = &'static TableInfo>,
    records: &LongestRecords,
    results: &mut VerifyResults,
) -> Result<(), VerifyError> {
    let manifest = export.manifest;
    if !manifest.is_of_this_version() {
        results.add_unverified(format!(
            "the content of {LOAD_SQL} and {README} (written by version {}, encoding {}; this is version {}, encoding {ENCODING_VERSION})",
            manifest.tool.version,
            manifest.encoding_version,
            env!("CARGO_PKG_VERSION"),
        ));
        return Ok(());
    }
    let tables: Vec<_> = tables.collect();
    let format = manifest.options.format;
    let views = tables.iter().map(|table| {
        let longest = records.get(&format.file_name(table.name));
        (*table, longest.copied().unwrap_or_default())
    });
    let rows = |table: &TableInfo| {
        let mut named = manifest.tables.iter();
        let entry = named.find(|(name, _)| name == table.name);
        entry.map_or(0, |(_, entry)| entry.rows)
    };
    let expected = [
        (LOAD_SQL, load_sql(&Views::new(format, views))),
        (
            README,
            export_readme(format, tables.iter().map(|table| (*table, rows(table)))),
        ),
    ];
    for (name, expected) in expected {
        let path = export.directory.join(name);
        let is_ours = manifest.files.iter().any(|file| file.path == name);
        // A missing file is reported with the other files.
        if !is_ours || !path.is_file() {
            continue;
        }
        let found = match durable_fs::read_small(&path, expected.len() as u64) {
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Vec::new(),
            found => found.map_err(|source| VerifyError::Io { path, source })?,
        };
        if found != expected.as_bytes() {
            let expected = "the content that follows from the tables";
            results.add(Finding::of_file(name, expected, "other content"));
        }
    }
    Ok(())
}
