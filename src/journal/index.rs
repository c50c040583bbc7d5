//! What a journal holds for each ID of a list: the last response, and the last failure after it.
//!
//! A failure never hides a response: the response stays, and counts as stale. A response hides all failures before
//! it. A mark that ends a run revokes the failures that it names; their IDs are due again.

use std::collections::HashMap;

use crate::journal::format::{BodyDigest, RecordKind};
use crate::journal::location::Location;
use crate::journal::scan::{LostRecord, RecordEntry};

/// What counts for one ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexEntry {
    /// Neither a response nor a failure.
    Nothing,
    /// A response, with no failure after it.
    Response(Location),
    /// A failure, and no response.
    Failure(Location),
    /// A response that a later request could not refresh.
    Stale {
        /// The last response.
        response: Location,
        /// The last failure.
        failure: Location,
    },
}

impl IndexEntry {
    /// The response that counts.
    pub fn response(self) -> Option<Location> {
        match self {
            Self::Response(response) | Self::Stale { response, .. } => Some(response),
            Self::Nothing | Self::Failure(_) => None,
        }
    }

    /// The failure that counts.
    pub fn failure(self) -> Option<Location> {
        match self {
            Self::Failure(failure) | Self::Stale { failure, .. } => Some(failure),
            Self::Nothing | Self::Response(_) => None,
        }
    }

    /// Both, in the order of the journal.
    pub fn locations(self) -> impl Iterator<Item = Location> {
        self.response().into_iter().chain(self.failure())
    }
}

/// A response that is in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredResponse {
    /// Where it is.
    pub location: Location,
    /// Whether the task will never change.
    pub is_final: bool,
    /// SHA-256 of the body, if it is known.
    pub digest: Option<BodyDigest>,
}

/// The last response of an ID. There is one for each ID, so its size counts.
#[derive(Debug, Clone, Copy)]
struct Response {
    /// [`Location::NOWHERE`] when there is none.
    location: Location,
    /// SHA-256 of the body; zeros when it is not known.
    digest: BodyDigest,
    /// Whether the task will never change.
    is_final: bool,
    /// Whether a failure after it was revoked or a record after it was lost, so that the ID is requested again.
    is_due: bool,
}

const _: () = assert!(size_of::<Response>() == 48, "the documentation says so");

/// Stands for the digest of a body whose journal has no digests.
const UNKNOWN: BodyDigest = [0; 32];

const NO_RESPONSE: Response = Response {
    location: Location::NOWHERE,
    digest: UNKNOWN,
    is_final: false,
    is_due: false,
};

/// The last failure of an ID.
#[derive(Debug, Clone, Copy)]
struct Failure {
    location: Location,
    /// Whether the ID fails with any key.
    is_own: bool,
}

/// What a journal holds for each ID of a list, by position.
#[derive(Debug, Default)]
pub struct JournalIndex {
    responses: Vec<Response>,
    /// The failure that counts, for the few IDs that have one.
    failures: HashMap<usize, Failure>,
    /// During a scan: failures with the positions of their IDs, in the order of the journal. A mark revokes the last
    /// ones.
    shown: Vec<(usize, Failure)>,
}

impl JournalIndex {
    /// An empty index of this number of IDs.
    pub fn new(ids: usize) -> Self {
        Self {
            responses: vec![NO_RESPONSE; ids],
            ..Self::default()
        }
    }

    /// Number of IDs.
    pub fn len(&self) -> usize {
        self.responses.len()
    }

