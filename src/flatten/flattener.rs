//! From a task's JSON to rows of all tables.
//!
//! Pure: the same responses in the same order give the same rows, whatever happened around them.
//! A task never fails here; what does not fit goes to `extra`. Depends on `json` and `tables`.

use crate::flatten::entity_versions::EntityVersions;
use crate::flatten::task_flattener::{Counts, TaskFlattener};
use crate::json::document::Document;
use crate::tables::batch_builder::{BATCH_BYTES, BatchSink, SinkError, TableSet};
use crate::tables::schema_drift::Drift;

/// Flattens tasks, one after the other.
#[derive(Debug)]
pub struct Flattener {
    tables: TableSet,
    drift: Drift,
    entities: EntityVersions,
    path: String,
}

impl Flattener {
    /// Begins with empty tables; rows of tables that `wanted` refuses by name are dropped.
    pub fn new(wanted: impl Fn(&str) -> bool) -> Self {
        Self::with_batches(wanted, BATCH_BYTES)
    }

    /// The same, with batches of so many bytes, about.
    pub fn with_batches(wanted: impl Fn(&str) -> bool, batch_bytes: usize) -> Self {
        Self {
            tables: TableSet::new(wanted, batch_bytes),
            drift: Drift::default(),
            entities: EntityVersions::default(),
            path: String::new(),
        }
    }

    /// Adds one task, the value of `document`, under the ID by which it was asked for.
    ///
    /// A document that is not an object gives a row of `tasks` without any values: bodies are
    /// checked before they come here.
    pub fn task(
        &mut self,
        task_id: &str,
        document: &Document<'_>,
        sink: &mut dyn BatchSink,
    ) -> Result<(), SinkError> {
        self.path.clear();
        let mut flattener = TaskFlattener {
            buffers: &mut self.tables.buffers,
            drift: &mut self.drift,
            entities: &mut self.entities,
            sink,
            task_id,
            path: &mut self.path,
            counts: Counts::default(),
        };
        flattener.task(document.root())
    }

    /// Hands over the rows that are left, and gives the drift report.
    pub fn finish(mut self, sink: &mut dyn BatchSink) -> Result<Drift, SinkError> {
        self.tables.finish(sink)?;
        Ok(self.drift)
    }
}
