//! The ranges of an export: their IDs, and their parts of the files.
//!
//! The state says where ranges end, and it is not trusted: the parts must be the whole file, and the rows of each part
//! must be those of its tasks. Other ends give findings, so they cannot hide a row.

use std::ops::Range;

use crate::encode::table_parts::{PartSize, PartedTable};
use crate::ids::range_cutter::RangeLengths;
use crate::jobs::ranges::range_list::RangeList;
use crate::jobs::ranges::saved_ranges::{SavedRange, SavedRanges};
use crate::jobs::verify::files::tables;
use crate::jobs::verify::table_cursor::{TableCursor, input};
use crate::jobs::verify::task_verifier::TaskChecks;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::publish::manifest::{TableFile, is_inside};
use crate::tables::row_key::RowKind;
use crate::tables::table::TableInfo;

/// All ranges.
pub(crate) struct RangeParts<'p> {
    export: VerifiedExport<'p>,
    positions: Vec<Range<usize>>,
    tables: Vec<RangedTable<'p>>,
}

/// A table whose rows belong to one task each.
pub(crate) struct RangedTable<'p> {
    pub(crate) table: &'static TableInfo,
    path: &'p str,
    pub(crate) parts: PartedTable,
}

impl<'p> RangeParts<'p> {
    /// Opens the tables. `None` unless the state has several ranges, and they are those of the list and of the files.
    pub(crate) fn open(checks: TaskChecks<'p>) -> Option<Self> {
        let export = checks.export;
        let path = export.state.ranges();
        // Opening a pipe would wait for a writer.
        if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return None;
        }
        let saved = SavedRanges::read(&path).ok()?.ranges;
        let positions = RangeList::of(checks.ids, RangeLengths::of_program()).all();
        if positions.len() < 2 || positions.len() != saved.len() {
            return None;
        }
        let of_tasks = tables(export.manifest).filter(|table| table.row_kind != RowKind::Entity);
        let tables = of_tasks.map(|table| RangedTable::open(export, table, &saved));
        Some(Self {
            export,
            positions,
            tables: tables.collect::<Option<_>>()?,
        })
    }

    /// The number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The positions of the IDs of a range.
    pub(crate) fn positions(&self, number: usize) -> Option<Range<usize>> {
        self.positions.get(number).cloned()
    }

    pub(crate) fn tables(&self) -> &[RangedTable<'p>] {
        &self.tables
    }

    /// Cursors of a range, one for each table.
    pub(crate) fn cursors(&self, number: usize) -> Option<Vec<TableCursor>> {
        let directory = self.export.directory;
        let cursors = self.tables.iter().map(|ranged| {
            let RangedTable { table, path, parts } = ranged;
            let part = parts.part(number)?;
            Some(TableCursor::of_part(table, directory, path, part))
        });
        cursors.collect()
    }
}

impl<'p> RangedTable<'p> {
    fn open(
        export: VerifiedExport<'p>,
        table: &'static TableInfo,
        saved: &[SavedRange],
    ) -> Option<Self> {
        let manifest = export.manifest;
        let mut entries = manifest.tables.iter();
        let (_, entry) = entries.find(|(name, _)| name == table.name)?;
        let [TableFile { file, .. }] = entry.files.as_slice() else {
            return None;
        };
        let path = file.path.as_str();
        if !is_inside(path) {
            return None;
        }
        let of_table = saved.iter().map(|range| {
            let mut appended = range.tables.iter();
            appended.find(|appended| appended.table == table.name)
        });
        let rows = of_table.clone().flatten().map(|appended| appended.rows);
        if rows.fold(0, u64::saturating_add) != entry.rows {
            return None;
        }
        let sizes = of_table.map(|appended| {
            appended.map_or_else(PartSize::default, |appended| PartSize {
                row_groups: appended.row_groups,
                bytes: appended.region.bytes,
            })
        });
        // The pass in order reports why a file cannot be read.
        let input = input(&export.directory.join(path)).ok()??;
        let parts = PartedTable::open(manifest.options.format, table, input, sizes).ok()??;
        Some(Self { table, path, parts })
    }
}
