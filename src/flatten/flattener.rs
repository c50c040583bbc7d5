//! Flattens the JSON of tasks into rows of all tables.
//!
//! Pure: the same responses in the same order give the same rows. A task never fails here: what does not fit goes to
//! `extra`.

use crate::flatten::entity_versions::EntityVersions;
use crate::flatten::task_flattener::{RowCounts, TaskFlattener};
use crate::json::document::Document;
use crate::tables::batch_builder::{BATCH_BYTES, BatchSink, SinkError};
use crate::tables::definition::TableBuffers;
use crate::tables::schema_drift::Drift;
use crate::tables::selection::TableSelection;

/// Flattens tasks, one after the other.
#[derive(Debug)]
pub struct Flattener {
    buffers: TableBuffers,
    drift: Drift,
    entities: EntityVersions,
    path: String,
}

impl Flattener {
    /// Starts with empty tables. Rows of other tables than the selected ones are dropped.
    pub fn new(selection: TableSelection) -> Self {
        Self::with_batches(selection, BATCH_BYTES)
    }

    /// Like [`new`](Self::new), with batches of about `batch_bytes`.
    pub fn with_batches(selection: TableSelection, batch_bytes: usize) -> Self {
        Self {
            buffers: TableBuffers::new(selection, batch_bytes),
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
        sink: &mut dyn BatchSink,
    ) -> Result<(), SinkError> {
        self.path.clear();
        let mut flattener = TaskFlattener {
            buffers: &mut self.buffers,
            drift: &mut self.drift,
            entities: &mut self.entities,
            sink,
            task_id,
            path: &mut self.path,
            counts: RowCounts::default(),
        };
        flattener.task(document.root())
    }

    /// Hands over the rows that are left, and returns the drift.
    pub fn finish(mut self, sink: &mut dyn BatchSink) -> Result<Drift, SinkError> {
        self.buffers.flush(sink)?;
        Ok(self.drift)
    }
}
