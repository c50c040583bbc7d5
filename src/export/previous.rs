//! What the previous export has and the next one would not. Depends on `ids` and `output`.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::guard::Shrink;
use crate::ids::{DEFAULT_COLUMN, read_ids};
use crate::output::{FAILURES, Format, IDS, Manifest, TASKS, has_sha256};

/// Compares with the previous export: with its list of IDs without the failed ones; where that is lost, with the IDs
/// in its `tasks`; where that is not there either, with the number in its manifest. Damaged state thus never
/// looks like an empty export. `is_exported` says whether an ID would have a row now, and `exported` how many will.
pub(super) fn compare(
    directory: &Path,
    manifest: Option<&Manifest>,
    exported: u64,
    is_exported: impl Fn(&str) -> bool,
) -> Shrink {
    if let Some(manifest) = manifest {
        let mut shrink = Shrink::default();
        let listed = each_listed(directory, manifest, &mut |task_id| {
            shrink.before += 1;
            shrink.missing += u64::from(!is_exported(task_id));
        });
        if listed.is_ok() {
            return shrink;
        }
    }
    for format in [Format::Parquet, Format::Csv] {
        let tasks = directory.join(format.file_name(TASKS));
        let is_named = |manifest: &Manifest| manifest.options.format == format;
        if !tasks.is_file() || !manifest.is_none_or(is_named) {
            continue;
        }
        if let Ok(read) = read_ids(&[tasks], &[], DEFAULT_COLUMN) {
            let ids = read.ids;
            let missing = ids.iter().filter(|task_id| !is_exported(task_id));
            return Shrink {
                before: ids.len() as u64,
                missing: missing.count() as u64,
            };
        }
    }
    let before = manifest.map_or(0, |manifest| manifest.ids.exported);
    Shrink {
        before,
        missing: before.saturating_sub(exported),
    }
}

/// A line of `failures.jsonl`.
#[derive(Debug, Deserialize)]
struct Line {
    task_id: String,
    #[serde(default)]
    exported: bool,
}

/// Shows every ID that the previous export has in `tasks`, by its list and its failures, which stand in the order of
/// the list; an error when one of the files is not the one that was published.
fn each_listed(directory: &Path, manifest: &Manifest, see: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut files = manifest.files.iter();
    let failures = files.find(|file| file.path == FAILURES);
    let failures = failures.ok_or(io::ErrorKind::NotFound)?;
    // One that was changed may be of any size, and hold lines of any length.
    let is_ours = |name, sha256| has_sha256(directory, name, sha256);
    if !is_ours(IDS, &manifest.ids.sha256) || !is_ours(FAILURES, &failures.sha256) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut failures = BufReader::new(File::open(directory.join(FAILURES))?).lines();
    let mut next_failed = || -> io::Result<Option<String>> {
        for line in failures.by_ref() {
            let line: Line = serde_json::from_str(&line?)?;
            if !line.exported {
                return Ok(Some(line.task_id));
            }
        }
        Ok(None)
    };
    let mut failed = next_failed()?;
    for task_id in BufReader::new(File::open(directory.join(IDS))?).lines() {
        let task_id = task_id?;
        if failed.as_ref() == Some(&task_id) {
            failed = next_failed()?;
        } else {
            see(&task_id);
        }
    }
    Ok(())
}
