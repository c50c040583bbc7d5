//! What a journal holds for IDs that no list names in advance. Depends on `ids`.

use super::index::{Index, Slot};
use crate::ids::IdList;
use crate::journal::Location;

/// What a journal holds, by ID, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ids: IdList,
    pub(super) slots: Vec<Slot>,
}

impl Found {
    /// Takes note of a record; of several for one ID the last counts.
    /// Gives the ID's position.
    pub(super) fn put(&mut self, task_id: &str, slot: Slot) -> Result<usize, String> {
        let position = if let Some(position) = self.ids.position(task_id) {
            position
        } else {
            self.ids.add(task_id).map_err(|cause| cause.to_string())?;
            self.slots.push(Slot::Missing);
            self.slots.len() - 1
        };
        if let Some(held) = self.slots.get_mut(position) {
            *held = slot;
        }
        Ok(position)
    }

    /// Says where the record at a position is, now that that is known.
    pub(super) fn place(&mut self, position: usize, location: Location) {
        if let Some(Slot::Response(place) | Slot::Failure(place)) = self.slots.get_mut(position) {
            *place = location;
        }
    }

    /// What there is for each ID of a list, or of its own, all of which has come.
    pub(super) fn index(&self, list: Option<&IdList>) -> Index {
        let index = Index::new(list.unwrap_or(&self.ids).len(), 0);
        match list {
            Some(list) => {
                for (position, task_id) in list.iter().enumerate() {
                    index.set(&[(position, self.get(task_id))]);
                }
            }
            None => {
                for (position, slot) in self.slots.iter().enumerate() {
                    index.set(&[(position, *slot)]);
                }
            }
        }
        index.close();
        index
    }

    /// What there is for an ID.
    pub(super) fn get(&self, task_id: &str) -> Slot {
        let slot = self
            .ids
            .position(task_id)
            .and_then(|place| self.slots.get(place));
        slot.copied().unwrap_or(Slot::Missing)
    }
}
