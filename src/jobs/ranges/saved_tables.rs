//! The published tables as a source of ranges that have not changed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::encode::format::Selection;
use crate::encode::rows_encoder::EncodedTable;
use crate::encode::source_table::{RowsPlace, SourceTable};
use crate::flatten::entity_versions::EntityVersion;
use crate::jobs::ranges::range_key::RangeKey;
use crate::jobs::ranges::saved_ranges::{SavedRange, SavedRanges};
use crate::journal::failure_note::FailureNote;
use crate::state::paths::StateDir;
use crate::tables::row_key::RowKind;
use crate::tables::schema_drift::Drift;
use crate::tables::table::TableInfo;

/// The tables, open for reading. They stay readable while new ones take their places.
#[derive(Debug)]
pub(crate) struct SavedTables {
    tables: BTreeMap<String, (&'static TableInfo, SourceTable)>,
    ranges: HashMap<RangeKey, PlacedRange>,
    /// The texts of all versions.
    texts: Vec<String>,
}

/// A range, and where its rows are.
#[derive(Debug)]
struct PlacedRange {
    saved: SavedRange,
    /// For each of its tables.
    places: Vec<RowsPlace>,
}

/// A range that is copied.
#[derive(Debug)]
pub(crate) struct CopiedRange {
    pub(crate) tables: Vec<EncodedTable>,
    pub(crate) versions: Vec<EntityVersion>,
    pub(crate) drift: Drift,
    /// Positions in the range.
    pub(crate) unusable: Vec<(usize, FailureNote)>,
}

impl SavedTables {
    /// Opens the tables of an export. `None` if they cannot be copied: then all ranges are built.
    pub(crate) fn open(export: &Path, selection: Selection) -> Option<Self> {
        let saved = SavedRanges::read(&StateDir::of_output(export).ranges())?;
        let format = selection.format;
        let mut tables = BTreeMap::new();
        let mut next = BTreeMap::new();
        let of_ranges = selection.tables.tables();
        for table in of_ranges.filter(|table| table.row_kind != RowKind::Entity) {
            let path = export.join(format.file_name(table.name));
            let tail = saved.tails.get(table.name)?;
            let source = SourceTable::open(format, table, &path, tail).ok()?;
            next.insert(table.name.to_owned(), SourceTable::begin(format, table));
            tables.insert(table.name.to_owned(), (table, source));
        }
        let mut ranges = HashMap::new();
        for saved in saved.ranges {
            let mut places = Vec::new();
            for appended in &saved.tables {
                let place = next.get_mut(&appended.table)?;
                places.push(*place);
                place.row_groups = place.row_groups.checked_add(appended.row_groups)?;
                place.offset = place.offset.checked_add(appended.region.bytes)?;
            }
            ranges.insert(saved.key.clone(), PlacedRange { saved, places });
        }
        Some(Self {
            tables,
            ranges,
            texts: saved.texts,
        })
    }

    /// The range with this key, after a check of its bytes. `None` if there is none, or if it is damaged: then it is built.
    pub(crate) fn copy(&self, key: &RangeKey) -> Option<CopiedRange> {
        let PlacedRange { saved, places } = self.ranges.get(key)?;
        let tables = saved.tables.iter().zip(places).map(|(appended, place)| {
            let (table, source) = self.tables.get(&appended.table)?;
            Some((*table, source.rows(*place, appended).ok()?))
        });
        let versions = saved.versions.iter();
        let versions = versions.map(|version| version.version(&self.texts));
        Some(CopiedRange {
            tables: tables.collect::<Option<_>>()?,
            versions: versions.collect::<Option<_>>()?,
            drift: saved.drift.clone(),
            unusable: saved.unusable.clone(),
        })
    }
}
