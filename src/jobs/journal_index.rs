//! What the journal holds for each ID of the list, by position. The threads of a run share it.

use std::sync::{Mutex, MutexGuard};

use crate::event::AgainCounts;
use crate::ids::task_ids::TaskIds;
use crate::jobs::export_options::Refresh;
use crate::jobs::journal_marks::JournalMarks;
use crate::jobs::published_digests::HeldTask;
use crate::journal::format::BodyDigest;
use crate::journal::index::{IndexEntry, JournalIndex, StoredResponse};
use crate::journal::location::Location;
use crate::journal::scan::{LostRecord, RecordEntry};
use crate::threads::{self, ChangeNotifier};

/// A new record of an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexUpdate {
    /// A response.
    Response(StoredResponse),
    /// A failure.
    Failure {
        location: Location,
        /// Whether the ID fails with any key.
        is_own: bool,
    },
}

#[derive(Debug)]
struct IndexState {
    journal: JournalIndex,
    /// Whether each ID is still to be fetched.
    waiting: Vec<bool>,
    closed: bool,
    marks: JournalMarks,
}

impl IndexState {
    fn entry(&self, position: usize) -> Option<IndexEntry> {
        let is_waiting = self.waiting.get(position).copied().unwrap_or_default();
        // A list that is still being read gets more positions.
        let is_known = position < self.journal.len();
        (is_known && !is_waiting).then(|| self.journal.get(position))
    }
}

/// What a run is to fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchPlan {
    /// IDs to be fetched.
    pub(crate) wanted: usize,
    /// Of these, IDs with a response or failure of an earlier run.
    pub(crate) again: AgainCounts,
    /// Of the IDs to be fetched, those with a response of an earlier run.
    pub(crate) again_with_response: usize,
    /// Whether a refresh of all tasks begins with this run.
    pub(crate) starts_refresh: bool,
}

/// The IDs of a list by what the journal holds for them. Their sum is the number of IDs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IndexCounts {
    /// IDs with a response of a task that will never change, and no failure after it.
    pub(crate) is_final: u64,
    /// IDs with a response of a task that can change, and no failure after it.
    pub(crate) not_final: u64,
    /// IDs with a response and a failure after it.
    pub(crate) stale: u64,
    /// IDs with a failure only.
    pub(crate) failed: u64,
    /// IDs with neither.
    pub(crate) nothing: u64,
}

/// The index of a run.
#[derive(Debug)]
pub(crate) struct SharedIndex {
    state: Mutex<IndexState>,
    changed: ChangeNotifier,
}

impl SharedIndex {
    /// An index of the IDs of `journal`, with the marks of the same journal.
    pub(crate) fn new(journal: JournalIndex, marks: JournalMarks) -> Self {
        let state = IndexState {
            waiting: vec![false; journal.len()],
            journal,
            closed: false,
            marks,
        };
        Self {
            state: Mutex::new(state),
            changed: ChangeNotifier::default(),
        }
    }

    /// An index of a list that is still being read: an ID is in it as soon as it has a record.
    pub(crate) fn growing() -> Self {
        Self::new(JournalIndex::default(), JournalMarks::new(None))
    }

    /// What the journal holds for each ID.
    pub(crate) fn into_journal(self) -> JournalIndex {
        threads::into_inner(self.state).journal
    }

