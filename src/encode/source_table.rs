//! An existing file of a table, whose rows are copied into a new one.

use std::io;
use std::path::Path;

use thiserror::Error;

use crate::durable_fs::open_to_read;
use crate::encode::csv::write::header;
use crate::encode::file_part::PartError;
use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::kept_bytes::KeptBytes;
use crate::encode::parquet::write::file_layout::{FileLayout, MAGIC};
use crate::encode::parquet::write::source_file::SourceFile;
use crate::encode::part_collector::{EncodedContent, EncodedRows};
use crate::encode::region_writer::{Region, RegionHasher};
use crate::encode::table_writers::AppendedRows;
use crate::tables::table::TableInfo;

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Why rows cannot be copied. They are encoded again then.
#[derive(Debug, Error)]
pub(crate) enum SourceDamage {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Format(#[from] PartError),
    #[error("it has other bytes than were written")]
    Changed,
}

/// Where appended rows are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowsPlace {
    /// The number of row groups before.
    pub(crate) row_groups: usize,
    /// The offset in the file.
    pub(crate) offset: u64,
}

/// The file of a table.
#[derive(Debug)]
pub(crate) struct SourceTable {
    input: Input,
    /// The metadata of a Parquet file.
    parquet: Option<SourceFile>,
}

impl SourceTable {
    /// Opens a file that ends with `tail`, and checks that.
    pub(crate) fn open(
        format: Format,
        table: &'static TableInfo,
        path: &Path,
        tail: &Region,
    ) -> Result<Self, SourceDamage> {
        let input = Input::from(open_to_read(path)?);
        let start = input.length()?.checked_sub(tail.bytes);
        check(&input, start.ok_or(SourceDamage::Changed)?, tail)?;
        let parquet = match format {
            Format::Parquet => {
                let layout = FileLayout::of(table).map_err(PartError::from)?;
                let source = SourceFile::open(layout, input.clone());
                Some(source.map_err(PartError::from)?)
            }
            Format::Csv => None,
        };
        Ok(Self { input, parquet })
    }

    /// Where the first rows of a table are.
    pub(crate) fn begin(format: Format, table: &TableInfo) -> RowsPlace {
        let before = match format {
            Format::Parquet => MAGIC.len(),
            Format::Csv => header(table).len(),
        };
        RowsPlace {
            row_groups: 0,
            offset: before as u64,
        }
    }

    /// The rows at a place, after a check of their bytes. Appended to a file, they give the same bytes.
    pub(crate) fn rows(
        &self,
        place: RowsPlace,
        appended: &AppendedRows,
    ) -> Result<EncodedRows, SourceDamage> {
        check(&self.input, place.offset, &appended.region)?;
        let content = match &self.parquet {
            Some(source) => {
                let row_groups = place.row_groups..place.row_groups + appended.row_groups;
                let row_groups = row_groups.map(|number| source.row_group(number));
                let row_groups = row_groups.collect::<Result<_, _>>();
                EncodedContent::Parquet(row_groups.map_err(PartError::from)?)
            }
            None => EncodedContent::Csv {
                records: pieces(place.offset, appended.region.bytes)
                    .map(|(offset, bytes)| KeptBytes::existing(self.input.clone(), offset, bytes))
                    .collect(),
                longest: appended.longest_record,
            },
        };
        Ok(EncodedRows {
            rows: appended.rows,
            content,
            expected: Some(appended.region.clone()),
        })
    }
}

/// Checks that a region of a file has the bytes that were written.
fn check(input: &Input, offset: u64, region: &Region) -> Result<(), SourceDamage> {
    let mut hasher = RegionHasher::new();
    for (offset, bytes) in pieces(offset, region.bytes) {
        hasher.update(&input.read_at(offset, bytes)?);
    }
    if hasher.finish() == *region {
        Ok(())
    } else {
        Err(SourceDamage::Changed)
    }
}

/// Parts of a file that are short enough to be in memory: the offset of each, and its bytes.
fn pieces(offset: u64, bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = offset.saturating_add(bytes);
    let step = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
    let starts = (offset..end).step_by(step);
    starts.map(move |start| (start, PIECE_BYTES.min(end - start)))
}
