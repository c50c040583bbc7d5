//! What a journal holds for IDs that no list names in advance.

use crate::ids::task_ids::{InvalidId, TaskIds};
use crate::jobs::journal_index::SharedIndex;
use crate::journal::format::RecordKind;
use crate::journal::index::{IndexEntry, JournalIndex};
use crate::journal::reader::RecordEntry;

/// The tasks of a journal, in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct JournalTasks {
    pub(crate) ids: TaskIds,
    pub(crate) journal: JournalIndex,
}

impl JournalTasks {
    /// The position of an ID. Adds it if it is new.
    pub(crate) fn position(&mut self, task_id: &str) -> Result<usize, InvalidId> {
        let inserted = self.ids.insert(task_id)?;
        if inserted.is_new {
            self.journal.push();
        }
        Ok(inserted.position)
    }

    /// Adds a record, in the order of the journal.
    pub(crate) fn add_record(&mut self, entry: &RecordEntry<'_>) {
        let is_of_id = matches!(entry.kind, RecordKind::Response | RecordKind::Failure);
        // Every ID in a journal was in a list of IDs, so it is valid.
        let position = is_of_id
            .then(|| self.position(entry.task_id).ok())
            .flatten();
        self.journal.add_record(position, entry);
    }

    /// Ends a scan: drops IDs that have nothing, since a mark revoked their failures.
    pub(crate) fn finish_scan(&mut self) {
        self.journal.finish_scan();
        if self.journal.iter().all(|held| held != IndexEntry::Nothing) {
            return;
        }
        let all = std::mem::take(self);
        for (task_id, held) in all.ids.iter().zip(all.journal.iter()) {
            if held != IndexEntry::Nothing {
                // It was valid before.
                let _ = self.ids.insert(task_id);
            }
        }
        let places = self.ids.iter().map(|task_id| all.ids.position(task_id));
        self.journal = all.journal.select(places);
    }

    /// The complete index of a list.
    pub(crate) fn index(self, list: &TaskIds) -> SharedIndex {
        let places = list.iter().map(|task_id| self.ids.position(task_id));
        Self::complete(self.journal.select(places))
    }

    /// The IDs in their own order, with their complete index.
    pub(crate) fn into_index(self) -> (TaskIds, SharedIndex) {
        (self.ids, Self::complete(self.journal))
    }

    fn complete(journal: JournalIndex) -> SharedIndex {
        let index = SharedIndex::new(journal, None);
        index.close();
        index
    }
}
