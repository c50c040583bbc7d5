//! Rows of any table from any bytes, and the check of their Parquet file. Fuzzing uses this file too.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use scale_export::encode::format::Format;
use scale_export::encode::in_memory::{copy_row_groups, encode_parquet};
use scale_export::encode::input::Input;
use scale_export::encode::parquet::write::column_encoder::PageLimits;
use scale_export::encode::parquet::write::row_group_encoder::RowGroupLimits;
use scale_export::encode::table_reader::open_checked;
use scale_export::tables::column::{ColumnInfo, ColumnType};
use scale_export::tables::row_key::RowKind;
use scale_export::tables::row_reader::Rows;
use scale_export::tables::schema::arrow_schema;
use scale_export::tables::table::{Table, TableInfo};

const fn column(name: &'static str, column_type: ColumnType, required: bool) -> ColumnInfo {
    ColumnInfo {
        name,
        column_type,
        required,
        doc: "A column",
    }
}

/// A table with every type, optional and required. The names of some columns give their pages bounds.
pub(crate) static ALL_TYPES: TableInfo = TableInfo {
    table: Table::Changes,
    name: "all_types",
    doc: "One row for each row",
    row_kind: RowKind::Entity,
    own_columns: &[
        column("task_id", ColumnType::Str, true),
        column("path", ColumnType::Path, true),
        column("turn_id", ColumnType::UniqueStr, false),
        column("turn_index", ColumnType::Int32, false),
        column("message_id", ColumnType::UniqueStr, true),
        column("batch_id", ColumnType::Int64, true),
        column("name", ColumnType::Str, false),
        column("text", ColumnType::RepeatedStr, false),
        column("required_text", ColumnType::RepeatedStr, true),
        column("count", ColumnType::Int32, false),
        column("required_count", ColumnType::Int32, true),
        column("number", ColumnType::Int64, false),
        column("score", ColumnType::Float64, false),
        column("required_score", ColumnType::Float64, true),
        column("flag", ColumnType::Bool, false),
        column("required_flag", ColumnType::Bool, true),
        column("time", ColumnType::Timestamp, false),
        column("list", ColumnType::StrList, false),
        column("required_list", ColumnType::StrList, true),
        column("bytes", ColumnType::Bytes, false),
    ],
};

/// The nature of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    /// Parts of 256 of the values that are null.
    pub(crate) nulls: u8,
    /// Parts of 256 of the values that are null or equal the one before.
    pub(crate) repeats: u8,
    /// Distinct values, at most.
    pub(crate) distinct: u32,
    /// Maximum bytes of a text.
    pub(crate) text_bytes: usize,
}

/// Makes values from bytes. Without bytes left, values repeat.
struct Values<'b> {
    bytes: std::slice::Iter<'b, u8>,
    nature: Nature,
    number: u32,
}

impl Values<'_> {
    fn next(&mut self) -> Option<u32> {
        let control = self.bytes.next().copied().unwrap_or(self.nature.nulls);
        if control < self.nature.nulls {
            return None;
        }
        if control >= self.nature.repeats {
            let mut number = 0;
            for byte in self.bytes.by_ref().take(2) {
                number = number << 8 | u32::from(*byte);
            }
            self.number = number % self.nature.distinct.max(1);
        }
        Some(self.number)
    }

    /// The value of the next row of a column.
    fn of(&mut self, column: &ColumnInfo) -> Option<u32> {
        let value = self.next();
        if column.required {
            value.or(Some(self.number))
        } else {
            value
        }
    }

    fn text(&self, number: u32) -> String {
        const WORDS: [&str; 6] = ["", "a", "word ", "\u{10FFFF}", "naïve ", "\u{0}\""];
        let word = WORDS[number as usize % WORDS.len()];
        let times = self.nature.text_bytes * (number as usize % 5) / 4 / word.len().max(1);
        let end = if number.is_multiple_of(7) {
            String::new()
        } else {
            number.to_string()
        };
        word.repeat(times) + &end
    }
}

