//! What the journal holds for each ID, by its position in the list; shared by the threads of a run.
//! Depends on `journal` for locations.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Refresh;
use super::store::seen_as;
use crate::journal::format::RecordKind;
use crate::journal::{Entry, Location};

/// What there is for one ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing yet.
    Waiting,
    /// A response.
    Response(Location),
    /// A final failure.
    Failure(Location),
    /// Nothing, and nothing will come: `flatten` asks nobody.
    Missing,
}

impl Slot {
    /// Where its record is.
    pub(super) fn location(self) -> Option<Location> {
        match self {
            Self::Response(location) | Self::Failure(location) => Some(location),
            Self::Waiting | Self::Missing => None,
        }
    }
}

/// A slot as it was found in the journal. There is one for each ID, so its size counts.
#[derive(Debug, Clone, Copy)]
struct Held {
    location: Location,
    kind: Kind,
    /// Will it never change? Of a failure: was it the ID's own?
    is_final: bool,
    /// Is it part of what is published?
    is_published: bool,
}

const _: () = assert!(size_of::<Held>() == 16, "the documentation says so");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Response,
    Failure,
    Missing,
}

const NOTHING: Held = Held {
    location: Location::NOWHERE,
    kind: Kind::Nothing,
    is_final: false,
    is_published: false,
};

impl Held {
    fn slot(&self) -> Slot {
        match self.kind {
            Kind::Nothing => Slot::Waiting,
            Kind::Response => Slot::Response(self.location),
            Kind::Failure => Slot::Failure(self.location),
            Kind::Missing => Slot::Missing,
        }
    }

    fn set(&mut self, slot: Slot) {
        (self.kind, self.location) = match slot {
            Slot::Waiting => (Kind::Nothing, Location::NOWHERE),
            Slot::Response(location) => (Kind::Response, location),
            Slot::Failure(location) => (Kind::Failure, location),
            Slot::Missing => (Kind::Missing, Location::NOWHERE),
        };
    }
}

#[derive(Debug)]
struct State {
    slots: Vec<Held>,
    closed: bool,
    /// Where in the journal the last refresh of all tasks began.
    refresh: Option<u64>,
    /// Bytes of the journal that the published export was made from.
    published_bytes: u64,
    /// Has their end been seen as the end of a record?
    has_boundary: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// IDs to be fetched.
    pub(super) wanted: usize,
    /// Does a refresh of all tasks begin with this run?
    pub(super) begins_refresh: bool,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    state: Mutex<State>,
    changed: Condvar,
}

