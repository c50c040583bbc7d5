//! Merges the results of ranges, in the order of the list, into the files of all tables.

use crate::encode::rows_encoder::RowsEncoder;
use crate::encode::table_writers::{TableWriters, WrittenTable};
use crate::flatten::entity_merge::{EntityError, EntityMerge};
use crate::jobs::error::ExportError;
use crate::jobs::failed_tasks::FailedTasks;
use crate::jobs::ranges::saved_ranges::{RangeCollector, SavedRange, SavedRanges};
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::SourceIds;
use crate::jobs::ranges::worker::{RangeResult, closed_by};
use crate::publish::digest_file::{DigestKind, TaskDigest};
use crate::publish::digest_writer::DigestWriter;
use crate::state::paths::NEW_DIGESTS;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::Drift;
use crate::tables::table::TableInfo;

/// What flattening found apart from rows.
#[derive(Debug)]
pub(crate) struct FlattenSummary {
    pub(crate) drift: Drift,
    pub(crate) failures: FailedTasks,
    pub(crate) exported: u64,
}

/// Numbers of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskCounts {
    /// With a row in `tasks`.
    pub(crate) exported: u64,
    /// Without one.
    pub(crate) failed: u64,
    /// Exported tasks that could not be refreshed.
    pub(crate) stale: u64,
}

/// Complete tables under temporary names, and what was found while they were built.
#[derive(Debug)]
pub(crate) struct BuiltTables {
    pub(crate) tables: Vec<WrittenTable>,
    pub(crate) flattened: FlattenSummary,
    /// The digests of the exported tasks, not complete yet.
    pub(crate) digests: DigestWriter,
    /// What the state keeps of each range.
    pub(crate) ranges: SavedRanges,
}

/// The tables, as far as ranges are merged.
pub(crate) struct RangeMerge<'m> {
    ids: SourceIds<'m>,
    writers: TableWriters,
    digests: DigestWriter,
    entities: EntityMerge,
    entity_rows: RowsEncoder,
    flattened: FlattenSummary,
    ranges: RangeCollector,
    /// Ranges that were copied.
    copied: usize,
}

/// The temporary file of the rows of projects and batches, unless they are few.
const ENTITY_SPILL: &str = "entities.spill";

impl<'m> RangeMerge<'m> {
    /// Creates the files.
    pub(crate) fn begin(target: TableTarget<'_>, ids: SourceIds<'m>) -> Result<Self, ExportError> {
        let TableTarget {
            selection, staging, ..
        } = target;
        let is_entity = |table: &&'static TableInfo| table.row_kind == RowKind::Entity;
        let entity_tables = selection.tables.tables().filter(is_entity);
        let spill = staging.place(ENTITY_SPILL);
        Ok(Self {
            ids,
            writers: TableWriters::begin(selection, |name| staging.create(name))?,
            digests: DigestWriter::begin(staging.create(NEW_DIGESTS)?)?,
            entities: EntityMerge::new(selection.tables),
            entity_rows: RowsEncoder::new(selection.format, entity_tables, Some(spill))?,
            flattened: FlattenSummary {
                drift: Drift::default(),
                failures: FailedTasks::default(),
                exported: 0,
            },
            ranges: RangeCollector::default(),
            copied: 0,
        })
    }

    /// Appends the next range. Its positions begin at `offset` of the whole list.
    pub(crate) fn append(&mut self, range: RangeResult, offset: usize) -> Result<(), ExportError> {
        let RangeResult {
            tables,
            versions,
            drift,
            failures,
            exported,
            is_copied,
            key,
            unusable,
        } = range;
        self.copied += usize::from(is_copied);
        let tables = self.writers.append(tables)?;
        let entities = self.entities.add(&versions, &mut self.entity_rows);
        entities.map_err(|error| self.failed(error))?;
        let FlattenSummary {
            drift: all_drift,
            failures: all_failures,
            exported: all_exported,
        } = &mut self.flattened;
        let versions = self.ranges.versions(versions);
        self.ranges.ranges.push(SavedRange {
            key,
            tables,
            versions,
            drift: drift.clone(),
            unusable,
        });
        all_drift.append(drift);
        for failed in &failures {
            let position = offset + failed.position;
            let task_id = self.ids.get(position);
            all_failures.add(position, &task_id, &failed.note, failed.exported);
        }
        *all_exported += exported.len() as u64;
        for task in exported {
            self.digests.push(TaskDigest {
                kind: DigestKind::Exported,
                task_id: &self.ids.get(offset + task.position),
                sha256: task.sha256,
            })?;
        }
        Ok(())
    }

    /// The number of ranges, and of those that were copied from the published tables.
    pub(crate) fn ranges(&self) -> (usize, usize) {
        (self.ranges.ranges.len(), self.copied)
    }

    /// The numbers of tasks so far.
    pub(crate) fn counts(&self) -> TaskCounts {
        let FlattenSummary {
            failures, exported, ..
        } = &self.flattened;
        TaskCounts {
            exported: *exported,
            failed: failures.failed(),
            stale: failures.stale,
        }
    }

    /// Completes the files.
    pub(crate) fn finish(mut self) -> Result<BuiltTables, ExportError> {
        let rows = self.entity_rows.finish();
        let rows = rows.map_err(|error| closed_by(&mut self.entity_rows, error))?;
        self.writers.append(rows)?;
        self.flattened.drift.append(self.entities.finish());
        let tables = self.writers.finish()?;
        let tails = tables.iter();
        let tails = tails.map(|written| (written.table.name.to_owned(), written.tail.clone()));
        Ok(BuiltTables {
            ranges: self.ranges.finish(tails.collect()),
            tables,
            flattened: self.flattened,
            digests: self.digests,
        })
    }

    fn failed(&mut self, error: EntityError) -> ExportError {
        match error {
            EntityError::Sink(error) => closed_by(&mut self.entity_rows, error),
            EntityError::Memory { task_id } => ExportError::NoMemory { task_id },
        }
    }
}
