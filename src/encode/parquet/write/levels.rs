//! Definition and repetition levels of the rows of a page, as Parquet defines them: which values are null, and where
//! lists begin.

use crate::encode::parquet::write::raw_page::PageCounts;
use crate::encode::parquet::write::runs::{Runs, bit_width};
use crate::tables::column::{ColumnInfo, ColumnType};

/// Levels whose memory is kept for the next column chunk.
const KEPT_NUMBERS: usize = 2_048;

/// The levels of the current page of a column.
#[derive(Debug)]
pub(crate) struct PageLevels {
    is_list: bool,
    /// The level of a value. Lower levels stand for null and for an empty list.
    max_definition: u32,
    definition: Runs,
    repetition: Runs,
    values: usize,
}

impl PageLevels {
    pub(crate) fn new(column: &ColumnInfo) -> Self {
        let is_list = column.column_type == ColumnType::StrList;
        Self {
            is_list,
            max_definition: u32::from(!column.required) + u32::from(is_list),
            definition: Runs::default(),
            repetition: Runs::default(),
            values: 0,
        }
    }

    /// Adds a row that is null. The column is optional.
    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.push(0, true);
    }

    /// Adds a row that is an empty list.
    pub(crate) fn push_empty_list(&mut self) {
        self.push(self.max_definition - 1, true);
    }

    /// Adds a value: that of a row, or an element of a list.
    #[inline]
    pub(crate) fn push_value(&mut self, is_first_in_row: bool) {
        self.push(self.max_definition, is_first_in_row);
    }

    #[inline]
    fn push(&mut self, definition: u32, is_first_in_row: bool) {
        self.values += 1;
        if self.max_definition > 0 {
            self.definition.push(definition);
        }
        if self.is_list {
            self.repetition.push(u32::from(!is_first_in_row));
        }
    }

    /// Appends the levels as a page begins with them, adds their counts, and starts a new page.
    pub(crate) fn finish(&mut self, counts: &mut PageCounts, body: &mut Vec<u8>) {
        let max_definition = self.max_definition;
        counts.values = std::mem::take(&mut self.values);
        for run in self.repetition.iter() {
            if let Some(count) = counts.repetition.get_mut(run.value as usize) {
                *count += run.count as usize;
            }
        }
        for run in self.definition.iter() {
            if let Some(count) = counts.definition.get_mut(run.value as usize) {
                *count += run.count as usize;
            }
        }
        let of_values = counts.definition.get(max_definition as usize).copied();
        counts.nulls = counts.definition.iter().sum::<usize>() - of_values.unwrap_or_default();
        for (levels, max) in [
            (&mut self.repetition, u32::from(self.is_list)),
            (&mut self.definition, max_definition),
        ] {
            if max > 0 {
                append_levels(levels, max, body);
            }
            levels.clear();
        }
    }

    /// Frees memory that the next column chunk may not need.
    pub(crate) fn shrink(&mut self) {
        self.repetition.shrink(KEPT_NUMBERS);
        self.definition.shrink(KEPT_NUMBERS);
    }
}

/// Appends levels after their length.
fn append_levels(levels: &Runs, max: u32, body: &mut Vec<u8>) {
    let start = body.len();
    body.extend_from_slice(&[0; size_of::<u32>()]);
    let behind_length = body.len();
    levels.encode(bit_width(max), body);
    // A page has few rows, or little more than a megabyte.
    let length = u32::try_from(body.len() - behind_length).unwrap_or(u32::MAX);
    if let Some(place) = body.get_mut(start..behind_length) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}
