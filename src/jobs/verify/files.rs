//! Compares the files with the manifest: names, sizes, checksums, and the files that follow from it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::durable_fs::FileRef;
use crate::encode::csv::longest_record::LongestRecord;
use crate::encode::format::Format;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::generated;
use crate::jobs::verify::generated::LongestRecords;
use crate::jobs::verify::id_list::is_missing;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::plural::plural;
use crate::publish::file_names::{FAILURES, LOAD_SQL, MANIFEST, README};
use crate::publish::manifest::{Manifest, TableFile, is_inside};
use crate::state::paths::{IDS, is_in_state};
use crate::tables::definition::TABLES;
use crate::tables::table::{Table, TableInfo};

/// Bytes that are read and hashed at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Checks all files that the manifest names, and that it names all files.
pub(crate) fn check(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
) -> Result<(), VerifyError> {
    let VerifiedExport {
        directory,
        manifest,
        ..
    } = export;
    check_manifest(manifest, &mut results.findings);
    let mut records = LongestRecords::default();
    for file in manifest.all_files() {
        export.stop_if_cancelled()?;
        if is_in_state(Path::new(&file.path)) && !is_listable(export.state.path())? {
            // An export that was moved without its state, or one of another user: reported where the list would be
            // needed.
            continue;
        }
        let longest = check_file(export, file, results)?;
        records.insert(file.path.clone(), longest);
    }
    check_strays(directory, manifest, &mut results.findings);
    generated::check(export, tables(manifest), &records, results)
}

/// Whether there is a directory that this user may list.
fn is_listable(state: &Path) -> Result<bool, VerifyError> {
    match fs::read_dir(state) {
        Err(error) if is_missing(&error) => Ok(false),
        listed => listed.map(|_| true).map_err(|source| VerifyError::Io {
            path: state.to_owned(),
            source,
        }),
    }
}

/// The tables that the options of an export select.
pub(crate) fn tables(manifest: &Manifest) -> impl Iterator<Item = &'static TableInfo> {
    manifest.options.table_selection().tables()
}

/// Checks that the manifest agrees with itself.
fn check_manifest(manifest: &Manifest, findings: &mut Findings) {
    let mut differ = |expected: String, found: String| {
        findings.add(Finding::of_file(MANIFEST, &expected, &found));
    };
    let ids = &manifest.ids;
    if ids.stale > ids.exported {
        differ(
            format!("at most {}", plural(ids.exported, "stale ID")),
            ids.stale.to_string(),
        );
    }
    if ids.exported.checked_add(ids.failed) != Some(ids.requested) {
        differ(
            format!("{} exported or failed", plural(ids.requested, "ID")),
            format!("{} exported and {} failed", ids.exported, ids.failed),
        );
    }
    check_table_entries(manifest, &mut differ);
    let files = manifest.files.iter().map(|file| file.path.as_str());
    let files: Vec<&str> = files.collect();
    // The two others are missing when a user's own files have their names.
    let mut others = [LOAD_SQL, README].into_iter();
    let is_right = files.split_first().is_some_and(|(first, rest)| {
        *first == FAILURES && rest.iter().all(|name| others.any(|other| other == *name))
    });
    if !is_right {
        let expected = format!("in `files`: {FAILURES}, {LOAD_SQL}, {README}");
        differ(expected, files.join(", "));
    }
    if ids.file.path != IDS {
        differ(
            format!("the list of IDs in {IDS}"),
            format!("`{}`", ids.file.path),
        );
    }
    for table in &manifest.options.tables {
        if Table::find(table).is_none() {
            differ("known tables".to_owned(), format!("`{table}`"));
        }
    }
}

/// Checks that the manifest has the tables of its options, each with its rows in its file.
fn check_table_entries(manifest: &Manifest, differ: &mut impl FnMut(String, String)) {
    let named = manifest.tables.iter().map(|(name, _)| name.as_str());
    let named: BTreeSet<&str> = named.collect();
    let wanted: BTreeSet<&str> = tables(manifest).map(|table| table.name).collect();
    for table in wanted.symmetric_difference(&named) {
        let (expected, found) = if wanted.contains(table) {
            ("table", "none")
        } else {
            ("no table", "one")
        };
        differ(format!("{expected} `{table}`"), found.to_owned());
    }
    for (name, table) in &manifest.tables {
        let rows = table.files.iter().map(|file| file.rows);
        let rows: u64 = rows.fold(0, u64::saturating_add);
        if rows != table.rows {
            differ(
                format!("{} in the files of `{name}`", plural(table.rows, "row")),
                rows.to_string(),
            );
        }
        let path = manifest.options.format.file_name(name);
        let files = table.files.iter().map(|TableFile { file, .. }| file);
        for file in files.filter(|file| file.path != path) {
            differ(
                format!("table `{name}` in {path}"),
                format!("`{}`", file.path),
            );
        }
    }
}

/// Compares a file with its entry in the manifest; returns the bytes of its longest record if it is CSV.
fn check_file(
    export: VerifiedExport<'_>,
    file: &FileRef,
    results: &mut VerifyResults,
) -> Result<usize, VerifyError> {
    let VerifyResults { findings, report } = results;
    if !is_inside(&file.path) {
        let expected = "paths inside the directory";
        findings.add(Finding::of_file(
            MANIFEST,
            expected,
            &format!("`{}`", file.path),
        ));
        return Ok(0);
    }
    let path = export.directory.join(&file.path);
    let differs = |expected: &str, found: &str| Finding::of_file(&file.path, expected, found);
    let io = |source| VerifyError::Io {
        path: path.clone(),
        source,
    };
    // Opening a pipe would wait for a writer.
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        findings.add(differs("a file", "a directory or a special file"));
        return Ok(0);
    }
    let opened = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.add(differs("a file", "none"));
            return Ok(0);
        }
        opened => opened.map_err(io)?,
    };
    let bytes = opened.metadata().map_err(io)?.len();
    report.files += 1;
    report.bytes += bytes;
    if bytes != file.bytes {
        let (expected, found) = (plural(file.bytes, "byte"), bytes.to_string());
        findings.add(differs(&expected, &found));
        return Ok(0);
    }
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let mut records = LongestRecord::default();
    let visit = |read: &[u8]| {
        if is_csv {
            records.see(read);
        }
    };
    let sha256 = sha256(opened, visit, export.cancel).map_err(io)?;
    export.stop_if_cancelled()?;
    if sha256 != file.sha256 {
        findings.add(differs(&format!("SHA-256 {}", file.sha256), &sha256));
    }
    Ok(records.bytes())
}

/// The checksum of a file. Passes its content to `visit` piece by piece.
fn sha256(
    mut file: File,
    mut visit: impl FnMut(&[u8]),
    cancel: &CancellationToken,
) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    while !cancel.is_cancelled() {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let read = buffer.get(..read).unwrap_or_default();
                sha256.update(read);
                visit(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(crate::hex::encode(&sha256.finalize()))
}

/// Reports files and directories that have the name of a table and are not part of this export.
fn check_strays(directory: &Path, manifest: &Manifest, findings: &mut Findings) {
    let named: BTreeSet<&Path> = manifest
        .all_files()
        .map(|file| Path::new(&file.path))
        .collect();
    for table in TABLES {
        let files = [Format::Parquet, Format::Csv].map(|format| format.file_name(table.name));
        for name in files.into_iter().chain([table.name.to_owned()]) {
            if !named.contains(Path::new(&name)) && directory.join(&name).exists() {
                findings.add(Finding::of_file(
                    &name,
                    "no such file",
                    "one that the manifest does not name",
                ));
            }
        }
    }
}
