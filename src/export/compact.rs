//! The journal without what no longer counts: written anew beside the old one, and published with the
//! tables, so that a crash leaves the one or the other. Depends on `journal` and `output`.

use super::ExportError;
use super::found::Found;
use super::index::{Index, Slot};
use super::resources::free_space;
use crate::event::{Event, Events};
use crate::ids::IdList;
use crate::journal::format::Options;
use crate::journal::{Journal, Location};
use crate::output::{JOURNAL, Staging};

/// Bytes between two syncs: one of all at the end would keep whoever wants to stop waiting.
const SYNC_BYTES: u64 = 64 << 20;

/// What the journal holds that counts.
pub(super) struct Live<'l> {
    pub(super) ids: &'l IdList,
    pub(super) index: &'l Index,
    /// Answers beside failures.
    pub(super) refused: &'l [(Location, usize)],
    /// IDs that are not in the list; nothing when they are to be dropped.
    pub(super) unlisted: Option<&'l Found>,
}

impl Live<'_> {
    /// The responses of IDs that are not in the list. Nobody asks any more why one failed.
    fn unlisted(&self) -> impl Iterator<Item = (Location, &str)> {
        self.unlisted.into_iter().flat_map(|found| {
            let slots = found.ids.iter().zip(&found.slots);
            slots.filter_map(|(task_id, slot)| match slot {
                Slot::Response(location) => Some((*location, task_id)),
                Slot::Failure(_) | Slot::Missing | Slot::Waiting => None,
            })
        })
    }

    /// The answers whose failures count, which stand right behind them.
    fn refused(&self) -> impl Iterator<Item = &(Location, usize)> {
        self.refused.iter().filter(|(location, position)| {
            let end = location.offset() + location.bytes();
            self.index.fails_at(*position, end)
        })
    }

    /// Bytes of all records that count.
    fn bytes(&self) -> u64 {
        let refused = self.refused().map(|(location, _)| *location);
        let unlisted = self.unlisted().map(|(location, _)| location);
        let others = refused.chain(unlisted);
        self.index.bytes() + others.map(|location| location.bytes()).sum::<u64>()
    }

    /// Every record that counts, with its ID, in the order of the journal.
    fn records(&self) -> Vec<(Location, &str)> {
        let listed = self.index.records();
        let listed = listed
            .iter()
            .chain(self.refused())
            .filter_map(|(location, position)| Some((*location, self.ids.get(*position)?)));
        let mut records: Vec<(Location, &str)> = listed.chain(self.unlisted()).collect();
        records.sort_unstable_by_key(|(location, _)| location.offset());
        records
    }

    /// Writes the journal anew if over half of it is stale, or if it `must` be; `None` when the old one stays, or
    /// when `is_over` says that the run is.
    pub(super) fn compact(
        &self,
        journal: &Journal,
        options: &Options,
        staging: &Staging,
        must: bool,
        events: &Events,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<Journal>, ExportError> {
        let (live, all) = (self.bytes(), journal.bytes());
        if !must && live >= all / 2 {
            return Ok(None);
        }
        if !must && free_space(staging.directory()).is_some_and(|free| free < live) {
            let text = "over half of the journal is stale, but there is no space to write it anew";
            events.send(Event::Warning(text.to_owned()));
            return Ok(None);
        }
        events.send(Event::Phase("compacting the journal"));
        let mut new = Journal::create(staging.place(JOURNAL), options)?;
        let mut reader = journal.reader();
        let mut synced = 0;
        for (location, task_id) in self.records() {
            new.append_record(reader.read_record(task_id, location)?);
            if new.is_full() {
                new.flush()?;
            }
            if new.bytes() - synced >= SYNC_BYTES {
                new.sync()?;
                synced = new.bytes();
            }
            if is_over() {
                return Ok(None);
            }
        }
        new.sync()?;
        events.send(Event::Detail(format!(
            "the journal shrank from {all} to {} bytes",
            new.bytes()
        )));
        Ok(Some(new))
    }
}
