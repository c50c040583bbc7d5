//! Reads the status of an export: each part on its own, so that a damaged one does not hide the others.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::durable_fs;
use crate::event::{Event, Events};
use crate::ids::read::read_published;
use crate::ids::task_ids::TaskIds;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::jobs::status::error::StatusError;
use crate::jobs::status::published_counts::{by_status, failures_by_kind, tasks_file};
use crate::jobs::status::report::{
    BoundOptions, ExportStatus, LockStatus, Problem, PublicationCounts, STATUS_VERSION,
    SavedTaskCounts,
};
use crate::jobs::status::saved_counts::{SavedCounts, SavedExport, saved_counts};
use crate::journal::error::JournalError;
use crate::output_error::OutputError;
use crate::publish::commit::is_pending;
use crate::publish::earlier_files::{EarlierExport, earlier_files};
use crate::publish::file_names::{FAILURES, MANIFEST};
use crate::publish::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::state::lock::{HeldLock, Lock};
use crate::state::pace_memory;
use crate::state::paths::{IDS, JOURNAL, LAST_RUN, STATE_DIRECTORY, StateDir};

/// How often an export is read that changes meanwhile. After that, its last reading is the status.
const MAX_READS: usize = 5;

/// Time between two readings. A publication renames about twenty files, which takes less.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of `last_run.json`, at most. It has some numbers and a few hints.
const MAX_LAST_RUN_BYTES: u64 = 16 << 20;

