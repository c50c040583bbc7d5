//! What a journal holds for the IDs of a list, and for others: the result of one scan, however the journal is opened.

use crate::ids::task_ids::TaskIds;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::journal_marks::JournalMarks;
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::published_digests::{PublishedDigests, ScannedJournalTasks};
use crate::journal::format::RecordKind;
use crate::journal::index::JournalIndex;
use crate::journal::location::Location;
use crate::journal::scan::{RecordEntry, ScanSummary};

/// A response that was kept with the failure of its ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusedResponse {
    pub(crate) location: Location,
    /// The offset of the next record, which is the failure.
    pub(crate) next: u64,
    /// The position of its ID.
    pub(crate) position: usize,
}

/// What a journal holds.
#[derive(Debug)]
pub(crate) struct JournalContents {
    /// For the IDs of the list.
    pub(crate) index: SharedIndex,
    /// For other IDs.
    pub(crate) unlisted: JournalTasks,
    /// Responses that were kept with failures.
    pub(crate) refused: Vec<RefusedResponse>,
    digests: Option<PublishedDigests>,
    /// The position after that of the last record. Records mostly come in the order of the list.
    next: usize,
}

impl JournalContents {
    /// Nothing yet, for a list of IDs. The published export was made from the first `published_bytes` of the journal, if
    /// that is known, and has these `digests`.
    pub(crate) fn new(
        ids: &TaskIds,
        published_bytes: Option<u64>,
        digests: Option<PublishedDigests>,
    ) -> Self {
        let journal = JournalIndex::new(ids.len());
        Self {
            index: SharedIndex::new(journal, JournalMarks::new(published_bytes)),
            unlisted: JournalTasks::default(),
            refused: Vec::new(),
            digests,
            next: 0,
        }
    }

    /// What a scan before the list was known has found for it.
    pub(crate) fn of_scan(
        index: SharedIndex,
        unlisted: JournalTasks,
        refused: Vec<RefusedResponse>,
    ) -> Self {
        Self {
            index,
            unlisted,
            refused,
            digests: None,
            next: 0,
        }
    }

    /// The position of an ID in the list.
    fn position(&mut self, ids: &TaskIds, task_id: &str) -> Option<usize> {
        // A comparison is much cheaper than a look into a large table.
        let position = if ids.get(self.next) == Some(task_id) {
            Some(self.next)
        } else {
            ids.position(task_id)
        };
        self.next = position.map_or(self.next, |position| position + 1);
        position
    }

    /// Adds a record, in the order of the journal.
    pub(crate) fn add_record(&mut self, ids: &TaskIds, entry: &RecordEntry<'_>) {
        let position = self.position(ids, entry.task_id);
        self.index.add_record(position, entry);
        match position {
            Some(position) if entry.kind == RecordKind::Refused => {
                self.refused.push(RefusedResponse {
                    location: entry.location,
                    next: entry.next,
                    position,
                });
            }
            Some(_) => {}
            None => self.unlisted.add_record(entry),
        }
    }

    /// Ends a scan; `ids` is the list. `scan` gets the lost records that the published export names. Returns whether that was
    /// made from another journal.
    pub(crate) fn finish_scan(&mut self, ids: &TaskIds, scan: &mut ScanSummary) -> bool {
        self.index.end_records();
        self.unlisted.journal.finish_scan();
        if let Some(digests) = &self.digests {
            let (index, unlisted) = (&self.index, &self.unlisted);
            digests.name_lost(ScannedJournalTasks {
                is_other: index.is_of_other(scan.end),
                scan,
                responses_before: &|end| {
                    index.responses_before(end) + unlisted.journal.responses_before(end)
                },
                held: &|task_id| match ids.position(task_id) {
                    Some(position) => Some(index.held_task(position)),
                    None => unlisted.held_task(task_id),
                },
            });
        }
        self.unlisted.finish_scan(scan);
        let lost = scan.lost.iter();
        let lost = lost.filter_map(|lost| Some((ids.position(&lost.task_id)?, lost)));
        self.index.finish_scan(lost, scan.end)
    }
}
