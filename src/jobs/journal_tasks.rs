//! What a journal holds for IDs that are not known in advance.

use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::journal_marks::JournalMarks;
use crate::jobs::published_digests::HeldTask;
use crate::journal::format::RecordKind;
use crate::journal::index::{IndexEntry, JournalIndex};
use crate::journal::scan::{RecordEntry, ScanSummary};

/// The tasks of a journal, in order of first appearance or of a list.
#[derive(Debug, Default)]
pub(crate) struct JournalTasks {
    pub(crate) ids: TaskIds,
    pub(crate) journal: JournalIndex,
    /// Whether the IDs are those of a list. Records of others are skipped.
    is_list: bool,
}

impl JournalTasks {
    /// Tasks in order of first appearance, with the index of each.
    pub(crate) fn new(ids: TaskIds, journal: JournalIndex) -> Self {
        Self {
            ids,
            journal,
            is_list: false,
        }
    }

    /// The tasks of a list, without records yet.
    pub(crate) fn of_list(ids: TaskIds) -> Self {
        Self {
            journal: JournalIndex::new(ids.len()),
            ids,
            is_list: true,
        }
    }

    /// Adds an ID unless it is known.
    pub(crate) fn insert(&mut self, task_id: &str) -> Result<InsertedId, InvalidId> {
        let inserted = self.ids.insert(task_id)?;
        if inserted.is_new {
            self.journal.push();
        }
        Ok(inserted)
    }

    /// Adds a record, in the order of the journal.
    pub(crate) fn add_record(&mut self, entry: &RecordEntry<'_>) {
        let is_of_id = matches!(entry.kind, RecordKind::Response | RecordKind::Failure);
        let position = if !is_of_id {
            None
        } else if self.is_list {
            self.ids.position(entry.task_id)
        } else {
            // Every ID in a journal was in a list of IDs, so it is valid.
            let inserted = self.insert(entry.task_id).ok();
            inserted.map(|inserted| inserted.position)
        };
        self.journal.add_record(position, entry);
    }

    /// What the journal has for a task. `None` for one that is not in the list, if there is one.
    pub(crate) fn held_task(&self, task_id: &str) -> Option<HeldTask> {
        match self.ids.position(task_id) {
            Some(position) => Some(HeldTask::of(&self.journal, position)),
            None => (!self.is_list).then(HeldTask::default),
        }
    }

    /// Leaves out what is older than the lost records of a scan. The published export was made from the first
    /// `published_bytes` of the journal.
    pub(crate) fn leave_out(&mut self, scan: &ScanSummary, published_bytes: u64) {
        // A crash leaves an incomplete block behind the published part. It was not to replace anything yet.
        let end = published_bytes.max(scan.end);
        for lost in scan.lost.iter().filter(|lost| lost.offset < end) {
            if let Some(position) = self.ids.position(&lost.task_id) {
                self.journal.leave_out(position, lost);
            }
        }
    }

    /// Ends a scan: drops IDs that have nothing, since a mark revoked their failures. A list keeps them.
    pub(crate) fn finish_scan(&mut self, scan: &ScanSummary) {
        self.journal.finish_scan();
        for lost in &scan.lost {
            if let Some(position) = self.ids.position(&lost.task_id) {
                self.journal.add_lost(position, lost);
            }
        }
        let has_nothing = |entry| entry == IndexEntry::Nothing;
        if !self.is_list && self.journal.iter().any(has_nothing) {
            let all = std::mem::take(self);
            *self = all.retained(|position, _| all.journal.get(position) != IndexEntry::Nothing);
        }
    }

    /// The index of the IDs of a list, and the other tasks.
    pub(crate) fn split(&self, list: &TaskIds) -> (JournalIndex, Self) {
        let positions = list.iter().map(|task_id| self.ids.position(task_id));
        let listed = self.journal.select(positions);
        let others = self.retained(|_, task_id| list.position(task_id).is_none());
        (listed, others)
    }

    /// Those tasks whose position and ID match, in their order.
    fn retained(&self, is_retained: impl Fn(usize, &str) -> bool) -> Self {
        let mut ids = TaskIds::default();
        let mut positions = Vec::new();
        for (position, task_id) in self.ids.iter().enumerate() {
            // The ID is valid, since it was inserted before.
            if is_retained(position, task_id) && ids.insert(task_id).is_ok() {
                positions.push(Some(position));
            }
        }
        Self::new(ids, self.journal.select(positions.into_iter()))
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
        let index = SharedIndex::new(journal, JournalMarks::new(None));
        index.close();
        index
    }
}
