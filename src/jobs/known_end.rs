//! The end of a run that is known before it starts, since tasks that it would request fail.

use crate::api::error::FetchError;
use crate::error::Exit;
use crate::fetch::task_result::TaskFailure;
use crate::jobs::earlier_work::EarlierWork;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::failed_tasks::FailedTasks;
use crate::jobs::publication::NextExport;
use crate::publish::guard::ResponseSource;
use crate::publish::manifest::Manifest;

/// What a run ends with because of `failed`, which are IDs that it would request. [`Exit::Success`] if that depends on other
/// tasks.
///
/// # Errors
///
/// The error that the run ends with: it would publish nothing, or stop at the first failure.
pub(crate) fn known_end(
    options: &ExportOptions,
    earlier: &mut EarlierWork,
    failed: &[TaskFailure],
) -> Result<Exit, ExportError> {
    let drop_missing = options.guard.drop_missing;
    let mut counted = failed
        .iter()
        .filter(|failure| !(drop_missing && failure.note.is_gone()));
    if options.fetch.fail_fast
        && let Some(first) = counted.next()
    {
        return Err(ExportError::Fetch(FetchError::FailFast {
            task_id: first.task_id.clone(),
            message: first.note.message.clone(),
        }));
    }
    if failed.is_empty() || failed.len() < earlier.wanted {
        return Ok(Exit::Success);
    }
    let Some(failures) = all_failures(options, earlier, failed) else {
        return Ok(Exit::Success);
    };
    let published = Manifest::sound(&options.out);
    let requested = options.ids.len() as u64;
    let next = NextExport {
        response_source: ResponseSource::Unsaved,
        directory: &options.out,
        published: published.as_ref(),
        ids: &options.ids,
        failures: &failures,
        exported: requested - failures.failed(),
    };
    next.check(&options.guard)?;
    let count = failures.counted(drop_missing).values().sum();
    Ok(if options.guard.tolerate.is_exceeded(count, requested) {
        Exit::SomeFailed
    } else {
        Exit::Success
    })
}

/// `failed`, and the failures that the journal keeps for the run; `None` if one of those cannot be read.
fn all_failures(
    options: &ExportOptions,
    earlier: &mut EarlierWork,
    failed: &[TaskFailure],
) -> Option<FailedTasks> {
    let ids = &options.ids;
    let index = &earlier.index;
    let mut all = Vec::new();
    for failure in failed {
        let position = ids.position(&failure.task_id)?;
        all.push((position, failure.note.clone()));
    }
    let mut body = Vec::new();
    for (position, entry) in index.failures() {
        let (task_id, location) = ids.get(position).zip(entry.failure())?;
        let reader = earlier.reader.as_mut()?;
        let note = reader.read_failure(task_id, location, &mut body).ok()?;
        all.push((position, note));
    }
    all.sort_by_key(|(position, _)| *position);
    let mut failures = FailedTasks::default();
    for (position, note) in &all {
        // A deleted task leaves the export, whatever the journal has for it.
        let is_deleted = options.guard.drop_missing && note.is_gone();
        let is_exported = index.has_response(*position) && !is_deleted;
        failures.add(*position, ids.get(*position)?, note, is_exported);
    }
    Some(failures)
}