    /// The state stays valid when a thread panics: each ID is changed in one step.
    fn lock(&self) -> MutexGuard<'_, IndexState> {
        threads::lock(&self.state)
    }

    /// Adds a record of an earlier run; `position` is that of its ID, if it is in the list.
    pub(crate) fn add_record(&self, position: Option<usize>, entry: &RecordEntry<'_>) {
        let mut state = self.lock();
        state.marks.see(entry);
        state.journal.add_record(position, entry);
    }

    /// Ends the records of a scan: decides which failures count.
    pub(crate) fn end_records(&self) {
        self.lock().journal.finish_scan();
    }

    /// Ends a scan that lost records of the IDs at some positions, and whose last record ends at `end`. Returns whether the
    /// published export was made from another journal.
    pub(crate) fn finish_scan<'l>(
        &self,
        lost: impl Iterator<Item = (usize, &'l LostRecord)>,
        end: u64,
    ) -> bool {
        let mut state = self.lock();
        for (position, lost) in lost {
            state.journal.add_lost(position, lost);
        }
        state.marks.published.finish_scan(end)
    }

    /// Whether the published export was made from another journal than the one whose last record ends at `end`.
    pub(crate) fn is_of_other(&self, end: u64) -> bool {
        self.lock().marks.published.is_of_other(end)
    }

    /// What the journal has for an ID.
    pub(crate) fn held_task(&self, position: usize) -> HeldTask {
        HeldTask::of(&self.lock().journal, position)
    }

    /// The number of IDs whose response is before an offset.
    pub(crate) fn responses_before(&self, end: u64) -> usize {
        self.lock().journal.responses_before(end)
    }

    /// The offset of the first record that is not part of the publication.
    pub(crate) fn published_bytes(&self) -> u64 {
        self.lock().marks.published.bytes()
    }

    /// Whether every record that counts is part of what is published.
    pub(crate) fn is_all_published(&self) -> bool {
        let state = self.lock();
        state.marks.published.is_whole()
            && state.journal.iter().all(|entry| {
                entry != IndexEntry::Nothing
                    && entry
                        .locations()
                        .all(|location| state.marks.published.has(location))
            })
    }

    /// Bytes of the records that count.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.lock();
        let locations = state.journal.iter().flat_map(IndexEntry::locations);
        locations.map(|location| location.bytes()).sum()
    }

    /// Counts the IDs by what the journal holds for them.
    pub(crate) fn counts(&self) -> IndexCounts {
        let state = self.lock();
        let mut counts = IndexCounts::default();
        for (position, held) in state.journal.iter().enumerate() {
            let count = match held {
                IndexEntry::Nothing => &mut counts.nothing,
                IndexEntry::Failure(_) => &mut counts.failed,
                IndexEntry::Stale { .. } => &mut counts.stale,
                IndexEntry::Response(_) if state.journal.is_final(position) => &mut counts.is_final,
                IndexEntry::Response(_) => &mut counts.not_final,
            };
            *count += 1;
        }
        counts
    }

    /// Whether the failure of this ID is the record at an offset.
    pub(crate) fn fails_at(&self, position: usize, offset: u64) -> bool {
        let failure = self.lock().journal.get(position).failure();
        failure.is_some_and(|failure| failure.offset() == offset)
    }

    /// The records that count, with the positions of their IDs.
    pub(crate) fn records(&self) -> Vec<(Location, usize)> {
        let state = self.lock();
        let entries = state.journal.iter().enumerate();
        entries
            .flat_map(|(position, entry)| {
                entry.locations().map(move |location| (location, position))
            })
            .collect()
    }

    /// Decides what is fetched, and counts it.
    ///
    /// A run resumes an interrupted one: what that fetched counts, failures included, unless another key may help. A
    /// refresh of all tasks resumes from its own beginning only. An ID that is fetched again keeps its response until
    /// a new one arrives.
    pub(crate) fn plan(&self, refresh: Refresh) -> FetchPlan {
        let mut state = self.lock();
        let state = &mut *state;
        let published_bytes = state.marks.published.bytes();
        let begun = state.marks.unpublished_refresh();
        let is_of_this_run = |location: Location| match refresh {
            Refresh::All => begun.is_some_and(|begun| location.offset() > begun),
            Refresh::Pending | Refresh::None => location.offset() >= published_bytes,
        };
        // Failures that were published are over. Where the publication ends is unknown without a manifest.
        let carries_failures = state.marks.published.is_known();
        let mut wanted = 0;
        let mut again = AgainCounts::default();
        let mut again_with_response = 0;
        for (position, waiting) in state.waiting.iter_mut().enumerate() {
            let entry = state.journal.get(position);
            let keep = match (entry.failure(), entry.response()) {
                (Some(failure), _) => {
                    carries_failures
                        && is_of_this_run(failure)
                        && state.journal.is_own_failure(position)
                }
                (None, Some(_)) if state.journal.is_due(position) => false,
                (None, Some(response)) if is_of_this_run(response) => true,
                (None, Some(_)) => match refresh {
                    Refresh::Pending => state.journal.is_final(position),
                    Refresh::All => false,
                    Refresh::None => true,
                },
                (None, None) => false,
            };
            if !keep {
                match (entry.failure(), entry.response()) {
                    (Some(_), _) => again.failed += 1,
                    (None, Some(_)) if state.journal.is_due(position) => again.failed += 1,
                    (None, Some(_)) if state.journal.is_final(position) => again.is_final += 1,
                    (None, Some(_)) => again.not_final += 1,
                    (None, None) => {}
                }
                again_with_response += usize::from(entry.response().is_some());
                state.journal.forget_failure(position);
                *waiting = true;
                wanted += 1;
            }
        }
        FetchPlan {
            wanted,
            again,
            again_with_response,
            starts_refresh: refresh == Refresh::All && begun.is_none(),
        }
    }

    /// At most `most` IDs whose requests are the most likely to succeed: first those with a response that is not requested
    /// again, then the others with a response; the latest first.
    pub(crate) fn good(&self, most: usize) -> Vec<usize> {
        let state = self.lock();
        let mut best: Vec<((bool, u64), usize)> = Vec::with_capacity(most + 1);
        for (position, entry) in state.journal.iter().enumerate() {
            let Some(response) = entry.response() else {
                continue;
            };
            let is_stale = entry.failure().is_some() || state.journal.is_due(position);
            let is_waiting = state.waiting.get(position).copied().unwrap_or_default();
            let rank = (!is_stale && !is_waiting, response.offset());
            if best.len() < most || best.last().is_some_and(|(last, _)| rank > *last) {
                let place = best.partition_point(|(other, _)| *other > rank);
                best.insert(place, (rank, position));
                best.truncate(most);
            }
        }
        best.into_iter().map(|(_, position)| position).collect()
    }

    /// Whether the journal has a response for this ID, even if it is to be fetched again.
    pub(crate) fn has_response(&self, position: usize) -> bool {
        self.lock().journal.get(position).response().is_some()
    }

    /// Whether this ID is still to be fetched.
    pub(crate) fn is_waiting(&self, position: usize) -> bool {
        let state = self.lock();
        state.waiting.get(position).copied().unwrap_or_default()
    }

    /// Adds new records.
    pub(crate) fn set(&self, updates: &[(usize, IndexUpdate)]) {
        let mut state = self.lock();
        for (position, update) in updates {
            while state.journal.len() <= *position {
                state.journal.push();
            }
            match *update {
                IndexUpdate::Response(stored) => state.journal.set_response(*position, stored),
                IndexUpdate::Failure { location, is_own } => {
                    state.journal.set_failure(*position, location, is_own);
                }
            }
            if let Some(waiting) = state.waiting.get_mut(*position) {
                *waiting = false;
            }
        }
        drop(state);
        self.changed.notify();
    }

    /// Marks the index as complete: no more records will be added.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify();
    }

    /// What the journal holds for an ID; `None` while it is to be fetched.
    pub(crate) fn get(&self, position: usize) -> Option<IndexEntry> {
        self.lock().entry(position)
    }

    /// SHA-256 of the body of the response of an ID, if there is one and its digest is known.
    pub(crate) fn digest(&self, position: usize) -> Option<BodyDigest> {
        self.lock().journal.digest(position)
    }

    /// Waits for an ID that is to be fetched; `None` when the index is complete without it.
    pub(crate) fn wait(&self, position: usize) -> Option<IndexEntry> {
        let mut state = self.lock();
        loop {
            let entry = state.entry(position);
            if entry.is_some() || state.closed {
                return entry;
            }
            state = self.changed.wait(state);
        }
    }

    /// Marks an ID as due, whatever the journal holds for it.
    pub(crate) fn request_again(&self, position: usize) {
        self.lock().journal.request_again(position);
    }

    /// Marks the IDs as due that failed in the published export: a response that could not be used is in the journal as a
    /// response.
    pub(crate) fn request_failed(&self, ids: &TaskIds, failed: &[String]) {
        let positions = failed.iter().filter_map(|task_id| ids.position(task_id));
        positions.for_each(|position| self.request_again(position));
    }

    /// The number of IDs that have a response and are not to be fetched.
    pub(crate) fn kept(&self) -> usize {
        let state = self.lock();
        let entries = (0..state.journal.len()).filter_map(|position| state.entry(position));
        entries.filter(|entry| entry.response().is_some()).count()
    }

    /// The failures that count, by the positions of their IDs.
    pub(crate) fn failures(&self) -> Vec<(usize, IndexEntry)> {
        let state = self.lock();
        let failed = state.journal.failed().into_iter();
        failed
            .map(|position| (position, state.journal.get(position)))
            .collect()
    }
}
