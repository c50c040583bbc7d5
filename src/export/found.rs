//! What a journal holds for IDs that no list names in advance. Depends on `ids`.

use super::index::Slot;
use crate::ids::IdList;

/// What a journal holds, by ID, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ids: IdList,
    pub(super) slots: Vec<Slot>,
}

impl Found {
    /// Takes note of a record; of several for one ID the last counts.
    pub(super) fn put(&mut self, task_id: &str, slot: Slot) -> Result<(), String> {
        if self.ids.position(task_id).is_none() {
            self.ids.add(task_id).map_err(|cause| cause.to_string())?;
            self.slots.push(Slot::Missing);
        }
        let place = self
            .ids
            .position(task_id)
            .and_then(|place| self.slots.get_mut(place));
        if let Some(held) = place {
            *held = slot;
        }
        Ok(())
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
