//! The files of an export that follow from its tables: `load.sql` and `README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use memchr::memchr2_iter;

use super::finding::{Finding, Findings};
use super::{VerifyError, VerifyReport};
use crate::output::{LOAD_SQL, Manifest, README, Views, export_readme, load_sql};
use crate::tables::TableInfo;

/// The length of the longest record of a CSV file that goes by.
#[derive(Debug, Default)]
pub(super) struct LongestRecord {
    longest: usize,
    current: usize,
    is_quoted: bool,
}

impl LongestRecord {
    /// Takes the next bytes of the file.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut counted = 0;
        for at in memchr2_iter(b'"', b'\n', bytes) {
            if bytes.get(at) == Some(&b'"') {
                self.is_quoted = !self.is_quoted;
            } else if !self.is_quoted {
                self.current += at + 1 - counted;
                counted = at + 1;
                self.longest = self.longest.max(self.current);
                self.current = 0;
            }
        }
        self.current += bytes.len() - counted;
    }

    /// Bytes of the longest record so far, its end included.
    pub(super) fn bytes(&self) -> usize {
        self.longest.max(self.current)
    }
}

/// Bytes of the longest record by file, of CSV.
pub(super) type LongestRecords = BTreeMap<String, usize>;

/// Compares the content of both files with what this version writes for these tables. A manifest that does not name one
/// is right: a user's own file has its name.
pub(super) fn check(
    directory: &Path,
    manifest: &Manifest,
    tables: impl Iterator<Item = &'static TableInfo>,
    records: &LongestRecords,
    findings: &mut Findings,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let version = &manifest.tool.version;
    if !manifest.is_of_this_version() {
        report.unproven.push(format!(
            "that {LOAD_SQL} and {README} are what version {version} writes: this is another version"
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
        let path = directory.join(name);
        let is_ours = manifest.files.iter().any(|file| file.path == name);
        // That a file is missing was found already.
        if !is_ours || !path.is_file() {
            continue;
        }
        let found = fs::read(&path).map_err(|source| VerifyError::Io { path, source })?;
        if found != expected.as_bytes() {
            let expected = "what these tables give";
            findings.add(Finding::of_file(name, expected, "something else"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_is_found_however_the_bytes_come() {
        let text = b"a,b\n1,\"two\nlines, and \"\"quotes\"\"\"\n\"\n\n\",\n3,4";
        let longest = b"1,\"two\nlines, and \"\"quotes\"\"\"\n".len();
        for step in 1..text.len() {
            let mut records = LongestRecord::default();
            text.chunks(step).for_each(|bytes| records.see(bytes));
            assert_eq!(records.bytes(), longest, "{step} bytes at a time");
        }
        let mut records = LongestRecord::default();
        records.see(b"an end without a line feed");
        assert_eq!(records.bytes(), 26);
    }
}
