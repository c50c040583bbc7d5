//! What the journal holds for each ID, by its position in the list; shared by the threads of a run.
//! Depends on `journal` for locations.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Refresh;
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
}

/// A slot as it was found in the journal.
#[derive(Debug, Clone, Copy)]
struct Held {
    slot: Slot,
    /// Will it never change?
    is_final: bool,
    /// Does it come from before the last publication?
    is_published: bool,
}

const NOTHING: Held = Held {
    slot: Slot::Waiting,
    is_final: false,
    is_published: false,
};

#[derive(Debug)]
struct State {
    slots: Vec<Held>,
    closed: bool,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    state: Mutex<State>,
    changed: Condvar,
}

impl Index {
    pub(super) fn new(ids: usize) -> Self {
        let state = State {
            slots: vec![NOTHING; ids],
            closed: false,
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
    pub(super) fn see(&self, position: Option<usize>, entry: &Entry<'_>) {
        let mut state = self.lock();
        let slot = match entry.kind {
            RecordKind::Response => Slot::Response(entry.location),
            RecordKind::Failure => Slot::Failure(entry.location),
            RecordKind::Published => {
                state
                    .slots
                    .iter_mut()
                    .for_each(|held| held.is_published = true);
                return;
            }
        };
        if let Some(held) = position.and_then(|position| state.slots.get_mut(position)) {
            *held = Held {
                slot,
                is_final: entry.is_final,
                is_published: false,
            };
        }
    }

    /// Decides what is fetched, and forgets what the journal holds for it. What an unfinished run
    /// fetched counts as fetched by this one.
    pub(super) fn plan(&self, refresh: Refresh) -> Vec<usize> {
        let mut wanted = Vec::new();
        for (position, held) in self.lock().slots.iter_mut().enumerate() {
            let keep = match held.slot {
                Slot::Response(_) if !held.is_published => true,
                Slot::Response(_) => match refresh {
                    Refresh::Pending => held.is_final,
                    Refresh::All => false,
                    Refresh::None => true,
                },
                Slot::Waiting | Slot::Failure(_) => false,
            };
            if !keep {
                *held = NOTHING;
                wanted.push(position);
            }
        }
        wanted
    }

    /// Says what there is now for some IDs.
    pub(super) fn set(&self, slots: &[(usize, Slot)]) {
        let mut state = self.lock();
        for (position, slot) in slots {
            if let Some(held) = state.slots.get_mut(*position) {
                held.slot = *slot;
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

    /// Waits for what there is for an ID; [`Slot::Waiting`] when nothing will come.
    pub(super) fn wait(&self, position: usize) -> Slot {
        let mut state = self.lock();
        loop {
            let slot = state
                .slots
                .get(position)
                .map_or(Slot::Waiting, |held| held.slot);
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
        let is_response = |held: &&Held| matches!(held.slot, Slot::Response(_));
        self.lock().slots.iter().filter(is_response).count()
    }
}