fn float(number: u32) -> f64 {
    match number % 9 {
        0 => 0.0,
        1 => -0.0,
        2 => -f64::from(number),
        3 => f64::MAX,
        _ => f64::from(number) / 8.0,
    }
}

fn signed(number: u32) -> i32 {
    number.wrapping_mul(2_654_435_761).cast_signed()
}

/// Rows of a table from bytes.
pub(crate) fn rows(table: &'static TableInfo, nature: Nature, count: usize, bytes: &[u8]) -> Rows {
    let each = bytes.len() / table.columns().count();
    let columns = table.columns().enumerate().map(|(index, column)| {
        let values = Values {
            bytes: bytes[index * each..(index + 1) * each].iter(),
            nature,
            number: 0,
        };
        array(column, values, count)
    });
    let batch = RecordBatch::try_new(arrow_schema(table), columns.collect()).unwrap();
    Rows::of(table, batch).unwrap()
}

fn array(column: &ColumnInfo, mut values: Values<'_>, count: usize) -> ArrayRef {
    macro_rules! fill {
        ($builder:expr, |$number:ident| $value:expr) => {{
            let mut builder = $builder;
            for _ in 0..count {
                let value = values.of(column);
                builder.append_option(value.map(|$number| $value));
            }
            Arc::new(builder.finish())
        }};
    }
    match column.column_type {
        ColumnType::Int32 => fill!(Int32Builder::new(), |number| signed(number)),
        ColumnType::Int64 => fill!(Int64Builder::new(), |number| {
            i64::from(signed(number)) << 20
        }),
        ColumnType::Float64 => fill!(Float64Builder::new(), |number| float(number)),
        ColumnType::Bool => fill!(BooleanBuilder::new(), |number| number % 2 == 0),
        ColumnType::Timestamp => {
            let builder = TimestampMicrosecondBuilder::new();
            fill!(
                builder.with_data_type(column.column_type.data_type()),
                |number| i64::from(number)
            )
        }
        ColumnType::Bytes => fill!(BinaryBuilder::new(), |number| {
            let mut bytes = values.text(number).into_bytes();
            bytes.push(u8::MAX);
            bytes
        }),
        ColumnType::StrList => {
            let DataType::List(element) = column.column_type.data_type() else {
                panic!("{:?}", column.column_type.data_type())
            };
            let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element);
            for _ in 0..count {
                let row = values.of(column);
                for element in 0..row.unwrap_or_default() % 4 {
                    let text = values.text(row.unwrap_or_default() + element);
                    builder.values().append_value(text);
                }
                builder.append(row.is_some());
            }
            Arc::new(builder.finish())
        }
        _ => fill!(StringBuilder::new(), |number| values.text(number)),
    }
}

/// Limits that divide few rows into pages and row groups, and exceed dictionaries.
pub(crate) fn small_limits(choices: [u8; 5]) -> RowGroupLimits {
    let [rows, value_bytes, page_rows, page_bytes, probe_bytes] = choices.map(usize::from);
    RowGroupLimits {
        rows: 20 + 2 * rows,
        value_bytes: 2_000 + 500 * value_bytes,
        page: PageLimits {
            rows: 1 + page_rows / 2,
            bytes: 1 + 20 * page_bytes,
            probe_bytes: 1 + 20 * probe_bytes,
            dictionary_part: 1 << 10,
        },
    }
}

/// Encodes rows, reads them, checks the statistics, and copies the row groups. Returns the file.
pub(crate) fn check(rows: &Rows, limits: RowGroupLimits) -> Vec<u8> {
    let table = rows.table();
    let file = encode_parquet(table, [rows.clone()], limits).unwrap();
    let input = Input::Bytes(file.clone().into());
    let mut wrong = Vec::new();
    let mut reader = open_checked(Format::Parquet, table, input.clone(), &mut wrong).unwrap();
    let mut row = 0;
    while let Some(batch) = reader.next(&mut wrong) {
        let batch = batch.unwrap();
        assert!(rows.same(row, &batch, 0, batch.len()), "rows from {row} on");
        row += batch.len();
    }
    assert_eq!(row, rows.len());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(copy_row_groups(table, input).unwrap() == file);
    file
}
