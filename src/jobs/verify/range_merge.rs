//! Merges the results of ranges in the order of the list: digests, drift, projects and batches.

use std::mem;

use crate::flatten::entity_merge::{EntityError, EntityMerge};
use crate::flatten::entity_versions::EntityVersion;
use crate::jobs::verify::compare::{FindingReporter, RowComparer, report_remaining_rows};
use crate::jobs::verify::digest_check::DigestCheck;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::files::tables;
use crate::jobs::verify::id_bitset::IdBitset;
use crate::jobs::verify::range_parts::RangeParts;
use crate::jobs::verify::report::{VerifyReport, VerifyResults};
use crate::jobs::verify::table_cursor::{TableCursor, open_cursors};
use crate::jobs::verify::task_verifier::{COMPARED_BYTES, TaskChecks};
use crate::jobs::verify::totals::{
    compare_drift, compare_exported, compare_row_count, compare_row_counts,
};
use crate::publish::digest_file::ResponseDigest;
use crate::tables::batch_builder::BatchBuilder;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::Drift;

/// A range without findings.
pub(crate) struct VerifiedRange {
    pub(crate) report: VerifyReport,
    /// Rows of each table.
    pub(crate) rows: Vec<u64>,
    /// The positions of its exported tasks, each with the digest of its raw response if it has one.
    pub(crate) digests: Vec<(usize, Option<ResponseDigest>)>,
    pub(crate) drift: Drift,
    pub(crate) versions: Vec<EntityVersion>,
}

/// What the ranges so far give.
pub(crate) struct RangeMerger<'m> {
    checks: TaskChecks<'m>,
    results: VerifyResults,
    /// Rows of each table.
    rows: Vec<u64>,
    digests: DigestCheck,
    drift: Drift,
    entities: EntityMerge,
    entity_rows: EntityRows<'m>,
}

/// Compares the rows of projects and batches.
struct EntityRows<'m> {
    checks: TaskChecks<'m>,
    cursors: Vec<TableCursor>,
    batches: BatchBuilder,
    /// There are none: after the first finding, the ranges are not merged.
    reported: IdBitset,
    cells: u64,
}

impl<'m> RangeMerger<'m> {
    /// Starts without ranges.
    pub(crate) fn new(
        checks: TaskChecks<'m>,
        digests: DigestCheck,
        mut results: VerifyResults,
    ) -> Result<Self, VerifyError> {
        let export = checks.export;
        let entities = tables(export.manifest).filter(|table| table.row_kind == RowKind::Entity);
        let cursors = open_cursors(export, entities, &mut results.findings)?;
        Ok(Self {
            checks,
            results,
            rows: Vec::new(),
            digests,
            drift: Drift::default(),
            entities: EntityMerge::new(checks.tables),
            entity_rows: EntityRows {
                checks,
                cursors,
                batches: BatchBuilder::new(COMPARED_BYTES),
                reported: IdBitset::default(),
                cells: 0,
            },
        })
    }

    /// Whether nothing was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.results.findings.count() == 0
    }

    /// Appends the next range.
    pub(crate) fn append(&mut self, range: VerifiedRange) -> Result<(), VerifyError> {
        let VerifiedRange {
            report,
            rows,
            digests,
            drift,
            versions,
        } = range;
        self.results.add_report(report);
        self.rows.resize(rows.len(), 0);
        for (all, rows) in self.rows.iter_mut().zip(rows) {
            *all += rows;
        }
        for (position, sha256) in digests {
            let task_id = self.checks.ids.get(position).unwrap_or_default();
            self.digests.task(task_id, sha256, &mut self.results);
        }
        self.drift.append(drift);
        let Self {
            entities,
            entity_rows,
            results,
            ..
        } = self;
        entity_rows.compare(results, |rows, compare| {
            let added = entities.add(&versions, &mut rows.sink(compare));
            added.map_err(|error| match error {
                EntityError::Sink(error) => error.into(),
                EntityError::Memory { task_id } => VerifyError::NoMemory { task_id },
            })
        })
    }

    /// Compares what all ranges give. `None` if something differs.
    pub(crate) fn finish(
        mut self,
        ranges: &RangeParts<'_>,
    ) -> Result<Option<VerifyReport>, VerifyError> {
        let manifest = self.checks.export.manifest;
        let results = &mut self.results;
        mem::take(&mut self.digests).finish(results);
        self.entity_rows.finish(results)?;
        self.drift.append(self.entities.finish());
        compare_drift(&self.drift, manifest, results);
        compare_exported(manifest, results);
        for (ranged, rows) in ranges.tables().iter().zip(self.rows) {
            results.report.rows += rows;
            compare_row_count(manifest, ranged.table, rows, results);
            if !ranged.parts.has_rows(rows) {
                return Ok(None);
            }
        }
        let results = self.results;
        Ok((results.findings.count() == 0).then_some(results.report))
    }
}

impl EntityRows<'_> {
    /// Passes rows to `give`, which gives rows to compare with those of the tables.
    fn compare(
        &mut self,
        results: &mut VerifyResults,
        give: impl FnOnce(&mut BatchBuilder, &mut RowComparer<'_>) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let mut compare = RowComparer {
            cursors: &mut self.cursors,
            reporter: FindingReporter {
                ids: self.checks.ids,
                findings: &mut results.findings,
                reported: &self.reported,
            },
            cells: &mut self.cells,
        };
        give(&mut self.batches, &mut compare)?;
        let mut cursors = self.cursors.iter_mut();
        cursors.try_for_each(TableCursor::check_read_error)
    }

    /// Compares the rows that are left.
    fn finish(&mut self, results: &mut VerifyResults) -> Result<(), VerifyError> {
        self.compare(results, |rows, compare| {
            rows.flush(compare)?;
            for cursor in &mut *compare.cursors {
                report_remaining_rows(cursor, &mut compare.reporter);
            }
            Ok(())
        })?;
        results.report.cells += self.cells;
        compare_row_counts(self.checks.export.manifest, &self.cursors, results);
        Ok(())
    }
}
