//! Merges the versions of projects and batches of all ranges into rows: one for each distinct version.

use std::collections::HashSet;

use crate::flatten::entity_versions::{EntityVersion, EntityVersions};
use crate::flatten::task_flattener::{RowCounts, SelectedRows, TaskFlattener};
use crate::json::parser::Parser;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::schema_drift::Drift;
use crate::tables::selection::TableSelection;
use crate::tables::table::Table;

/// The versions that have a row.
#[derive(Debug)]
pub(crate) struct EntityMerge {
    selection: TableSelection,
    versions: HashSet<(Table, [u8; 32])>,
    parser: Parser,
    drift: Drift,
}

/// Why a version could not become a row.
#[derive(Debug)]
pub(crate) enum EntityError {
    /// The sink refused the row.
    Sink(SinkError),
    /// There is not enough memory to read the object again. Its task was read before, so nothing else is wrong with it.
    Memory { task_id: String },
}

impl EntityMerge {
    /// Starts without versions. Rows of other tables than the selected ones are dropped.
    pub(crate) fn new(selection: TableSelection) -> Self {
        Self {
            selection,
            versions: HashSet::new(),
            parser: Parser::default(),
            drift: Drift::default(),
        }
    }

    /// Adds the versions of the next range.
    pub(crate) fn add(
        &mut self,
        versions: &[EntityVersion],
        sink: &mut dyn RowSink,
    ) -> Result<(), EntityError> {
        for version in versions {
            if self.versions.insert((version.table, version.digest)) {
                self.row(version, sink)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, version: &EntityVersion, sink: &mut dyn RowSink) -> Result<(), EntityError> {
        let document = self.parser.parse(&version.json);
        let document = document.map_err(|_| EntityError::Memory {
            task_id: version.task_id.clone(),
        })?;
        let object = document.root();
        // Versions without an ID are not kept.
        let Some(id) = object.get("id").and_then(|value| value.text()) else {
            return Ok(());
        };
        self.drift.begin_task();
        let mut flattener = TaskFlattener {
            rows: SelectedRows {
                selection: self.selection,
                sink,
            },
            drift: &mut self.drift,
            entities: &mut EntityVersions::default(),
            new_versions: None,
            task_id: &version.task_id,
            path: &mut String::new(),
            counts: RowCounts::default(),
        };
        let row = flattener.entity_row(object, id, version.table);
        row.map_err(EntityError::Sink)
    }

    /// Returns the drift of all versions.
    pub(crate) fn finish(self) -> Drift {
        self.drift
    }
}
