//! Reads the rows of a batch cell by cell. Columns are downcast once.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use crate::json::text::Text;
use crate::tables::cell::{Cell, Texts};
use crate::tables::column::ColumnType;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// One column of a batch, downcast.
#[derive(Debug, Clone)]
enum ColumnCells {
    Text(StringArray),
    Int32(Int32Array),
    Int64(Int64Array),
    Float64(Float64Array),
    Bool(BooleanArray),
    Time(TimestampMicrosecondArray),
    Texts(ListArray),
    Bytes(BinaryArray),
}

impl ColumnCells {
    /// Returns nothing if the array does not have the column's type.
    fn of(column_type: ColumnType, array: &ArrayRef) -> Option<Self> {
        // The downcasts below ignore time zones and the names of list elements.
        if *array.data_type() != column_type.data_type() {
            return None;
        }
        Some(match column_type {
            ColumnType::Str
            | ColumnType::UniqueStr
            | ColumnType::RepeatedStr
            | ColumnType::Path
            | ColumnType::Json => Self::Text(array.as_string_opt()?.clone()),
            ColumnType::Int32 => Self::Int32(array.as_primitive_opt()?.clone()),
            ColumnType::Int64 => Self::Int64(array.as_primitive_opt()?.clone()),
            ColumnType::Float64 => Self::Float64(array.as_primitive_opt()?.clone()),
            ColumnType::Bool => Self::Bool(array.as_boolean_opt()?.clone()),
            ColumnType::Timestamp => Self::Time(array.as_primitive_opt()?.clone()),
            ColumnType::StrList => Self::Texts(array.as_list_opt()?.clone()),
            ColumnType::Bytes => Self::Bytes(array.as_binary_opt()?.clone()),
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(array) => array,
            Self::Int32(array) => array,
            Self::Int64(array) => array,
            Self::Float64(array) => array,
            Self::Bool(array) => array,
            Self::Time(array) => array,
            Self::Texts(array) => array,
            Self::Bytes(array) => array,
        }
    }

    fn cell(&self, row: usize) -> Option<Cell<'_>> {
        let array = self.array();
        // `value` panics outside of the array, and returns some value for null.
        if row >= array.len() || array.is_null(row) {
            return None;
        }
        Some(match self {
            Self::Text(array) => Cell::Text(Text::plain(array.value(row))),
            Self::Int32(array) => Cell::Int32(array.value(row)),
            Self::Int64(array) => Cell::Int64(array.value(row)),
            Self::Float64(array) => Cell::Float64(array.value(row)),
            Self::Bool(array) => Cell::Bool(array.value(row)),
            Self::Time(array) => Cell::Time(array.value(row)),
            Self::Texts(array) => Cell::Texts(Texts::of_array(array, row)),
            Self::Bytes(array) => Cell::Bytes(array.value(row)),
        })
    }
}

/// A batch of rows of a table.
#[derive(Debug, Clone)]
pub struct Rows {
    table: &'static TableInfo,
    batch: RecordBatch,
    cells: Vec<ColumnCells>,
}

impl Rows {
    /// Takes a batch with the columns of the table. Otherwise returns the name of the first column that differs.
    pub fn of(table: &'static TableInfo, batch: RecordBatch) -> Result<Self, &'static str> {
        let cells = table
            .columns()
            .enumerate()
            .map(|(index, column)| {
                let array = batch.columns().get(index);
                array
                    .and_then(|array| ColumnCells::of(column.column_type, array))
                    .ok_or(column.name)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            table,
            batch,
            cells,
        })
    }

    /// The table.
    pub fn table(&self) -> &'static TableInfo {
        self.table
    }

    /// The batch.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cell at the position of a column; nothing if it is null.
    pub fn cell(&self, column: usize, row: usize) -> Option<Cell<'_>> {
        self.cells.get(column)?.cell(row)
    }

    /// The cells of a row, in the order of the columns.
    pub(crate) fn cells(&self, row: usize) -> Vec<Option<Cell<'_>>> {
        let columns = self.cells.iter();
        columns.map(|column| column.cell(row)).collect()
    }

    /// The text of the cell at the position of a column; nothing if it is null or not text.
    pub fn text(&self, column: usize, row: usize) -> Option<&str> {
        match self.cells.get(column)? {
            ColumnCells::Text(array) if row < array.len() && !array.is_null(row) => {
                Some(array.value(row))
            }
            _ => None,
        }
    }

    /// Passes rows to a sink: those whose first cell, the ID of a task in most tables, `is_wanted` accepts. Returns how
    /// many.
    pub(crate) fn pass_to(
        &self,
        sink: &mut dyn RowSink,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<u64, SinkError> {
        let mut passed = 0;
        let mut last: Option<(&str, bool)> = None;
        for row in 0..self.len() {
            let task_id = self.text(0, row).unwrap_or_default();
            // The rows of a task are next to each other.
            let is_wanted = match last {
                Some((known, is_wanted)) if known == task_id => is_wanted,
                _ => is_wanted(task_id),
            };
            last = Some((task_id, is_wanted));
            if is_wanted {
                sink.row(self.table, &self.cells(row))?;
                passed += 1;
            }
        }
        Ok(passed)
    }

    /// Whether `count` rows from `row` on equal those of `other` from `other_row` on. Floating-point numbers are equal
    /// if all of their bits are.
    pub fn same(&self, row: usize, other: &Self, other_row: usize, count: usize) -> bool {
        let columns = self.batch.columns().iter().zip(other.batch.columns());
        row + count <= self.len()
            && other_row + count <= other.len()
            && columns
                .into_iter()
                .all(|(left, right)| left.slice(row, count) == right.slice(other_row, count))
    }
}
