//! A list of task IDs that one thread reads while others use it.

use std::sync::{PoisonError, RwLock};

use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};

/// A list that grows. It stays valid when a thread panics: an ID is added in one step.
#[derive(Debug, Default)]
pub(crate) struct SharedIds(RwLock<TaskIds>);

impl SharedIds {
    /// Adds an ID, like [`TaskIds::insert`].
    pub(crate) fn insert(&self, task_id: &str) -> Result<InsertedId, InvalidId> {
        let mut ids = self.0.write().unwrap_or_else(PoisonError::into_inner);
        ids.insert(task_id)
    }

    /// The ID at a position.
    pub(crate) fn get(&self, position: usize) -> Option<String> {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.get(position).map(str::to_owned)
    }

    /// The position of an ID.
    pub(crate) fn position(&self, task_id: &str) -> Option<usize> {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.position(task_id)
    }

    /// The complete list.
    pub(crate) fn into_ids(self) -> TaskIds {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