/// Reads what an export holds and how its last run ended. It writes nothing, and waits for no run.
///
/// # Errors
///
/// [`StatusError`] for a directory without an export, and for an export of a newer version.
pub fn status(
    directory: &Path,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<Box<ExportStatus>>, StatusError> {
    match read_unchanged(directory, events, cancel) {
        Ok(status) => Ok(JobEnd::Done(Box::new(status))),
        Err(StatusError::Interrupted) => Ok(JobEnd::Stopped(SavedWork::Nothing)),
        Err(error) => Err(error),
    }
}

/// Reads the export again if a run publishes meanwhile: the manifest is the last file of a publication.
fn read_unchanged(
    directory: &Path,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ExportStatus, StatusError> {
    // A run that holds the lock is publishing: nothing was interrupted.
    let is_under_way = |status: &ExportStatus| {
        status.is_publication_interrupted && status.lock.is_held == Some(true)
    };
    let manifest = || durable_fs::read_small(&directory.join(MANIFEST), MAX_MANIFEST_BYTES).ok();
    let status = read_again(
        manifest,
        || read(directory, events, cancel),
        |status| !cancel.is_cancelled() && status.as_ref().is_ok_and(is_under_way),
    )?;
    Ok(ExportStatus {
        is_publication_interrupted: status.is_publication_interrupted && !is_under_way(&status),
        ..status
    })
}

/// Reads until the manifest is the same before and after, and the result is not `unsettled`; a few times at most.
fn read_again<M: PartialEq, T>(
    mut manifest: impl FnMut() -> M,
    mut read: impl FnMut() -> T,
    unsettled: impl Fn(&T) -> bool,
) -> T {
    let mut reads = 1;
    loop {
        let before = manifest();
        let result = read();
        let is_settled = !unsettled(&result) && manifest() == before;
        if is_settled || reads == MAX_READS {
            return result;
        }
        reads += 1;
        std::thread::sleep(PAUSE);
    }
}

fn read(
    directory: &Path,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ExportStatus, StatusError> {
    let state = StateDir::of_output(directory);
    let mut problems = Vec::new();
    let published = read_manifest(directory, &state, &mut problems)?;
    let published = published.as_ref();
    let ids = read_list(&state, &mut problems);
    let export = SavedExport {
        directory,
        published,
        ids: ids.as_ref(),
    };
    let mut saved = match saved_counts(export, events, cancel) {
        Ok(saved) => Some(saved),
        Err(JournalError::Interrupted { .. }) => return Err(StatusError::Interrupted),
        Err(newer @ JournalError::Newer { .. }) => return Err(StatusError::Journal(newer)),
        Err(error) => {
            problems.push(problem(JOURNAL, &error));
            None
        }
    };
    if let Some(journal) = saved.as_ref().and_then(|saved| saved.journal)
        && journal.damaged > 0
    {
        let cause = format!("{} cannot be read", places(journal.damaged));
        problems.push(problem(JOURNAL, &cause));
    }
    let is_readable = !is_locked_away(&state);
    if let (Some(saved), Some(manifest), true) = (&mut saved, published, is_readable) {
        problems.extend(lost_journal(saved, manifest));
    }
    let of_journal = saved.as_ref().and_then(|saved| saved.options.as_ref());
    let options = match (published, of_journal) {
        (Some(manifest), _) => Some(BoundOptions::from(&manifest.options)),
        (None, found) => found.map(BoundOptions::from),
    };
    let tasks = tasks(export, saved.as_ref(), &mut problems, events);
    // No run continues the copies that `flatten` makes.
    let can_continue = is_readable
        && match of_journal {
            Some(options) => !options.copied,
            None => !published.is_some_and(is_combined),
        };
    Ok(ExportStatus {
        version: STATUS_VERSION,
        directory: directory.display().to_string(),
        publication: published.map(PublicationCounts::of),
        is_publication_interrupted: is_pending(directory),
        options,
        tasks,
        next_run: saved
            .as_ref()
            .filter(|_| can_continue)
            .map(|saved| saved.next_run),
        journal: saved.and_then(|saved| saved.journal),
        pace: pace_memory::latest(&state),
        last_run: read_last_run(&state, &mut problems),
        lock: lock_status(directory, &state, &mut problems),
        problems,
    })
}

fn places(count: u64) -> String {
    crate::plural::plural(count, "place")
}

fn problem(part: &str, cause: &impl ToString) -> Problem {
    Problem {
        part: part.to_owned(),
        cause: cause.to_string(),
    }
}

/// Whether only the owner of the export can read its state.
fn is_locked_away(state: &StateDir) -> bool {
    matches!(state.path().read_dir(), Err(error) if error.kind() == ErrorKind::PermissionDenied)
}

/// Whether an export was combined from shards, which have its raw responses.
fn is_combined(manifest: &Manifest) -> bool {
    manifest.run.journal_bytes.is_none()
}

/// The problem of a published export without its journal: the next run fetches all of its list again.
fn lost_journal(saved: &mut SavedCounts, manifest: &Manifest) -> Option<Problem> {
    if saved.journal.is_some() || manifest.ids.exported == 0 || is_combined(manifest) {
        return None;
    }
    let next = &mut saved.next_run;
    if !next.is_list_known {
        next.fetch = manifest.ids.requested;
        next.not_requested = manifest.ids.requested;
    }
    let cause = "it is missing; the next run fetches all tasks again";
    Some(problem(JOURNAL, &cause))
}

/// The manifest, if there is one. Refuses a directory without an export, and a manifest of a newer version.
fn read_manifest(
    directory: &Path,
    state: &StateDir,
    problems: &mut Vec<Problem>,
) -> Result<Option<Manifest>, StatusError> {
    let no_export = |cause: &str| StatusError::NoExport {
        path: directory.to_owned(),
        cause: cause.to_owned(),
    };
    match directory.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(no_export("it is not a directory")),
        Err(error) => return Err(no_export(&error.to_string())),
    }
    let has_state = [state.journal(), state.last_run(), state.ids()]
        .iter()
        .any(|path| path.exists());
    let is_locked_away = is_locked_away(state);
    let damage = match earlier_files(directory)? {
        EarlierExport::Nothing if !has_state && !is_locked_away => {
            return Err(no_export("it has no manifest.json and no saved responses"));
        }
        EarlierExport::Damaged(_) if !has_state && !is_locked_away => {
            return Err(no_export(
                "its manifest.json is not one of scale-export, and it has no saved responses",
            ));
        }
        EarlierExport::Nothing => return Ok(None),
        EarlierExport::Damaged(cause) => Some(cause),
        EarlierExport::Files { damage, .. } => damage,
    };
    if let Some(cause) = damage {
        problems.push(problem(MANIFEST, &cause));
        return Ok(None);
    }
    Ok(Manifest::sound(directory))
}

/// The list of the published export, if there is one.
fn read_list(state: &StateDir, problems: &mut Vec<Problem>) -> Option<TaskIds> {
    let path = state.ids();
    if path.symlink_metadata().is_err() {
        return None;
    }
    let read = read_published(&path);
    read.map_err(|error| problems.push(problem(IDS, &error)))
        .ok()
}

/// Counts the tasks from the journal, or else from the manifest.
fn tasks(
    export: SavedExport<'_>,
    saved: Option<&SavedCounts>,
    problems: &mut Vec<Problem>,
    events: &Events,
) -> SavedTaskCounts {
    let SavedExport {
        directory,
        published,
        ids,
    } = export;
    let mut tasks = SavedTaskCounts {
        listed: ids.map(|ids| ids.len() as u64),
        ..SavedTaskCounts::default()
    };
    if let Some(saved) = saved.filter(|saved| saved.journal.is_some()) {
        let counts = saved.counts;
        tasks.kept = counts.is_final + counts.not_final;
        tasks.is_final = Some(counts.is_final);
        tasks.not_final = Some(counts.not_final);
        tasks.stale = counts.stale;
        tasks.failed = counts.failed;
        tasks.not_requested = counts.nothing;
        tasks.unlisted = saved.unlisted;
        tasks.failures.clone_from(&saved.failures);
    } else if let Some(manifest) = published {
        tasks.listed = Some(manifest.ids.requested);
        tasks.kept = manifest.ids.exported.saturating_sub(manifest.ids.stale);
        tasks.stale = manifest.ids.stale;
        tasks.failed = manifest.ids.failed;
        match failures_by_kind(directory) {
            Ok(failures) => tasks.failures = failures,
            Err(error) => problems.push(problem(FAILURES, &error)),
        }
    }
    if let Some(manifest) = published
        && let Some(file) = tasks_file(manifest)
    {
        events.send(Event::Phase("counting tasks by status"));
        match by_status(&directory.join(file), manifest.options.format) {
            Ok(counts) => tasks.by_status = Some(counts),
            Err(cause) => problems.push(problem(file, &cause)),
        }
    }
    tasks
}

/// What the last run left about its end.
fn read_last_run(state: &StateDir, problems: &mut Vec<Problem>) -> Option<Value> {
    let text = match durable_fs::read_small(&state.last_run(), MAX_LAST_RUN_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        read => read.map_err(|error| error.to_string()),
    };
    let value = text.and_then(|text| {
        let value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let is_summary = value.get("exit_code").is_some_and(Value::is_u64);
        is_summary
            .then_some(value)
            .ok_or_else(|| "it has no exit code".to_owned())
    });
    value
        .map_err(|cause| problems.push(problem(LAST_RUN, &cause)))
        .ok()
}

/// Whether a run writes. The lock is tested, not taken: a run that starts at the same instant waits for the test.
fn lock_status(directory: &Path, state: &StateDir, problems: &mut Vec<Problem>) -> LockStatus {
    let (is_held, holder) = match Lock::holder(directory, state) {
        Ok(HeldLock::Free) => (Some(false), None),
        Ok(HeldLock::Unknown) => (None, None),
        Ok(HeldLock::Held(holder)) => (Some(true), Some(holder)),
        Err(error) => {
            let part = match &error {
                OutputError::Lock { path, .. } => path.display().to_string(),
                _ => STATE_DIRECTORY.to_owned(),
            };
            problems.push(problem(&part, &error));
            (None, None)
        }
    };
    LockStatus { is_held, holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_during_which_the_manifest_changes_starts_over() {
        let reads = |manifests: &[u32], unsettled: u32| {
            let mut manifests = manifests.iter().copied().chain(std::iter::repeat(9));
            let mut reads = 0;
            let read = || {
                reads += 1;
                reads
            };
            read_again(|| manifests.next(), read, |read| *read <= unsettled)
        };
        assert_eq!(reads(&[1, 1], 0), 1);
        assert_eq!(reads(&[1, 2, 2, 2], 0), 2);
        assert_eq!(reads(&[1, 2, 3, 4], 0), 3);
        // A publication under way.
        assert_eq!(reads(&[], 2), 3);
        // A run that never stops publishing.
        assert_eq!(reads(&[1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3], 0), 5);
    }
}
