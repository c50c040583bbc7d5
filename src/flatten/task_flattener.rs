//! What all functions that flatten a task share: where rows go, the path of the current object, and counts of rows.

use crate::flatten::entity_versions::{EntityVersion, EntityVersions};
use crate::flatten::members::{Objects, count};
use crate::json::value::Value;
use crate::tables::column::push_index;
use crate::tables::row_sink::{RowSink, SinkError, TableRow};
use crate::tables::schema_drift::Drift;
use crate::tables::selection::TableSelection;

/// Rows of one task that its row in `tasks` counts.
#[derive(Debug, Default)]
pub(super) struct RowCounts {
    pub(super) turns: i32,
    pub(super) messages: i32,
    pub(super) annotations: i32,
    pub(super) attachments: i32,
}

/// Where the rows of selected tables go.
pub(super) struct SelectedRows<'w> {
    pub(super) selection: TableSelection,
    pub(super) sink: &'w mut dyn RowSink,
}

impl SelectedRows<'_> {
    /// Passes a row on, if its table is selected.
    pub(super) fn push<R: TableRow>(&mut self, row: &R) -> FlattenResult {
        if self.selection.contains(R::TABLE) {
            row.pass_to(self.sink)
        } else {
            Ok(())
        }
    }
}

/// Flattens one task.
pub(super) struct TaskFlattener<'w> {
    pub(super) rows: SelectedRows<'w>,
    pub(super) drift: &'w mut Drift,
    pub(super) entities: &'w mut EntityVersions,
    /// Where new versions go that become rows later.
    pub(super) new_versions: Option<&'w mut Vec<EntityVersion>>,
    pub(super) task_id: &'w str,
    /// JSON Pointer to the current object.
    pub(super) path: &'w mut String,
    pub(super) counts: RowCounts,
}

/// A sink may refuse a row.
pub(super) type FlattenResult = Result<(), SinkError>;

impl TaskFlattener<'_> {
    /// Visits the objects of a list. The path is that of the object.
    pub(super) fn each<'d>(
        &mut self,
        key: &str,
        objects: Objects<'d>,
        mut visit: impl FnMut(&mut Self, Value<'d>, i32) -> FlattenResult,
    ) -> FlattenResult {
        for (index, object) in objects.iter().enumerate() {
            self.at(key, Some(index), |flattener| {
                visit(flattener, object, count(index))
            })?;
        }
        Ok(())
    }

    /// Visits a part of the current object. The path is that of the part.
    pub(super) fn at(
        &mut self,
        key: &str,
        index: Option<usize>,
        visit: impl FnOnce(&mut Self) -> FlattenResult,
    ) -> FlattenResult {
        let path_len = self.path.len();
        self.path.push('/');
        // Not escaped: these keys are constants without `~`, and a `/` in them separates levels.
        self.path.push_str(key);
        if let Some(index) = index {
            push_index(self.path, index);
        }
        let result = visit(self);
        self.path.truncate(path_len);
        result
    }
}
