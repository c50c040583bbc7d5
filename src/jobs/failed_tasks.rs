//! The IDs of a list that failed, as they are published and as the guard counts them.

use std::collections::BTreeMap;

use crate::failure_kind::FailureKind;
use crate::journal::failure_note::FailureNote;
use crate::publish::failure_lines::FailureLines;

/// The IDs that failed, or whose response could not be refreshed.
#[derive(Debug, Default)]
pub(crate) struct FailedTasks {
    /// The content of `failures.jsonl`: failed and stale IDs.
    pub(crate) lines: FailureLines,
    /// Failed IDs that are exported from an earlier response.
    pub(crate) stale: u64,
    /// Of `lines`, IDs that are not exported, since the API returned 404 or 410.
    gone_by_kind: BTreeMap<FailureKind, u64>,
    /// Positions of the IDs that are not exported, ascending.
    pub(crate) positions: Vec<usize>,
    /// Of `positions`, those of IDs for which the API returned 404 or 410.
    gone_positions: Vec<usize>,
}

impl FailedTasks {
    /// Adds the failure of an ID, in the order of the list.
    pub(crate) fn add(
        &mut self,
        position: usize,
        task_id: &str,
        note: &FailureNote,
        exported: bool,
    ) {
        self.lines.push(task_id, note, exported);
        if exported {
            self.stale += 1;
        } else {
            if note.is_gone() {
                *self.gone_by_kind.entry(note.kind).or_default() += 1;
                self.gone_positions.push(position);
            }
            self.positions.push(position);
        }
    }

    /// IDs that are not exported, since the API returned 404 or 410.
    pub(crate) fn gone(&self) -> u64 {
        self.gone_by_kind.values().sum()
    }

    /// Failures by kind, without those that count as deleted tasks with `--drop-missing`.
    pub(crate) fn counted(&self, drop_missing: bool) -> BTreeMap<FailureKind, u64> {
        let mut counted = self.lines.by_kind.clone();
        if drop_missing {
            for (kind, gone) in &self.gone_by_kind {
                if let Some(count) = counted.get_mut(kind) {
                    *count -= gone;
                }
            }
            counted.retain(|_, count| *count > 0);
        }
        counted
    }

    /// IDs that are not exported.
    pub(crate) fn failed(&self) -> u64 {
        self.positions.len() as u64
    }

    /// Whether the ID at a position is not exported, and is not a deleted task: with `drop_missing`, the IDs that the API
    /// reports as missing are.
    pub(crate) fn is_failed_fetch(&self, position: usize, drop_missing: bool) -> bool {
        let is_gone = || self.gone_positions.binary_search(&position).is_ok();
        self.has(position) && !(drop_missing && is_gone())
    }

    /// Whether the ID at a position is not exported.
    pub(crate) fn has(&self, position: usize) -> bool {
        self.positions.binary_search(&position).is_ok()
    }
}
