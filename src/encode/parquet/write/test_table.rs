//! Tables with any values, for tests of the encoder.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::row_key::RowKind;
use crate::tables::row_reader::{Cell, Rows};
use crate::tables::schema::arrow_schema;
use crate::tables::table::{Table, TableInfo};

const fn column(name: &'static str, column_type: ColumnType, required: bool) -> ColumnInfo {
    ColumnInfo {
        name,
        column_type,
        required,
        doc: "A column",
    }
}

/// A table with every type, optional and required, and with columns whose pages have bounds.
pub(super) const ALL_TYPES: TableInfo = TableInfo {
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

/// The nature of the values of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub(super) seed: u64,
    /// One in this many values is null; none if 0.
    pub(super) nulls: u32,
    /// Distinct values of a column.
    pub(super) distinct: u32,
    /// Maximum bytes of a text.
    pub(super) text_bytes: usize,
    /// One in this many rows differs from the row before.
    pub(super) repeats: u32,
}

/// Makes values. The same seed gives the same values.
struct Values {
    random: fastrand::Rng,
    nature: Nature,
    /// The number of the value that is repeated.
    number: u32,
}

impl Values {
    fn next(&mut self) -> Option<u32> {
        let nature = self.nature;
        if nature.nulls > 0 && self.random.u32(..nature.nulls) == 0 {
            return None;
        }
        if self.random.u32(..nature.repeats.max(1)) == 0 {
            self.number = self.random.u32(..nature.distinct.max(1));
        }
        Some(self.number)
    }

    fn required(&mut self) -> u32 {
        self.next().unwrap_or_default()
    }

    fn text(&self, number: u32) -> String {
        const WORDS: [&str; 6] = ["", "a", "word ", "\u{10FFFF}", "naïve ", "\u{0}\""];
        let mut random = fastrand::Rng::with_seed(self.nature.seed ^ u64::from(number));
        let length = random.usize(..=self.nature.text_bytes);
        let mut text = String::new();
        while text.len() < length {
            text.push_str(WORDS[random.usize(..WORDS.len())]);
        }
        if !number.is_multiple_of(7) {
            text.push_str(&number.to_string());
        }
        text
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
}

/// Rows of a table.
pub(super) fn rows(table: &'static TableInfo, nature: Nature, count: usize) -> Rows {
    let columns = table.columns().enumerate().map(|(index, column)| {
        let seed = nature.seed.wrapping_add(index as u64);
        let values = Values {
            random: fastrand::Rng::with_seed(seed),
            nature: Nature { seed, ..nature },
            number: 0,
        };
        array(column, values, count)
    });
    let batch = RecordBatch::try_new(arrow_schema(table), columns.collect()).unwrap();
    Rows::of(table, batch).unwrap()
}

fn array(column: &ColumnInfo, mut values: Values, count: usize) -> ArrayRef {
    let next = |values: &mut Values| {
        if column.required {
            Some(values.required())
        } else {
            values.next()
        }
    };
    macro_rules! fill {
        ($builder:expr, |$number:ident| $value:expr) => {{
            let mut builder = $builder;
            for _ in 0..count {
                let value = next(&mut values);
                builder.append_option(value.map(|$number| $value));
            }
            Arc::new(builder.finish())
        }};
    }
    match column.column_type {
        ColumnType::Int32 => fill!(Int32Builder::new(), |number| Values::signed(number)),
        ColumnType::Int64 => fill!(Int64Builder::new(), |number| {
            i64::from(Values::signed(number)) << 20
        }),
        ColumnType::Float64 => fill!(Float64Builder::new(), |number| Values::float(number)),
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
                let row = next(&mut values);
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

/// The cells of a row.
pub(super) fn cells(rows: &Rows, row: usize) -> Vec<Option<Cell<'_>>> {
    let columns = 0..rows.table().columns().count();
    columns.map(|column| rows.cell(column, row)).collect()
}
