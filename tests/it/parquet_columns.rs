//! Readers that others wrote read every type of column, with all of its encodings.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use arrow::ipc::writer::FileWriter;
use scale_export::encode::parquet::write::in_memory::encode_rows;
use scale_export::tables::column::{ColumnInfo, ColumnType};
use scale_export::tables::row_key::RowKind;
use scale_export::tables::row_reader::Rows;
use scale_export::tables::schema::arrow_schema;
use scale_export::tables::table::{Table, TableInfo};

use crate::support::python;

const fn column(name: &'static str, column_type: ColumnType, required: bool) -> ColumnInfo {
    ColumnInfo {
        name,
        column_type,
        required,
        doc: "A column",
    }
}

/// Every type, optional and required. `task_id` and `turn_index` have page indexes.
static ALL_TYPES: TableInfo = TableInfo {
    table: Table::Changes,
    name: "all_types",
    doc: "One row for each row",
    row_kind: RowKind::Entity,
    own_columns: &[
        column("task_id", ColumnType::UniqueStr, true),
        column("turn_index", ColumnType::Int32, false),
        column("name", ColumnType::Str, true),
        column("text", ColumnType::RepeatedStr, false),
        column("required_text", ColumnType::RepeatedStr, true),
        column("count", ColumnType::Int32, true),
        column("number", ColumnType::Int64, false),
        column("score", ColumnType::Float64, false),
        column("required_score", ColumnType::Float64, true),
        column("flag", ColumnType::Bool, false),
        column("required_flag", ColumnType::Bool, true),
        column("time", ColumnType::Timestamp, false),
        column("list", ColumnType::StrList, false),
        column("required_list", ColumnType::StrList, true),
        column("bytes", ColumnType::Bytes, false),
        column("nothing", ColumnType::Path, false),
    ],
};

/// How often values repeat, which decides their encoding.
#[derive(Debug, Clone, Copy)]
enum Repetition {
    /// The same few values: a dictionary of each column.
    Few,
    /// No value repeats: most columns have no dictionary.
    None,
    /// Values repeat at first, and then exceed the dictionary.
    AtFirst,
}

/// The number of a row's value.
fn value_number(row: usize, repetition: Repetition) -> usize {
    match repetition {
        Repetition::Few => row / 3 % 40,
        Repetition::None => row,
        Repetition::AtFirst => row / 2 * (row / 2_000) % 1_000_003,
    }
}

/// The columns of so many rows. One in `nulls` values is null.
fn rows(count: usize, nulls: usize, repetition: Repetition) -> Rows {
    let number = |row: usize| value_number(row, repetition);
    let int = |row: usize| i32::try_from(number(row)).unwrap() - 500;
    let text = |row: usize| format!("{}: naïve \u{1F980} {}", number(row), "x".repeat(row % 190));
    let is_null = |row: usize| row % nulls == nulls / 2;
    let all = || 0..count;
    let optional = || all().map(|row| (!is_null(row)).then_some(row));
    let columns = ALL_TYPES.columns().map(|column| -> ArrayRef {
        match (column.column_type, column.required) {
            (ColumnType::UniqueStr, _) => Arc::new(StringArray::from_iter_values(
                all().map(|row| format!("task_{row:09}")),
            )),
            (ColumnType::Path, _) => Arc::new(StringArray::new_null(count)),
            (ColumnType::Int32, true) => Arc::new(Int32Array::from_iter_values(all().map(int))),
            (ColumnType::Int32, false) => {
                let values = optional().map(|row| row.map(int));
                Arc::new(values.collect::<Int32Array>())
            }
            (ColumnType::Int64, _) => {
                let values = optional().map(|row| row.map(|row| i64::from(int(row)) << 33));
                Arc::new(values.collect::<Int64Array>())
            }
            (ColumnType::Float64, true) => Arc::new(Float64Array::from_iter_values(
                all().map(|row| f64::from(int(row)) * 0.0),
            )),
            (ColumnType::Float64, false) => {
                let values = optional().map(|row| row.map(|row| f64::from(int(row)) / 7.0));
                Arc::new(values.collect::<Float64Array>())
            }
            (ColumnType::Bool, true) => {
                let values = all().map(|row| Some(row % 3 == 0));
                Arc::new(values.collect::<BooleanArray>())
            }
            (ColumnType::Bool, false) => {
                let values = optional().map(|row| row.map(|row| row % 3 == 0));
                Arc::new(values.collect::<BooleanArray>())
            }
            (ColumnType::Timestamp, _) => {
                const START: i64 = 1_700_000_000_000_000;
                let values = optional().map(|row| row.map(|row| START + i64::from(int(row))));
                let times = values.collect::<TimestampMicrosecondArray>();
                Arc::new(times.with_data_type(column.column_type.data_type()))
            }
            (ColumnType::Bytes, _) => {
                let bytes = |row: usize| [text(row).as_bytes(), &[0xFF]].concat();
                let values = optional().map(|row| row.map(bytes));
                Arc::new(values.collect::<BinaryArray>())
            }
            (ColumnType::StrList, required) => {
                let DataType::List(element) = column.column_type.data_type() else {
                    unreachable!("a list has a list's type")
                };
                let mut lists = ListBuilder::new(StringBuilder::new()).with_field(element);
                for row in all() {
                    let is_value = required || !is_null(row);
                    for element in 0..if is_value { row % 4 } else { 0 } {
                        lists
                            .values()
                            .append_value(format!("{} {element}", number(row)));
                    }
                    lists.append(is_value);
                }
                Arc::new(lists.finish())
            }
            (_, true) => Arc::new(StringArray::from_iter_values(all().map(text))),
            (_, false) => {
                let values = optional().map(|row| row.map(text));
                Arc::new(values.collect::<StringArray>())
            }
        }
    });
    let batch = RecordBatch::try_new(arrow_schema(&ALL_TYPES), columns.collect()).unwrap();
    Rows::of(&ALL_TYPES, batch).unwrap()
}

#[test]
fn pyarrow_and_duckdb_read_every_encoding_of_every_type() {
    let base = tempfile::tempdir().unwrap();
    let files = [
        ("empty", rows(0, 2, Repetition::Few)),
        ("one", rows(1, 2, Repetition::Few)),
        ("nulls", rows(30_000, 1, Repetition::Few)),
        ("few", rows(45_000, 5, Repetition::Few)),
        ("unique", rows(45_000, 9, Repetition::None)),
        ("overflow", rows(70_000, 4, Repetition::AtFirst)),
    ];
    let mut check = python();
    check.arg(crate::support::root().join("tests/consumers/same_rows.py"));
    for (name, rows) in &files {
        let parquet = base.path().join(format!("{name}.parquet"));
        std::fs::write(&parquet, encode_rows(&ALL_TYPES, [rows.clone()]).unwrap()).unwrap();
        let arrow = base.path().join(format!("{name}.arrow"));
        let file = File::create(&arrow).unwrap();
        let mut writer = FileWriter::try_new(file, &rows.batch().schema()).unwrap();
        writer.write(rows.batch()).unwrap();
        writer.finish().unwrap();
        check.arg(parquet).arg(arrow);
    }
    let output = check.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(
        output.status.success() && printed.contains(&format!("same: {}", files.len())),
        "{printed}"
    );
}
