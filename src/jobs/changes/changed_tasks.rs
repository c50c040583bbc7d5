//! Compares the digests of two publications.

use tokio_util::sync::CancellationToken;

use crate::ids::task_ids::TaskIds;
use crate::jobs::changes::change_report::ChangeCounts;
use crate::jobs::changes::error::ChangesError;
use crate::jobs::changes::publication_pair::PublicationPair;
use crate::jobs::verify::id_bitset::IdBitset;
use crate::publish::digest_file::{DigestFile, DigestKind, ResponseDigest, TaskDigest};

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Insert,
    Update,
    Delete,
}

impl ChangeKind {
    /// Its name in the feed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One task that changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskChange<'c> {
    pub(crate) task_id: &'c str,
    pub(crate) kind: ChangeKind,
    /// The digest of its response before, unless it is new.
    pub(crate) previous: Option<ResponseDigest>,
    /// The digest of its response now, unless it was deleted.
    pub(crate) current: Option<ResponseDigest>,
}

/// The tasks of the publication before. For a million tasks with IDs of 24 bytes, this takes about 80 MB.
#[derive(Debug, Default)]
struct EarlierTasks {
    ids: TaskIds,
    digests: Vec<ResponseDigest>,
    lost: IdBitset,
    /// Tasks that the new publication has too, or does not delete.
    seen: IdBitset,
}

impl EarlierTasks {
    fn read(mut file: DigestFile, cancel: &CancellationToken) -> Result<Self, ChangesError> {
        let mut tasks = Self::default();
        while let Some(task) = file.next_task()? {
            stop_if_cancelled(cancel)?;
            // An invalid ID was never in a list, and a repeated one is damage that `verify` reports.
            if let Ok(inserted) = tasks.ids.insert(task.task_id)
                && inserted.is_new
            {
                tasks.digests.push(task.sha256);
                let is_lost = task.kind == DigestKind::Lost;
                tasks.lost.set(inserted.position, is_lost);
            }
        }
        Ok(tasks)
    }

    /// The digest of a task, and whether the task was lost then. Marks the task as seen.
    fn see(&mut self, task_id: &str) -> Option<(ResponseDigest, bool)> {
        let position = self.ids.position(task_id)?;
        self.seen.set(position, true);
        let digest = self.digests.get(position)?;
        Some((*digest, self.lost.has(position)))
    }
}

/// Passes every change to `visit`: inserts and updates in the order of the new publication, then deletes in the order of
/// the one before.
pub(crate) fn each_change(
    pair: PublicationPair,
    cancel: &CancellationToken,
    visit: &mut dyn FnMut(TaskChange<'_>) -> Result<(), ChangesError>,
) -> Result<ChangeCounts, ChangesError> {
    let PublicationPair {
        from,
        mut to,
        failed,
    } = pair;
    let mut earlier = match from {
        Some(from) => EarlierTasks::read(from, cancel)?,
        None => EarlierTasks::default(),
    };
    let mut counts = ChangeCounts::default();
    while let Some(task) = to.next_task()? {
        stop_if_cancelled(cancel)?;
        let TaskDigest {
            kind,
            task_id,
            sha256,
        } = task;
        let before = earlier.see(task_id);
        if kind == DigestKind::Lost {
            counts.lost += u64::from(before.is_some());
            continue;
        }
        let (kind, previous) = match before {
            // A task that was lost may be in the tables of one consumer and not in those of another.
            Some((previous, false)) if previous == sha256 => {
                counts.unchanged += 1;
                continue;
            }
            Some((previous, _)) => (ChangeKind::Update, Some(previous)),
            None => (ChangeKind::Insert, None),
        };
        match kind {
            ChangeKind::Insert => counts.insert += 1,
            ChangeKind::Update | ChangeKind::Delete => counts.update += 1,
        }
        visit(TaskChange {
            task_id,
            kind,
            previous,
            current: Some(sha256),
        })?;
    }
    for task_id in &failed {
        let is_seen = |position| earlier.seen.has(position);
        if earlier
            .ids
            .position(task_id)
            .is_some_and(|position| !is_seen(position))
        {
            counts.lost += u64::from(earlier.see(task_id).is_some());
        }
    }
    for (position, task_id) in earlier.ids.iter().enumerate() {
        stop_if_cancelled(cancel)?;
        if earlier.seen.has(position) {
            continue;
        }
        counts.delete += 1;
        visit(TaskChange {
            task_id,
            kind: ChangeKind::Delete,
            previous: earlier.digests.get(position).copied(),
            current: None,
        })?;
    }
    Ok(counts)
}

fn stop_if_cancelled(cancel: &CancellationToken) -> Result<(), ChangesError> {
    if cancel.is_cancelled() {
        return Err(ChangesError::Interrupted);
    }
    Ok(())
}
