//! Compares the next export with the previous one.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::encode::format::Format;
use crate::failure_kind::is_gone;
use crate::ids::read::read_ids;
use crate::ids::task_ids::DEFAULT_COLUMN;
use crate::publish::checksum::has_sha256;
use crate::publish::file_names::FAILURES;
use crate::publish::guard::Shrink;
use crate::publish::manifest::{Manifest, TableFile};
use crate::state::paths::{IDS, StateDir};
use crate::tables::table::Table;

/// A callback for each ID.
type IdVisitor<'s> = &'s mut dyn FnMut(&str);

/// Counts the tasks of the previous export, and those that the next one lacks. `is_exported` says whether an ID has a row
/// in the next export, which has `exported` rows.
///
/// The previous export has the IDs of its list without the failed ones. Where one of these files is not the one that
/// was published, the IDs in its `tasks` count, if that is as it was published, else the number in its manifest.
/// Without a manifest the list or `tasks` counts, whichever has more IDs: damaged state must not look like a small export.
pub(crate) fn compare(
    directory: &Path,
    manifest: Option<&Manifest>,
    exported: u64,
    is_exported: impl Fn(&str) -> bool,
) -> Shrink {
    let count = |show: &dyn Fn(IdVisitor<'_>) -> io::Result<()>| {
        let mut shrink = Shrink::default();
        let shown = show(&mut |task_id| {
            shrink.before += 1;
            shrink.missing += u64::from(!is_exported(task_id));
        });
        shown.ok().map(|()| shrink)
    };
    let Some(manifest) = manifest else {
        let listed = count(&|visit| each_listed(directory, visit));
        let in_tasks = [Format::Parquet, Format::Csv].into_iter().map(|format| {
            count(&|visit| {
                each_in_tasks(
                    &directory.join(format.file_name(Table::Tasks.name())),
                    visit,
                )
            })
        });
        let found = in_tasks.chain([listed]).flatten();
        return found.max_by_key(|shrink| shrink.before).unwrap_or_default();
    };
    if is_published(directory, manifest)
        && let Some(shrink) = count(&|visit| each_listed(directory, visit))
    {
        return shrink;
    }
    let mut tables = manifest.tables.iter();
    let tasks = tables.find(|(name, _)| name == Table::Tasks.name());
    let mut files = tasks.iter().flat_map(|(_, table)| &table.files);
    if let Some(TableFile { file, .. }) = files.next()
        && has_sha256(directory, &file.path, &file.sha256)
        && let Some(shrink) = count(&|visit| each_in_tasks(&directory.join(&file.path), visit))
    {
        return shrink;
    }
    let before = manifest.ids.exported;
    Shrink {
        before,
        missing: before.saturating_sub(exported),
    }
}

/// The failed IDs of the previous export; `None` when its list or its failures are not those that were published.
pub(crate) fn failed(directory: &Path, manifest: &Manifest) -> io::Result<Vec<String>> {
    if !is_published(directory, manifest) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    failures(directory).collect()
}

/// All failures of the previous export: each ID, and whether it has a row in `tasks` from an earlier response. Fails when
/// the list or the failures are not those that were published.
pub(crate) fn all_failures(
    directory: &Path,
    manifest: &Manifest,
) -> io::Result<Vec<(String, bool)>> {
    if !is_published(directory, manifest) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    failure_lines(directory)
        .map(|line| line.map(|line| (line.task_id, line.exported)))
        .collect()
}

/// The IDs that have no row in `tasks` because a fetch failed: not those that `--drop-missing` treats as deleted tasks.
/// Fails when the list or the failures are not those that were published.
pub(crate) fn failed_fetches(directory: &Path, manifest: &Manifest) -> io::Result<Vec<String>> {
    if !is_published(directory, manifest) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let is_deleted =
        |line: &EarlierFailure| manifest.options.drop_missing && is_gone(line.http_status);
    let failed = failure_lines(directory).filter(|line| {
        let counts = |line: &EarlierFailure| !line.exported && !is_deleted(line);
        line.as_ref().map_or(true, counts)
    });
    failed.map(|line| line.map(|line| line.task_id)).collect()
}

/// Passes every ID that has a row in `tasks` of the previous export to `visit`, in the order of the list. Fails when its
/// list or its failures are not those that were published.
pub(crate) fn each_exported(
    directory: &Path,
    manifest: &Manifest,
    visit: &mut dyn FnMut(&str),
) -> io::Result<()> {
    if !is_published(directory, manifest) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    each_listed(directory, visit)
}

/// A line of `failures.jsonl`.
#[derive(Debug, Deserialize)]
struct EarlierFailure {
    task_id: String,
    #[serde(default)]
    http_status: Option<u16>,
    #[serde(default)]
    exported: bool,
}

/// Whether the list and the failures are those that were published. Changed files are not read: they may have any size, and
/// lines of any length.
fn is_published(directory: &Path, manifest: &Manifest) -> bool {
    let mut files = manifest.files.iter();
    let failures = files.find(|file| file.path == FAILURES);
    let is_ours = |name, sha256: &str| has_sha256(directory, name, sha256);
    failures.is_some_and(|file| is_ours(FAILURES, &file.sha256))
        && is_ours(IDS, &manifest.ids.file.sha256)
}

/// The IDs in `failures.jsonl` that are not exported, in the order of the list.
fn failures(directory: &Path) -> impl Iterator<Item = io::Result<String>> {
    failure_lines(directory).filter_map(|line| match line {
        Ok(line) if line.exported => None,
        line => Some(line.map(|line| line.task_id)),
    })
}

/// The lines of `failures.jsonl`.
fn failure_lines(directory: &Path) -> impl Iterator<Item = io::Result<EarlierFailure>> {
    let file = File::open(directory.join(FAILURES));
    let (lines, error) = match file {
        Ok(file) => (Some(BufReader::new(file).lines()), None),
        Err(error) => (None, Some(Err(error))),
    };
    let parsed = lines
        .into_iter()
        .flatten()
        .map(|line| line.and_then(|line| Ok(serde_json::from_str(&line)?)));
    error.into_iter().chain(parsed)
}

/// Passes every ID that has a row in `tasks`, by the list and the failures of the previous export, to `visit`.
fn each_listed(directory: &Path, visit: IdVisitor<'_>) -> io::Result<()> {
    let mut failures = failures(directory);
    // Failures are in the order of the list. Where they are lost, too many IDs count, not too few.
    let mut next_failed = || failures.next().and_then(Result::ok);
    let mut failed = next_failed();
    for task_id in BufReader::new(File::open(StateDir::of_output(directory).ids())?).lines() {
        let task_id = task_id?;
        if failed.as_ref() == Some(&task_id) {
            failed = next_failed();
        } else {
            visit(&task_id);
        }
    }
    Ok(())
}

/// Passes every ID in a file of `tasks` to `visit`.
fn each_in_tasks(path: &Path, visit: IdVisitor<'_>) -> io::Result<()> {
    // Opening a pipe would wait for a writer.
    if !path.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let read = read_ids(&[path.to_owned()], &[], DEFAULT_COLUMN);
    let read = read.map_err(|error| io::Error::other(error.to_string()))?;
    read.ids.iter().for_each(visit);
    Ok(())
}
