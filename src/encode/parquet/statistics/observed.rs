//! Computes the statistics of a column chunk and its pages from decoded values.

use arrow::array::{Array, ArrayRef, AsArray as _, ListArray};
use arrow::datatypes::DataType;

use crate::encode::parquet::statistics::bounds::Bounds;
use crate::tables::column::{ColumnInfo, ColumnType};

/// The nesting of a column: the levels that its values can have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    is_required: bool,
    pub(crate) is_list: bool,
}

impl Levels {
    pub(crate) fn of(column: &ColumnInfo) -> Self {
        Self {
            is_required: column.required,
            is_list: column.column_type == ColumnType::StrList,
        }
    }
}

/// Counts and bounds of rows of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    null_rows: u64,
    empty_lists: u64,
    values: u64,
    /// Bytes of text and byte values.
    pub(crate) value_bytes: u64,
    pub(crate) bounds: Bounds,
}

impl Summary {
    /// The values of a page or chunk as Parquet counts them: with nulls and empty lists.
    pub(crate) fn num_values(&self) -> u64 {
        self.values + self.null_count()
    }

    /// The nulls as Parquet counts them: with empty lists.
    pub(crate) fn null_count(&self) -> u64 {
        self.null_rows + self.empty_lists
    }

    /// Whether the rows have no value.
    pub(crate) fn is_null(&self) -> bool {
        self.values == 0
    }

    /// The number of values of each definition level. Empty if the column has one level only.
    pub(crate) fn definition_levels(&self, levels: Levels) -> Vec<u64> {
        match (levels.is_required, levels.is_list) {
            (true, false) => vec![],
            (false, false) => vec![self.null_rows, self.values],
            (true, true) => vec![self.empty_lists, self.values],
            (false, true) => vec![self.null_rows, self.empty_lists, self.values],
        }
    }

    /// The number of values of each repetition level. Empty if the column is not a list.
    pub(crate) fn repetition_levels(&self, levels: Levels) -> Vec<u64> {
        if levels.is_list {
            vec![self.rows, self.num_values() - self.rows]
        } else {
            vec![]
        }
    }

    fn of(array: &ArrayRef) -> Self {
        let (rows, null_rows) = (array.len() as u64, array.null_count() as u64);
        let (empty_lists, leaves) = match array.as_list_opt::<i32>() {
            None => (0, array.clone()),
            Some(lists) => {
                let lengths = (0..lists.len()).filter(|row| lists.is_valid(*row));
                let empty = lengths.filter(|row| list_length(lists, *row) == 0).count();
                let offsets = lists.value_offsets();
                let first = offsets.first().copied().unwrap_or_default();
                let first = usize::try_from(first).unwrap_or_default();
                let length = between(offsets);
                (empty as u64, lists.values().slice(first, length))
            }
        };
        let value_bytes = match leaves.data_type() {
            DataType::Utf8 => between(leaves.as_string::<i32>().value_offsets()),
            DataType::Binary => between(leaves.as_binary::<i32>().value_offsets()),
            _ => 0,
        };
        Self {
            rows,
            null_rows,
            empty_lists,
            values: (leaves.len() - leaves.null_count()) as u64,
            value_bytes: value_bytes as u64,
            bounds: Bounds::of(&leaves),
        }
    }

    fn extend(&mut self, other: &Self) {
        self.rows += other.rows;
        self.null_rows += other.null_rows;
        self.empty_lists += other.empty_lists;
        self.values += other.values;
        self.value_bytes += other.value_bytes;
        self.bounds.extend(&other.bounds);
    }
}

/// The difference of the last and the first offset.
fn between(offsets: &[i32]) -> usize {
    match offsets {
        [first, .., last] => usize::try_from(last - first).unwrap_or_default(),
        _ => 0,
    }
}

fn list_length(lists: &ListArray, row: usize) -> usize {
    lists
        .value_offsets()
        .get(row..)
        .map_or(0, |offsets| between(offsets.get(..2).unwrap_or_default()))
}

