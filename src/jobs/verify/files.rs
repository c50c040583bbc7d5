//! The manifest against the files: names, sizes, checksums, and the files that follow from it.
//! Depends on `output` and the files of this folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::encode::csv::longest_record::LongestRecord;
use crate::encode::table_writers::Format;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::generated;
use crate::jobs::verify::generated::LongestRecords;
use crate::jobs::verify::journal_source::is_missing;
use crate::jobs::verify::verify::VerifyReport;
use crate::publish::file_names::{FAILURES, IDS, LOAD_SQL, README};
use crate::publish::manifest::{FileEntry, Manifest, is_inside};
use crate::publish::output_dir::STATE_DIRECTORY;
use crate::tables::definition::{self, TABLES};
use crate::tables::table::TableInfo;

/// Bytes that are read and hashed at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Checks all files that the manifest names, and that it names all that it should.
pub(crate) fn check(
    directory: &Path,
    manifest: &Manifest,
    findings: &mut Findings,
    report: &mut VerifyReport,
    is_over: &dyn Fn() -> bool,
) -> Result<(), VerifyError> {
    check_manifest(manifest, findings);
    let mut records = LongestRecords::default();
    for file in entries(manifest) {
        if is_over() {
            return Ok(());
        }
        let is_state = Path::new(&file.path).starts_with(STATE_DIRECTORY);
        if is_state && !is_listable(&directory.join(STATE_DIRECTORY))? {
            // An export that was moved without its state, or one of somebody else: told where the list
            // would be needed.
            continue;
        }
        let longest = check_file(directory, &file, findings, report, is_over)?;
        records.insert(file.path, longest);
    }
    check_strays(directory, manifest, findings);
    generated::check(
        directory,
        manifest,
        tables(manifest),
        &records,
        findings,
        report,
    )
}

/// Is there a directory that this user may list?
fn is_listable(state: &Path) -> Result<bool, VerifyError> {
    match fs::read_dir(state) {
        Err(error) if is_missing(&error) => Ok(false),
        listed => listed.map(|_| true).map_err(|source| VerifyError::Io {
            path: state.to_owned(),
            source,
        }),
    }
}

/// All files that the manifest names.
fn entries(manifest: &Manifest) -> Vec<FileEntry> {
    let tables = manifest.tables.iter().flat_map(|(_, table)| &table.files);
    let tables = tables.map(|file| FileEntry {
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    });
    let ids = FileEntry {
        path: manifest.ids.path.clone(),
        bytes: manifest.ids.bytes,
        sha256: manifest.ids.sha256.clone(),
    };
    let others = manifest.files.iter().cloned();
    tables.chain(others).chain([ids]).collect()
}

/// The tables of an export, by what its options say.
pub(crate) fn tables(manifest: &Manifest) -> impl Iterator<Item = &'static TableInfo> {
    let wanted = &manifest.options.tables;
    TABLES
        .iter()
        .filter(move |table| wanted.is_empty() || wanted.iter().any(|name| name == table.name))
}

/// Does the manifest agree with itself?
fn check_manifest(manifest: &Manifest, findings: &mut Findings) {
    let mut differ = |expected: String, found: String| {
        findings.add(Finding::of_file("manifest.json", &expected, &found));
    };
    let ids = &manifest.ids;
    if ids.stale > ids.exported {
        differ(
            "stale IDs to be exported ones".to_owned(),
            format!("{} of {}", ids.stale, ids.exported),
        );
    }
    if ids.exported.checked_add(ids.failed) != Some(ids.requested) {
        differ(
            "exported and failed IDs to make the requested ones".to_owned(),
            format!("{} and {} of {}", ids.exported, ids.failed, ids.requested),
        );
    }
    let named: BTreeSet<&str> = manifest
        .tables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
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
        let rows: u64 = table
            .files
            .iter()
            .map(|file| file.rows)
            .fold(0, u64::saturating_add);
        if rows != table.rows {
            differ(
                format!("{} rows in the files of `{name}`", table.rows),
                rows.to_string(),
            );
        }
        let path = manifest.options.format.file_name(name);
        for file in &table.files {
            if file.path != path {
                differ(
                    format!("table `{name}` in {path}"),
                    format!("`{}`", file.path),
                );
            }
        }
    }
    let files: Vec<&str> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    // The two others are not there when a user's own files have their names.
    let mut others = [LOAD_SQL, README].into_iter();
    let is_right = files.split_first().is_some_and(|(first, rest)| {
        *first == FAILURES && rest.iter().all(|name| others.any(|other| other == *name))
    });
    if !is_right {
        let expected = format!("in `files`: {FAILURES}, {LOAD_SQL}, {README}");
        differ(expected, files.join(", "));
    }
    if ids.path != IDS {
        differ(
            format!("the list of IDs in {IDS}"),
            format!("`{}`", ids.path),
        );
    }
    for table in &manifest.options.tables {
        if definition::find(table).is_none() {
            differ("tables that there are".to_owned(), format!("`{table}`"));
        }
    }
}

/// Compares a file with its entry in the manifest; returns the bytes of its longest record if it is CSV.
fn check_file(
    directory: &Path,
    file: &FileEntry,
    findings: &mut Findings,
    report: &mut VerifyReport,
    is_over: &dyn Fn() -> bool,
) -> Result<usize, VerifyError> {
    if !is_inside(&file.path) {
        let expected = "paths inside the directory";
        findings.add(Finding::of_file(
            "manifest.json",
            expected,
            &format!("`{}`", file.path),
        ));
        return Ok(0);
    }
    let path = directory.join(&file.path);
    let differs = |expected: &str, found: &str| Finding::of_file(&file.path, expected, found);
    let io = |source| VerifyError::Io {
        path: path.clone(),
        source,
    };
    // Opening a pipe waits for somebody to write to it.
    if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        findings.add(differs("a file", "something else"));
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
        let (expected, found) = (format!("{} bytes", file.bytes), format!("{bytes}"));
        findings.add(differs(&expected, &found));
        return Ok(0);
    }
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let mut records = LongestRecord::default();
    let see = |read: &[u8]| {
        if is_csv {
            records.see(read);
        }
    };
    let sha256 = sha256(opened, see, is_over).map_err(io)?;
    if sha256 != file.sha256 && !is_over() {
        findings.add(differs(&format!("SHA-256 {}", file.sha256), &sha256));
    }
    Ok(records.bytes())
}

/// The checksum of a file, which `see` is shown piece by piece.
fn sha256(
    mut file: File,
    mut see: impl FnMut(&[u8]),
    is_over: &dyn Fn() -> bool,
) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    while !is_over() {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let read = buffer.get(..read).unwrap_or_default();
                sha256.update(read);
                see(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(crate::hex::encode(&sha256.finalize()))
}

/// Files and directories with the names of tables that are none of this export's.
fn check_strays(directory: &Path, manifest: &Manifest, findings: &mut Findings) {
    let named: BTreeSet<PathBuf> = entries(manifest)
        .into_iter()
        .map(|file| PathBuf::from(file.path))
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
