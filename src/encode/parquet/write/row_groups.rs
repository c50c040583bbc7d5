//! Decides where row groups end: only by the number of a table's rows and the bytes of their values, so that the same
//! rows always give the same row groups, whatever their batches and other tables are.

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;

/// Maximum rows of a row group: DuckDB's unit of parallel work.
const MAX_ROWS: usize = 122_880;

/// Maximum bytes of the values of a row group. It bounds the memory of rows that wait for their row group.
const MAX_VALUE_BYTES: usize = 128 << 20;

/// The limits of a row group.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rows: usize,
    value_bytes: usize,
}

/// The row group that is being filled.
#[derive(Debug)]
pub(crate) struct RowGroup {
    rows: usize,
    value_bytes: usize,
    limits: Limits,
}

impl Default for RowGroup {
    fn default() -> Self {
        Self::new(Limits {
            rows: MAX_ROWS,
            value_bytes: MAX_VALUE_BYTES,
        })
    }
}

impl RowGroup {
    fn new(limits: Limits) -> Self {
        Self {
            rows: 0,
            value_bytes: 0,
            limits,
        }
    }

    /// Adds as many rows of the batch as fit, and returns their number. If that is less than the rows of the batch, the
    /// row group is full and the next call starts a new one. A row that is larger than a row group gets a separate one.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> usize {
        let room_rows = self.limits.rows.saturating_sub(self.rows);
        let room_bytes = self.limits.value_bytes.saturating_sub(self.value_bytes);
        let most = batch.num_rows().min(room_rows);
        let mut fitting = most;
        if value_bytes(batch, most) > room_bytes {
            // The bytes of the first rows grow with their number, so a binary search finds the largest number that
            // fits.
            let (mut fits, mut exceeds) = (0, most);
            while exceeds - fits > 1 {
                let middle = fits + (exceeds - fits) / 2;
                if value_bytes(batch, middle) > room_bytes {
                    exceeds = middle;
                } else {
                    fits = middle;
                }
            }
            fitting = if fits == 0 && self.rows == 0 { 1 } else { fits };
        }
        if fitting < batch.num_rows() {
            *self = Self::new(self.limits);
        } else {
            self.rows += fitting;
            self.value_bytes += value_bytes(batch, fitting);
        }
        fitting
    }
}

/// Bytes of the values in the first rows of a batch. A null has none.
fn value_bytes(batch: &RecordBatch, rows: usize) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column_bytes(column.as_ref(), rows))
        .sum()
}

fn column_bytes(column: &dyn Array, rows: usize) -> usize {
    /// Bytes between the first offset and the offset of a row.
    fn between(offsets: &[i32], rows: usize) -> usize {
        let at = |row: usize| offsets.get(row).copied().unwrap_or_default();
        usize::try_from(at(rows) - at(0)).unwrap_or_default()
    }
    match column.data_type() {
        DataType::Utf8 => between(column.as_string::<i32>().value_offsets(), rows),
        DataType::Binary => between(column.as_binary::<i32>().value_offsets(), rows),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.value_offsets();
            let first = offsets.first().copied().unwrap_or_default();
            let texts = list.values();
            usize::try_from(first).map_or(0, |first| {
                let texts = texts.slice(first, between(offsets, rows));
                column_bytes(&texts, texts.len())
            })
        }
        other => other.primitive_width().unwrap_or(size_of::<bool>()) * rows,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Float64Array, Int32Array, ListBuilder, StringArray,
        StringBuilder,
    };
    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn batch(columns: Vec<arrow::array::ArrayRef>) -> RecordBatch {
        let fields = columns.iter().enumerate();
        let fields: Vec<_> = fields
            .map(|(index, column)| {
                Field::new(format!("c{index}"), column.data_type().clone(), true)
            })
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn texts(lengths: &[usize]) -> RecordBatch {
        let texts = lengths.iter().map(|length| "x".repeat(*length));
        batch(vec![Arc::new(StringArray::from_iter_values(texts))])
    }

    const LIMITS: Limits = Limits {
        rows: 7,
        value_bytes: 100,
    };

    /// Rows of each row group if a batch arrives in these pieces.
    fn row_groups(batch: &RecordBatch, pieces: &[usize]) -> Vec<usize> {
        let (mut row_group, mut groups, mut rows, mut from) = (RowGroup::new(LIMITS), vec![], 0, 0);
        for piece in pieces.iter().copied().chain([usize::MAX]) {
            let piece = piece.min(batch.num_rows() - from);
            let mut rest = batch.slice(from, piece);
            from += piece;
            loop {
                let fitting = row_group.add(&rest);
                rows += fitting;
                if fitting == rest.num_rows() {
                    break;
                }
                groups.push(rows);
                rows = 0;
                rest = rest.slice(fitting, rest.num_rows() - fitting);
            }
        }
        groups.push(rows);
        groups
    }

    #[test]
    fn a_row_group_ends_by_rows_or_by_bytes() {
        let many = batch(vec![Arc::new(Int32Array::from(vec![1; 15]))]);
        assert_eq!(row_groups(&many, &[]), [7, 7, 1]);
        let (half, all) = (50, 100);
        assert_eq!(row_groups(&texts(&[half, half, 1]), &[]), [2, 1]);
        assert_eq!(row_groups(&texts(&[half, half + 1, 1]), &[]), [1, 2]);
        assert_eq!(row_groups(&texts(&[1, all + 5, 1]), &[]), [1, 1, 1]);
        assert_eq!(row_groups(&texts(&[all + 5, all + 5]), &[]), [1, 1]);
        assert_eq!(row_groups(&texts(&[]), &[]), [0]);
    }

    #[test]
    fn every_type_counts_the_bytes_of_its_values() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.values().append_value("abc");
        lists.values().append_value("de");
        lists.append(true);
        lists.append(false);
        lists.values().append_value("fghi");
        lists.append(true);
        let batch = batch(vec![
            Arc::new(StringArray::from(vec![Some("ab"), None, Some("c")])),
            Arc::new(BinaryArray::from(vec![
                Some(b"abc".as_ref()),
                None,
                Some(b""),
            ])),
            Arc::new(lists.finish()),
            Arc::new(Float64Array::from(vec![Some(1.0), None, None])),
            Arc::new(BooleanArray::from(vec![Some(true), None, None])),
        ]);
        assert_eq!(value_bytes(&batch, 1), 2 + 3 + 5 + 8 + 1);
        assert_eq!(value_bytes(&batch, 3), 3 + 3 + 9 + 24 + 3);
        let last = batch.slice(2, 1);
        assert_eq!(value_bytes(&last, 1), 1 + 4 + 8 + 1);
    }

    proptest! {
        #[test]
        fn rows_are_cut_alike_however_they_arrive(
            lengths in proptest::collection::vec(0_usize..40, 0..40),
            pieces in proptest::collection::vec(0_usize..9, 0..9),
        ) {
            let batch = texts(&lengths);
            prop_assert_eq!(row_groups(&batch, &pieces), row_groups(&batch, &[]));
        }
    }
}