    /// Whether there are no IDs.
    pub fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }

    /// Adds an ID with nothing.
    pub fn push(&mut self) {
        self.responses.push(NO_RESPONSE);
    }

    /// Adds a record, in the order of the journal; `position` is that of its ID, if it is in the list.
    /// [`finish_scan`](Self::finish_scan) ends the scan.
    pub fn add_record(&mut self, position: Option<usize>, entry: &RecordEntry<'_>) {
        if let Some(end) = entry.end {
            // Failures have the order of the file, so those that the mark revokes are the last ones.
            let cut = self
                .shown
                .partition_point(|(_, failure)| failure.location.offset() < end.since);
            for (position, _) in self.shown.drain(cut..) {
                if let Some(response) = self.responses.get_mut(position) {
                    // An older response stays, but the request that was to replace it has not succeeded.
                    response.is_due = true;
                }
            }
        }
        let Some(position) = position else {
            return;
        };
        match entry.kind {
            RecordKind::Response => self.set_response(
                position,
                StoredResponse {
                    location: entry.location,
                    is_final: entry.is_final,
                    digest: entry.digest,
                },
            ),
            // Whether it counts is known at the end: a mark may revoke it, and a response may follow.
            RecordKind::Failure => self.shown.push((
                position,
                Failure {
                    location: entry.location,
                    is_own: entry.is_final,
                },
            )),
            RecordKind::Refresh | RecordKind::Refused | RecordKind::End => {}
        }
    }

    /// Ends a scan: decides which failures count.
    pub fn finish_scan(&mut self) {
        for (position, failure) in std::mem::take(&mut self.shown) {
            let response = self.responses.get(position);
            let is_behind = response.is_some_and(|response| {
                response.location == Location::NOWHERE
                    || response.location.offset() < failure.location.offset()
            });
            if is_behind {
                self.failures.insert(position, failure);
            } else {
                self.failures.remove(&position);
            }
        }
    }

    /// Marks the ID of a lost record as due, unless a response follows it: an older response may not be what the record
    /// said.
    pub(crate) fn add_lost(&mut self, position: usize, lost: &LostRecord) {
        let is_of_task = matches!(lost.kind, RecordKind::Response | RecordKind::Failure);
        if let Some(response) = self.responses.get_mut(position)
            && is_of_task
            && (response.location == Location::NOWHERE || response.location.offset() < lost.offset)
        {
            response.is_due = true;
        }
    }

    /// Sets the response of an ID, which hides every failure before it.
    pub fn set_response(&mut self, position: usize, stored: StoredResponse) {
        if let Some(response) = self.responses.get_mut(position) {
            *response = Response {
                location: stored.location,
                digest: stored.digest.unwrap_or(UNKNOWN),
                is_final: stored.is_final,
                is_due: false,
            };
        }
        self.failures.remove(&position);
    }

    /// Sets the failure of an ID; `is_own` when it fails with any key.
    pub fn set_failure(&mut self, position: usize, location: Location, is_own: bool) {
        self.failures.insert(position, Failure { location, is_own });
    }

    /// Revokes the failure of an ID, which is requested again.
    pub fn forget_failure(&mut self, position: usize) {
        self.failures.remove(&position);
    }

    /// Leaves out what is older than a lost response of an ID. A lost failure does not hide the response before it.
    pub(crate) fn leave_out(&mut self, position: usize, lost: &LostRecord) {
        let is_older = |location: Location| location.offset() < lost.offset;
        if lost.kind != RecordKind::Response {
            return;
        }
        if let Some(response) = self.responses.get_mut(position)
            && is_older(response.location)
        {
            *response = NO_RESPONSE;
        }
        let failure = self.failures.get(&position);
        if failure.is_some_and(|failure| is_older(failure.location)) {
            self.failures.remove(&position);
        }
    }

    /// Marks an ID as due, since its response cannot be used.
    pub fn request_again(&mut self, position: usize) {
        if let Some(response) = self.responses.get_mut(position) {
            response.is_due = true;
        }
    }

    /// What counts for an ID.
    pub fn get(&self, position: usize) -> IndexEntry {
        let response = self
            .responses
            .get(position)
            .map(|response| response.location);
        let response = response.filter(|location| *location != Location::NOWHERE);
        let failure = self.failures.get(&position).map(|failure| failure.location);
        match (response, failure) {
            (Some(response), None) => IndexEntry::Response(response),
            (None, Some(failure)) => IndexEntry::Failure(failure),
            (Some(response), Some(failure)) => IndexEntry::Stale { response, failure },
            (None, None) => IndexEntry::Nothing,
        }
    }

    /// The number of IDs whose response is before an offset.
    pub fn responses_before(&self, end: u64) -> usize {
        let entries = self.iter().filter_map(IndexEntry::response);
        entries.filter(|location| location.offset() < end).count()
    }

    /// What counts for every ID, in order.
    pub fn iter(&self) -> impl Iterator<Item = IndexEntry> {
        (0..self.len()).map(|position| self.get(position))
    }

    /// The index of a new list, by the position that each of its IDs has here, if it has one.
    #[must_use]
    pub fn select(&self, positions: impl Iterator<Item = Option<usize>>) -> Self {
        let mut selected = Self::default();
        for (to, from) in positions.enumerate() {
            let response = from.and_then(|from| self.responses.get(from));
            selected
                .responses
                .push(response.copied().unwrap_or(NO_RESPONSE));
            if let Some(failure) = from.and_then(|from| self.failures.get(&from)) {
                selected.failures.insert(to, *failure);
            }
        }
        selected
    }

    /// SHA-256 of the body of the response, if there is one and its digest is known.
    pub fn digest(&self, position: usize) -> Option<BodyDigest> {
        let response = self.responses.get(position)?;
        (response.digest != UNKNOWN).then_some(response.digest)
    }

    /// Whether the task of the response will never change.
    pub fn is_final(&self, position: usize) -> bool {
        let response = self.responses.get(position);
        response.is_some_and(|response| response.is_final)
    }

    /// Whether the ID is requested again although it has a response.
    pub fn is_due(&self, position: usize) -> bool {
        let response = self.responses.get(position);
        response.is_some_and(|response| response.is_due)
    }

    /// Whether this ID fails with any key.
    pub fn is_own_failure(&self, position: usize) -> bool {
        let failure = self.failures.get(&position);
        failure.is_some_and(|failure| failure.is_own)
    }

    /// Positions of the IDs with a failure that counts, ascending.
    pub fn failed(&self) -> Vec<usize> {
        let mut positions: Vec<usize> = self.failures.keys().copied().collect();
        // The order of a hash map differs from run to run, and that of reports must not.
        positions.sort_unstable();
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::format::End;

    /// Shows records to an index of one ID: their kinds, with what an end mark says.
    fn seen(records: &[(RecordKind, Option<u64>)]) -> JournalIndex {
        let mut index = JournalIndex::new(1);
        for (offset, (kind, since)) in (1..).zip(records) {
            let entry = RecordEntry {
                kind: *kind,
                task_id: "",
                location: Location::new(offset, 1),
                next: offset + 1,
                digest: None,
                is_final: true,
                end: since.map(|since| End { since }),
            };
            index.add_record(Some(0), &entry);
        }
        index.finish_scan();
        index
    }

    #[test]
    fn a_failure_never_hides_a_response() {
        use RecordKind::{Failure, Response};
        let at = |offset| Location::new(offset, 1);
        let held = |records: &[RecordKind]| {
            let records: Vec<_> = records.iter().map(|kind| (*kind, None)).collect();
            seen(&records).get(0)
        };
        assert_eq!(held(&[]), IndexEntry::Nothing);
        assert_eq!(held(&[Failure]), IndexEntry::Failure(at(1)));
        assert_eq!(held(&[Failure, Response]), IndexEntry::Response(at(2)));
        assert_eq!(
            held(&[Response, Failure, Failure]),
            IndexEntry::Stale {
                response: at(1),
                failure: at(3)
            }
        );
        assert_eq!(
            held(&[Response, Failure, Response]),
            IndexEntry::Response(at(3))
        );
    }

    #[test]
    fn an_end_mark_revokes_only_the_failures_that_it_names() {
        use RecordKind::{End, Failure, Response};
        let at = |offset| Location::new(offset, 1);
        let ended = seen(&[(Response, None), (Failure, None), (End, Some(2))]);
        assert_eq!(ended.get(0), IndexEntry::Response(at(1)));
        assert!(ended.is_due(0));
        // The failure before is part of what was published.
        let ended = seen(&[(Failure, None), (Failure, None), (End, Some(2))]);
        assert_eq!(ended.get(0), IndexEntry::Failure(at(1)));
        // A failure after the mark counts, and a response settles it.
        let again = seen(&[(Failure, None), (End, Some(0)), (Failure, None)]);
        assert_eq!(again.get(0), IndexEntry::Failure(at(3)));
        let well = seen(&[(Failure, None), (End, Some(0)), (Response, None)]);
        assert_eq!(well.get(0), IndexEntry::Response(at(3)));
        assert!(!well.is_due(0));
    }
}
