//! What a journal says beside its tasks: which part of it is published, whether a refresh has begun, and what is lost.

use crate::event::{Event, Events};
use crate::jobs::lost_records::LostIds;
use crate::journal::format::RecordKind;
use crate::journal::location::Location;
use crate::journal::scan::{RecordEntry, ScanSummary};
use crate::plural::plural;

/// The part of a journal that the published export was made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishedPart {
    /// Its bytes, from the beginning of the journal.
    bytes: u64,
    /// Whether their number is known. Otherwise every failure may be part of what was published.
    is_known: bool,
    /// Whether a record begins or ends where the part ends.
    has_boundary: bool,
    /// Whether the journal has all of it.
    is_whole: bool,
}

impl PublishedPart {
    /// `None` when the number of bytes is not known.
    pub(crate) fn new(bytes: Option<u64>) -> Self {
        Self {
            bytes: bytes.unwrap_or_default(),
            is_known: bytes.is_some(),
            has_boundary: false,
            is_whole: true,
        }
    }

    /// Whether the journal has all of it, as far as its end shows.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The offset at which the part ends.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    pub(crate) fn has(&self, location: Location) -> bool {
        location.offset() < self.bytes
    }

    /// Sees a record of the journal.
    pub(crate) fn see(&mut self, entry: &RecordEntry<'_>) {
        let bounds = [entry.location.offset(), entry.next];
        self.has_boundary |= bounds.contains(&self.bytes);
    }

    /// Whether the published export was made from another journal than the one whose last record ends at `end`.
    pub(crate) fn is_of_other(&self, end: u64) -> bool {
        // The export of an empty list has no record.
        self.bytes > 0 && !self.has_boundary && self.bytes != end
    }

    /// Ends a scan whose last record ends at `end`. Returns whether the published export was made from another journal. Then
    /// nothing in this one is part of what is published, or all that is left if the journal was cut off.
    pub(crate) fn finish_scan(&mut self, end: u64) -> bool {
        let is_other = self.is_of_other(end);
        if is_other {
            let is_cut = end < self.bytes;
            *self = Self {
                is_whole: false,
                ..Self::new(is_cut.then_some(end))
            };
        }
        is_other
    }
}

/// What the records of a journal say of the runs that wrote them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalMarks {
    pub(crate) published: PublishedPart,
    /// The offset at which the last refresh of all tasks began.
    pub(crate) refresh: Option<u64>,
}

impl JournalMarks {
    /// Of a journal without records. `published_bytes` is what the published export was made from, if that is known.
    pub(crate) fn new(published_bytes: Option<u64>) -> Self {
        Self {
            published: PublishedPart::new(published_bytes),
            refresh: None,
        }
    }

    /// Sees a record of the journal.
    pub(crate) fn see(&mut self, entry: &RecordEntry<'_>) {
        self.published.see(entry);
        if entry.kind == RecordKind::Refresh {
            self.refresh = Some(entry.location.offset());
        }
    }

    /// The offset at which a refresh of all tasks began that is not complete: a refresh that was published is over.
    pub(crate) fn unpublished_refresh(&self) -> Option<u64> {
        let published_bytes = self.published.bytes();
        self.refresh.filter(|begun| *begun >= published_bytes)
    }
}

/// Reports damage and losses that the scan of a journal found. `published_bytes` is what the published export was made
/// from, if that is known, and `is_other` whether that was another journal than this one, whose last record ends at
/// `end`.
pub(crate) fn report_losses(
    scan: &ScanSummary,
    end: u64,
    published_bytes: Option<u64>,
    is_other: bool,
    events: &Events,
) {
    let lost = LostIds::new(&scan.lost);
    let ids = lost.suffix();
    if scan.damaged > 0 {
        events.send(Event::Warning(format!(
            "skipped {} in the journal; fetching the lost responses again{ids}",
            plural(scan.damaged, "damaged place")
        )));
    }
    let lost_bytes = published_bytes.unwrap_or_default().saturating_sub(end);
    if lost_bytes > 0 && scan.records == 0 {
        let text = "the responses of the published export are missing from `.scale-export`; fetching all tasks again";
        events.send(Event::Warning(text.to_owned()));
        return;
    } else if lost_bytes > 0 {
        events.send(Event::Warning(format!(
            "the journal lacks {} that the published export was built from; fetching the lost responses again{ids}",
            plural(lost_bytes, "byte")
        )));
    } else if is_other {
        let text = "the published export was built from another journal; rebuilding the tables";
        let again = if lost.is_empty() {
            ""
        } else {
            ", and fetching again the tasks whose responses differ"
        };
        events.send(Event::Warning(format!("{text}{again}{ids}")));
    } else if scan.torn_bytes > 0 {
        events.send(Event::Detail(format!(
            "removed {} from the end of the journal, where an earlier run did not complete its last write{ids}",
            plural(scan.torn_bytes, "byte")
        )));
    }
    lost.report_others(events);
    if scan.ids_lost_before.is_some() {
        let text = "the damage includes task IDs: if one of these tasks has an earlier response, that one counts until `--refresh all` fetches it again";
        events.send(Event::Warning(text.to_owned()));
    }
}
