//! Flattens the JSON of tasks into rows of all tables.
//!
//! Pure: the same responses in the same order give the same rows. A task never fails here: what does not fit goes to
//! `extra`.

use crate::flatten::entity_versions::{EntityVersion, EntityVersions};
use crate::flatten::task_flattener::{RowCounts, SelectedRows, TaskFlattener};
use crate::json::document::Document;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::schema_drift::Drift;
use crate::tables::selection::TableSelection;

/// Flattens tasks, one after the other.
#[derive(Debug)]
pub struct Flattener {
    selection: TableSelection,
    drift: Drift,
    entities: EntityVersions,
    /// The versions of a range, which become rows when all ranges are merged.
    new_versions: Option<Vec<EntityVersion>>,
    path: String,
}

impl Flattener {
    /// Starts without tasks. Rows of other tables than the selected ones are dropped.
    pub fn new(selection: TableSelection) -> Self {
        Self {
            selection,
            drift: Drift::default(),
            entities: EntityVersions::default(),
            new_versions: None,
            path: String::new(),
        }
    }

    /// Starts a range of tasks. Versions of projects and batches do not become rows: another range may have them too.
    pub(crate) fn of_range(selection: TableSelection) -> Self {
        Self {
            new_versions: Some(Vec::new()),
            ..Self::new(selection)
        }
    }

    /// Adds one task, the value of `document`, under the ID by which it was requested.
    ///
    /// A document that is not an object gives a row of `tasks` without values. Bodies are checked before they come
    /// here.
    pub fn task(
        &mut self,
        task_id: &str,
        document: &Document<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<(), SinkError> {
        self.path.clear();
        self.drift.begin_task();
        let mut flattener = TaskFlattener {
            rows: SelectedRows {
                selection: self.selection,
                sink,
            },
            drift: &mut self.drift,
            entities: &mut self.entities,
            new_versions: self.new_versions.as_mut(),
            task_id,
            path: &mut self.path,
            counts: RowCounts::default(),
        };
        flattener.task(document.root())
    }

    /// Returns the drift of all tasks.
    pub fn finish(self) -> Drift {
        self.drift
    }

    /// Returns the drift of a range, and the versions of projects and batches in it.
    pub(crate) fn finish_range(self) -> (Drift, Vec<EntityVersion>) {
        (self.drift, self.new_versions.unwrap_or_default())
    }
}
