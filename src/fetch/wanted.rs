//! Which tasks of the list are still to be fetched.

use std::fmt;

use crate::ids::task_ids::TaskIds;

/// The IDs to fetch, by their positions in the list.
#[derive(Clone, Copy)]
pub struct WantedTasks<'w> {
    /// The list of IDs.
    pub ids: &'w TaskIds,
    /// How many of these are to be fetched.
    pub count: usize,
    /// Whether there is no result yet for the ID at a position.
    pub is_waiting: &'w dyn Fn(usize) -> bool,
}

impl fmt::Debug for WantedTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WantedTasks")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl WantedTasks<'_> {
    /// The positions of the IDs that have no result yet. Each is looked at when its turn comes.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.ids.len()).filter(|position| (self.is_waiting)(*position))
    }

    /// The position of a task if it is in the list and has no result yet.
    pub fn waiting_position(&self, task_id: &str) -> Option<usize> {
        let position = self.ids.position(task_id)?;
        (self.is_waiting)(position).then_some(position)
    }
}