impl Index {
    /// For so many IDs; `published_bytes` of the journal are what the published export was made from.
    pub(super) fn new(ids: usize, published_bytes: u64) -> Self {
        let state = State {
            slots: vec![NOTHING; ids],
            closed: false,
            refresh: None,
            published_bytes,
            has_boundary: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// A thread that panicked has left the slots whole: each is written in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a record of an earlier run; of several for one ID the last counts.
    pub(super) fn see(&self, position: usize, entry: &Entry<'_>) {
        let Some(slot) = seen_as(entry) else {
            return;
        };
        let mut state = self.lock();
        let is_published = entry.location.offset() < state.published_bytes;
        if let Some(held) = state.slots.get_mut(position) {
            held.set(slot);
            held.is_final = entry.is_final;
            held.is_published = is_published;
        }
    }

    /// Takes note of any record: where it ends, and whether a refresh begins.
    pub(super) fn pass(&self, entry: &Entry<'_>) {
        let mut state = self.lock();
        let offset = entry.location.offset();
        if offset + entry.location.bytes() == state.published_bytes {
            state.has_boundary = true;
        }
        if entry.kind == RecordKind::Refresh {
            state.refresh = Some(offset);
        }
    }

    /// Called when all records have been seen. A journal that does not have a record ending where the published
    /// part ends is not the one that the export was made from: it was cut, and has grown again. Then nothing in
    /// it counts as published. True if so.
    pub(super) fn forget_other_journal(&self) -> bool {
        let mut state = self.lock();
        let is_other = state.published_bytes > 0 && !state.has_boundary;
        if is_other {
            state.published_bytes = 0;
            for held in &mut state.slots {
                held.is_published = false;
            }
        }
        is_other
    }

    /// Is what there is for every ID part of what is published?
    pub(super) fn is_all_published(&self) -> bool {
        self.lock().slots.iter().all(|held| held.is_published)
    }

    /// Bytes of the records that count.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.lock();
        let locations = state.slots.iter().filter_map(|held| held.slot().location());
        locations.map(|location| location.bytes()).sum()
    }

    /// Does the record of this ID's failure begin here?
    pub(super) fn fails_at(&self, position: usize, offset: u64) -> bool {
        let state = self.lock();
        let held = state.slots.get(position);
        held.is_some_and(|held| held.kind == Kind::Failure && held.location.offset() == offset)
    }

    /// The records that count, with the positions of their IDs.
    pub(super) fn records(&self) -> Vec<(Location, usize)> {
        let state = self.lock();
        let records = state.slots.iter().enumerate();
        records
            .filter_map(|(position, held)| Some((held.slot().location()?, position)))
            .collect()
    }

    /// Decides what is fetched, forgets what the journal holds for it, and counts it.
    ///
    /// What a run that was cut short fetched counts as fetched by the one that goes on from it: failures too,
    /// unless another key may do. A refresh of all tasks goes on from where it began, and from nothing else.
    pub(super) fn plan(&self, refresh: Refresh) -> Work {
        let mut state = self.lock();
        // One that was published is over.
        let published_bytes = state.published_bytes;
        let begun = state.refresh.filter(|begun| *begun >= published_bytes);
        let mut wanted = 0;
        for held in &mut state.slots {
            let is_of_this_run = match refresh {
                Refresh::All => begun.is_some_and(|begun| held.location.offset() > begun),
                Refresh::Pending | Refresh::None => !held.is_published,
            };
            let keep = match held.kind {
                Kind::Response if is_of_this_run => true,
                Kind::Response => match refresh {
                    Refresh::Pending => held.is_final,
                    Refresh::All => false,
                    Refresh::None => true,
                },
                Kind::Failure => is_of_this_run && held.is_final,
                Kind::Nothing | Kind::Missing => false,
            };
            if !keep {
                *held = NOTHING;
                wanted += 1;
            }
        }
        Work {
            wanted,
            begins_refresh: refresh == Refresh::All && begun.is_none(),
        }
    }

    /// Some ID for which there is a response.
    pub(super) fn any_held(&self) -> Option<usize> {
        let is_response = |held: &Held| held.kind == Kind::Response;
        self.lock().slots.iter().position(is_response)
    }

    /// Is there nothing yet for this ID?
    pub(super) fn is_waiting(&self, position: usize) -> bool {
        let state = self.lock();
        state
            .slots
            .get(position)
            .is_some_and(|held| held.kind == Kind::Nothing)
    }

    /// Says what there is now for some IDs.
    pub(super) fn set(&self, slots: &[(usize, Slot)]) {
        let mut state = self.lock();
        for (position, slot) in slots {
            if let Some(held) = state.slots.get_mut(*position) {
                held.set(*slot);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Says that nothing more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// What there is now for an ID.
    pub(super) fn look(&self, position: usize) -> Slot {
        let state = self.lock();
        state.slots.get(position).map_or(Slot::Waiting, Held::slot)
    }

    /// Waits for what there is for an ID; [`Slot::Waiting`] when nothing will come.
    pub(super) fn wait(&self, position: usize) -> Slot {
        let mut state = self.lock();
        loop {
            let slot = state.slots.get(position).map_or(Slot::Waiting, Held::slot);
            if slot != Slot::Waiting || state.closed {
                return slot;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// IDs for which there is a response.
    pub(super) fn held(&self) -> usize {
        let is_response = |held: &&Held| held.kind == Kind::Response;
        self.lock().slots.iter().filter(is_response).count()
    }
}
