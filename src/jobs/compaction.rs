//! Compaction: writes a new journal with the records that count. It is staged and published with the tables, so that a
//! crash leaves either the old journal or the new one.

use tokio_util::sync::CancellationToken;

use crate::api::body_check::KEPT_BYTES;
use crate::event::{Event, Events};
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::journal_contents::RefusedResponse;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::limits::free_space;
use crate::jobs::report::SavedWork;
use crate::journal::format::{JournalOptions, JournalVersion};
use crate::journal::location::Location;
use crate::journal::writer::Journal;
use crate::plural::plural;
use crate::publish::staging::Staging;
use crate::state::paths::JOURNAL;

/// Bytes between two syncs: a single sync at the end could delay a stop for a long time.
const SYNC_BYTES: u64 = 64 << 20;

/// The records of a journal that count. All others are superseded.
pub(crate) struct LiveRecords<'l> {
    pub(crate) ids: &'l TaskIds,
    pub(crate) index: &'l SharedIndex,
    /// Responses that were kept with failures.
    pub(crate) refused: &'l [RefusedResponse],
    /// IDs that are not in the list; `None` when they are dropped.
    pub(crate) unlisted: Option<&'l JournalTasks>,
}

impl LiveRecords<'_> {
    /// The responses of IDs that are not in the list. Their failures are dropped.
    fn unlisted(&self) -> impl Iterator<Item = (Location, &str)> {
        self.unlisted.into_iter().flat_map(|tasks| {
            let entries = tasks.ids.iter().zip(tasks.journal.iter());
            entries.filter_map(|(task_id, entry)| Some((entry.response()?, task_id)))
        })
    }

    /// The responses whose failures, which follow them in the journal, count.
    fn refused(&self) -> impl Iterator<Item = (Location, usize)> {
        let counts =
            |refused: &&RefusedResponse| self.index.fails_at(refused.position, refused.next);
        let refused = self.refused.iter().filter(counts);
        refused.map(|refused| (refused.location, refused.position))
    }

    /// Bytes of all records that count.
    pub(crate) fn bytes(&self) -> u64 {
        let refused = self.refused().map(|(location, _)| location);
        let unlisted = self.unlisted().map(|(location, _)| location);
        let others = refused.chain(unlisted);
        self.index.bytes() + others.map(|location| location.bytes()).sum::<u64>()
    }

    /// Every record that counts, with its ID, in the order of the journal.
    fn records(&self) -> Vec<(Location, &str)> {
        let listed = self.index.records();
        let listed = listed
            .into_iter()
            .chain(self.refused())
            .filter_map(|(location, position)| Some((location, self.ids.get(position)?)));
        let mut records: Vec<(Location, &str)> = listed.chain(self.unlisted()).collect();
        records.sort_unstable_by_key(|(location, _)| location.offset());
        records
    }
}

/// The journal of a run, and what of it counts.
pub(crate) struct Compaction<'l> {
    pub(crate) journal: &'l Journal,
    pub(crate) records: LiveRecords<'l>,
    /// Whether a new journal is written whatever the size of the old one.
    pub(crate) is_required: bool,
}

impl Compaction<'_> {
    /// Stages a new journal if over half of the old one is stale, if it has an earlier version, or if it is required; `None`
    /// when the old one stays.
    pub(crate) fn run(
        &self,
        options: &JournalOptions,
        staging: &Staging,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Option<Journal>, ExportError> {
        let journal = self.journal;
        let (live, all) = (self.records.bytes(), journal.bytes());
        let is_latest = journal.version() == JournalVersion::LATEST;
        if !self.is_required && live >= all / 2 && is_latest {
            return Ok(None);
        }
        if !self.is_required && free_space(staging.directory()).is_some_and(|free| free < live) {
            let why = if is_latest {
                "over half of the journal is stale"
            } else {
                "the journal has an earlier format version"
            };
            events.send(Event::Warning(format!(
                "{why}, but there is not enough disk space to write a new journal"
            )));
            return Ok(None);
        }
        events.send(Event::Phase("compacting the journal"));
        let mut new = Journal::create(staging.place(JOURNAL), options)?;
        let mut reader = journal.reader();
        let mut body = Vec::new();
        let mut synced = 0;
        for (location, task_id) in self.records.records() {
            let head = reader.read(task_id, location, &mut body)?;
            new.append_copy(&head, task_id, &body);
            if body.len() > KEPT_BYTES {
                reader.shrink();
                body = Vec::new();
            }
            if new.is_full() {
                new.write_blocks()?;
            }
            if new.bytes() - synced >= SYNC_BYTES {
                new.sync()?;
                synced = new.bytes();
            }
            if cancel.is_cancelled() {
                return Err(ExportError::Interrupted(SavedWork::Nothing));
            }
        }
        new.sync()?;
        events.send(Event::Detail(format!(
            "compacted the journal from {} to {}",
            plural(all, "byte"),
            plural(new.bytes(), "byte")
        )));
        Ok(Some(new))
    }
}
