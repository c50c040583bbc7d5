//! The published tables as a source of ranges that have not changed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use thiserror::Error;

use crate::encode::format::Selection;
use crate::encode::rows_encoder::EncodedTable;
use crate::encode::source_table::{RowsPlace, SourceDamage, SourceTable};
use crate::encode::table_writers::AppendedRows;
use crate::event::{Event, Events};
use crate::flatten::entity_versions::EntityVersion;
use crate::jobs::ranges::range_key::RangeKey;
use crate::jobs::ranges::saved_ranges::{SavedRange, SavedRanges, UnusableRanges};
use crate::journal::failure_note::FailureNote;
use crate::state::paths::{RANGES, StateDir};
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

/// Why the published tables cannot be copied.
#[derive(Debug, Error)]
enum NotCopied {
    #[error("{RANGES}: {0}")]
    Ranges(#[from] UnusableRanges),
    #[error("they have another format, or other tables")]
    OtherTables,
    #[error("`{table}`: {cause}")]
    Table {
        table: &'static str,
        cause: SourceDamage,
    },
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
    /// Opens the tables of an export. `None` if they cannot be copied: then all ranges are built. Reports why, unless no
    /// run has published tables in ranges yet.
    pub(crate) fn open(export: &Path, selection: Selection, events: &Events) -> Option<Self> {
        let opened = Self::try_open(export, selection);
        opened
            .inspect_err(|cause| {
                if !matches!(cause, NotCopied::Ranges(UnusableRanges::Missing)) {
                    let text = format!("cannot copy ranges from the published tables: {cause}");
                    events.send(Event::Detail(text));
                }
            })
            .ok()
    }

    fn try_open(export: &Path, selection: Selection) -> Result<Self, NotCopied> {
        let saved = SavedRanges::read(&StateDir::of_output(export).ranges())?;
        let format = selection.format;
        let mut tables = BTreeMap::new();
        let mut next = BTreeMap::new();
        let of_ranges = selection.tables.tables();
        for table in of_ranges.filter(|table| table.row_kind != RowKind::Entity) {
            let path = export.join(format.file_name(table.name));
            let tail = saved.tails.get(table.name);
            let tail = tail.ok_or(NotCopied::OtherTables)?;
            let source = SourceTable::open(format, table, &path, tail);
            let source = source.map_err(|cause| NotCopied::Table {
                table: table.name,
                cause,
            })?;
            next.insert(table.name.to_owned(), SourceTable::begin(format, table));
            tables.insert(table.name.to_owned(), (table, source));
        }
        let mut ranges = HashMap::new();
        for saved in saved.ranges {
            let places = places(&mut next, &saved.tables).ok_or(NotCopied::OtherTables)?;
            ranges.insert(saved.key.clone(), PlacedRange { saved, places });
        }
        Ok(Self {
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

/// The places of the next rows in each table; `next` becomes those after them. `None` if a table is not open.
fn places(next: &mut BTreeMap<String, RowsPlace>, rows: &[AppendedRows]) -> Option<Vec<RowsPlace>> {
    let places = rows.iter().map(|appended| {
        let next = next.get_mut(&appended.table)?;
        let place = *next;
        next.row_groups = next.row_groups.checked_add(appended.row_groups)?;
        next.offset = next.offset.checked_add(appended.region.bytes)?;
        Some(place)
    });
    places.collect()
}
