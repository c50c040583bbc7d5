//! Flattens the JSON of tasks into rows of all tables.
//!
//! Pure: the same responses in the same order give the same rows. A task never fails here: what does not fit goes to
//! `extra`.

use crate::flatten::entity_versions::EntityVersions;
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
    path: String,
}

impl Flattener {
    /// Starts without tasks. Rows of other tables than the selected ones are dropped.
    pub fn new(selection: TableSelection) -> Self {
        Self {
            selection,
            drift: Drift::default(),
            entities: EntityVersions::default(),
            path: String::new(),
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
        let mut flattener = TaskFlattener {
            rows: SelectedRows {
                selection: self.selection,
                sink,
            },
            drift: &mut self.drift,
            entities: &mut self.entities,
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
}
