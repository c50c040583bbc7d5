//! What a journal holds for IDs that no list names in advance. Depends on `ids` and `journal`.

use crate::ids::task_ids::IdList;
use crate::jobs::journal_index::Index;
use crate::journal::format::RecordKind;
use crate::journal::index::{Held, JournalIndex};
use crate::journal::reader::Entry;

/// What a journal holds, by ID, in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) ids: IdList,
    pub(crate) journal: JournalIndex,
}

impl Found {
    /// The position of an ID, which is added if it is new.
    pub(crate) fn position(&mut self, task_id: &str) -> Result<usize, String> {
        if let Some(position) = self.ids.position(task_id) {
            return Ok(position);
        }
        self.ids.add(task_id).map_err(|cause| cause.to_string())?;
        self.journal.push();
        Ok(self.journal.len() - 1)
    }

    /// Takes note of a record in the order of the journal.
    pub(crate) fn see(&mut self, entry: &Entry<'_>) {
        let is_of_id = matches!(entry.kind, RecordKind::Response | RecordKind::Failure);
        // Every ID in a journal was in a list of IDs, and is a valid one.
        let position = is_of_id
            .then(|| self.position(entry.task_id).ok())
            .flatten();
        self.journal.see(position, entry);
    }

    /// All records were shown: IDs are left out of which nothing counts, since a mark took back their failures.
    pub(crate) fn settle(&mut self) {
        self.journal.settle();
        if self.journal.iter().all(|held| held != Held::Nothing) {
            return;
        }
        let all = std::mem::take(self);
        for (task_id, held) in all.ids.iter().zip(all.journal.iter()) {
            if held != Held::Nothing {
                // It was valid before.
                let _ = self.ids.add(task_id);
            }
        }
        let places = self.ids.iter().map(|task_id| all.ids.position(task_id));
        self.journal = all.journal.select(places);
    }

    /// What there is for each ID of a list, all of which has come.
    pub(crate) fn index(self, list: &IdList) -> Index {
        let places = list.iter().map(|task_id| self.ids.position(task_id));
        Self::complete(self.journal.select(places))
    }

    /// The IDs in their own order, with what there is for each, all of which has come.
    pub(crate) fn into_index(self) -> (IdList, Index) {
        (self.ids, Self::complete(self.journal))
    }

    fn complete(journal: JournalIndex) -> Index {
        let index = Index::new(journal, None);
        index.close();
        index
    }
}
