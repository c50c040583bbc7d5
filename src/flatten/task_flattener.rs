//! What flattening one task shares: where its rows go, the path of the object at hand, and the counts of its rows.

use crate::flatten::entity_versions::EntityVersions;
use crate::flatten::members::{Objects, count};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::batch_builder::{BatchSink, SinkError};
use crate::tables::column::push_index;
use crate::tables::definition::Buffers;
use crate::tables::row_key::Place;
use crate::tables::schema_drift::Drift;

/// Rows of one task that its row in `tasks` counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) turns: i32,
    pub(super) messages: i32,
    pub(super) annotations: i32,
    pub(super) attachments: i32,
}

/// The way through one task.
pub(super) struct TaskFlattener<'w> {
    pub(super) buffers: &'w mut Buffers,
    pub(super) drift: &'w mut Drift,
    pub(super) entities: &'w mut EntityVersions,
    pub(super) sink: &'w mut dyn BatchSink,
    pub(super) task_id: &'w str,
    /// JSON Pointer to the object at hand.
    pub(super) path: &'w mut String,
    pub(super) counts: Counts,
}

pub(super) type Flow = Result<(), SinkError>;

impl TaskFlattener<'_> {
    /// Visits the objects of a list, with the path set to each.
    pub(super) fn each<'d>(
        &mut self,
        key: &str,
        objects: Objects<'d>,
        mut visit: impl FnMut(&mut Self, Value<'d>, i32) -> Flow,
    ) -> Flow {
        for (index, object) in objects.iter().enumerate() {
            self.at(key, Some(index), |flattener| {
                visit(flattener, object, count(index))
            })?;
        }
        Ok(())
    }

    /// Visits a part, with the path set to it.
    pub(super) fn at(
        &mut self,
        key: &str,
        index: Option<usize>,
        visit: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let mark = self.path.len();
        self.path.push('/');
        self.path.push_str(key);
        if let Some(index) = index {
            push_index(self.path, index);
        }
        let flow = visit(self);
        self.path.truncate(mark);
        flow
    }
}

/// The place of a task itself: no path, no thread.
pub(super) fn task_place(task_id: &str) -> Place<'_> {
    Place {
        task_id: Text::plain(task_id),
        path: "",
        thread_id: None,
        thread_index: None,
        turn_id: None,
        turn_index: None,
        message_id: None,
        message_index: None,
    }
}