/// The statistics of a column chunk while its rows are read.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Values of each page, by the page headers.
    page_values: Vec<u64>,
    /// Whether the bounds of each page are needed.
    keeps_bounds: bool,
    page: Summary,
    /// Complete pages.
    pub(crate) pages: Vec<Summary>,
    /// The whole chunk.
    pub(crate) chunk: Summary,
    /// Whether a page ends within a row.
    pub(crate) splits_rows: bool,
}

impl Observed {
    pub(crate) fn new(page_values: Vec<u64>, keeps_bounds: bool) -> Self {
        Self {
            page_values,
            keeps_bounds,
            ..Self::default()
        }
    }

    /// Adds the next rows.
    pub(crate) fn add(&mut self, array: &ArrayRef) {
        let mut from = 0;
        while from < array.len() {
            // Rows after the last page of the headers count as one more page.
            let page_values = self.page_values.get(self.pages.len());
            let room = page_values.map_or(u64::MAX, |values| values - self.page.num_values());
            let mut rows = fitting_rows(array, from, room);
            if rows == 0 {
                self.splits_rows = true;
                rows = 1;
            }
            self.page.extend(&Summary::of(&array.slice(from, rows)));
            from += rows;
            if page_values.is_some_and(|values| self.page.num_values() >= *values) {
                self.end_page();
            }
        }
    }

    /// Completes the last page.
    pub(crate) fn finish(&mut self) {
        if self.page.rows > 0 {
            self.end_page();
        }
    }

    fn end_page(&mut self) {
        let mut page = std::mem::take(&mut self.page);
        self.chunk.extend(&page);
        if !self.keeps_bounds {
            page.bounds = Bounds::default();
        }
        self.pages.push(page);
    }
}

/// The largest number of rows, starting at `from`, that have at most `values` values together.
fn fitting_rows(array: &ArrayRef, from: usize, values: u64) -> usize {
    let rows = array.len() - from;
    match array.as_list_opt::<i32>() {
        None => rows.min(usize::try_from(values).unwrap_or(usize::MAX)),
        Some(lists) => {
            let mut room = values;
            (from..array.len())
                .take_while(|row| {
                    let values = list_length(lists, *row).max(1) as u64;
                    let fits = values <= room;
                    room = room.saturating_sub(values);
                    fits
                })
                .count()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListBuilder, StringBuilder};

    use super::*;

    const OPTIONAL: Levels = Levels {
        is_required: false,
        is_list: false,
    };
    const OPTIONAL_LIST: Levels = Levels {
        is_required: false,
        is_list: true,
    };

    #[test]
    fn pages_end_where_the_headers_say() {
        let mut observed = Observed::new(vec![2, 3], true);
        let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(1), Some(9)]));
        observed.add(&array);
        observed.add(&array.slice(1, 1));
        observed.finish();
        let [first, second] = observed.pages.as_slice() else {
            panic!("{:?}", observed.pages)
        };
        assert_eq!((first.rows, first.null_count()), (2, 1));
        assert_eq!((second.rows, second.null_count()), (3, 1));
        assert_eq!(second.definition_levels(OPTIONAL), [1, 2]);
        assert_eq!(observed.chunk.rows, 5);
        let both: ArrayRef = Arc::new(Int32Array::from(vec![1, 9]));
        assert_eq!(observed.chunk.bounds, Bounds::of(&both));
        assert!(!observed.splits_rows);
    }

    #[test]
    fn lists_count_as_their_elements_and_when_empty_as_one_null() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("b"), Some("aa")]);
        lists.append_null();
        lists.append(true);
        lists.append_value([Some("c")]);
        let array: ArrayRef = Arc::new(lists.finish());
        let mut observed = Observed::new(vec![3, 2], true);
        observed.add(&array);
        assert_eq!(observed.pages.len(), 2);
        assert_eq!(observed.pages[0].rows, 2);
        let chunk = &observed.chunk;
        assert_eq!((chunk.num_values(), chunk.null_count()), (5, 2));
        assert_eq!(chunk.definition_levels(OPTIONAL_LIST), [1, 1, 3]);
        assert_eq!(chunk.repetition_levels(OPTIONAL_LIST), [4, 1]);
        assert_eq!(chunk.value_bytes, 4);
        let mut observed = Observed::new(vec![1, 4], true);
        observed.add(&array);
        assert!(observed.splits_rows);
    }
}
