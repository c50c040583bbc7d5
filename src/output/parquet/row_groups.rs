//! Where row groups end: by the number of a table's rows and the bytes of their values, and by nothing else, so that the
//! same rows give the same row groups however they arrive and whatever other tables hold.

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;

/// Rows of a row group: DuckDB's own unit of parallel work.
const MAX_ROWS: usize = 122_880;

/// Bytes of the values of a row group. It bounds what waits in memory until the row group is written.
const MAX_VALUE_BYTES: usize = 32 << 20;

/// The row group that is being filled.
#[derive(Debug, Default)]
pub(super) struct RowGroup {
    rows: usize,
    value_bytes: usize,
}

impl RowGroup {
    /// Adds as many rows of the batch as fit and returns their number. Fewer than the batch has: the row group is full,
    /// and the next call starts the next one. A row that is larger than a row group has one for itself.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> usize {
        let room_rows = MAX_ROWS - self.rows;
        let room_bytes = MAX_VALUE_BYTES.saturating_sub(self.value_bytes);
        let most = batch.num_rows().min(room_rows);
        let mut fitting = most;
        if value_bytes(batch, most) > room_bytes {
            // The bytes of the first rows grow with their number, so halving finds the last number that fits.
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
            *self = Self::default();
        } else {
            self.rows += fitting;
            self.value_bytes += value_bytes(batch, fitting);
        }
        fitting
    }
}

/// Bytes of the values in the first rows of a batch; a null has none.
fn value_bytes(batch: &RecordBatch, rows: usize) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column_bytes(column.as_ref(), rows))
        .sum()
}

fn column_bytes(column: &dyn Array, rows: usize) -> usize {
    /// Bytes between the first offset and that of a row.
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
