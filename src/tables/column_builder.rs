//! Builds the Arrow array of a column from cells.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder,
    ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;

use crate::json::text::Text;
use crate::tables::cell::Cell;
use crate::tables::column::{ColumnInfo, ColumnType};

/// The cells of one column.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    name: &'static str,
    values: ValueBuilder,
}

#[derive(Debug)]
enum ValueBuilder {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Texts(ListBuilder<StringBuilder>),
    Bytes(BinaryBuilder),
}

/// Calls a method of the builder, whatever its type.
macro_rules! with_builder {
    ($self:expr, $builder:ident => $call:expr) => {
        match $self {
            ValueBuilder::Text($builder) => $call,
            ValueBuilder::Int32($builder) => $call,
            ValueBuilder::Int64($builder) => $call,
            ValueBuilder::Float64($builder) => $call,
            ValueBuilder::Bool($builder) => $call,
            ValueBuilder::Time($builder) => $call,
            ValueBuilder::Texts($builder) => $call,
            ValueBuilder::Bytes($builder) => $call,
        }
    };
}

impl ColumnBuilder {
    /// Starts without cells.
    pub(crate) fn new(column: &ColumnInfo) -> Self {
        let column_type = column.column_type;
        let values = match column_type {
            ColumnType::Str
            | ColumnType::UniqueStr
            | ColumnType::RepeatedStr
            | ColumnType::Path
            | ColumnType::Json => ValueBuilder::Text(StringBuilder::new()),
            ColumnType::Int32 => ValueBuilder::Int32(Int32Builder::new()),
            ColumnType::Int64 => ValueBuilder::Int64(Int64Builder::new()),
            ColumnType::Float64 => ValueBuilder::Float64(Float64Builder::new()),
            ColumnType::Bool => ValueBuilder::Bool(BooleanBuilder::new()),
            ColumnType::Timestamp => ValueBuilder::Time(
                TimestampMicrosecondBuilder::new().with_data_type(column_type.data_type()),
            ),
            ColumnType::StrList => {
                let lists = ListBuilder::new(StringBuilder::new());
                ValueBuilder::Texts(match column_type.data_type() {
                    DataType::List(element) => lists.with_field(element),
                    _ => lists,
                })
            }
            ColumnType::Bytes => ValueBuilder::Bytes(BinaryBuilder::new()),
        };
        Self {
            name: column.name,
            values,
        }
    }

    /// Appends a cell, and returns about how many bytes it takes. The error is the name of a column with another type.
    pub(crate) fn append(&mut self, cell: Option<&Cell<'_>>) -> Result<usize, &'static str> {
        let Some(cell) = cell else {
            with_builder!(&mut self.values, builder => builder.append_null());
            return Ok(1);
        };
        Ok(match (&mut self.values, cell) {
            (ValueBuilder::Text(builder), Cell::Text(text)) => {
                let bytes = append_text(builder, *text);
                builder.append_value("");
                bytes
            }
            (ValueBuilder::Int32(builder), Cell::Int32(number)) => {
                builder.append_value(*number);
                size_of_val(number)
            }
            (ValueBuilder::Int64(builder), Cell::Int64(number)) => {
                builder.append_value(*number);
                size_of_val(number)
            }
            (ValueBuilder::Float64(builder), Cell::Float64(number)) => {
                builder.append_value(*number);
                size_of_val(number)
            }
            (ValueBuilder::Bool(builder), Cell::Bool(value)) => {
                builder.append_value(*value);
                size_of_val(value)
            }
            (ValueBuilder::Time(builder), Cell::Time(micros)) => {
                builder.append_value(*micros);
                size_of_val(micros)
            }
            (ValueBuilder::Texts(builder), Cell::Texts(texts)) => {
                let mut bytes = OFFSET_BYTES;
                for text in texts.iter() {
                    bytes += append_text(builder.values(), text);
                    builder.values().append_value("");
                }
                builder.append(true);
                bytes
            }
            (ValueBuilder::Bytes(builder), Cell::Bytes(value)) => {
                builder.append_value(value);
                value.len() + OFFSET_BYTES
            }
            _ => return Err(self.name),
        })
    }

    /// Takes out all cells as an array.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        with_builder!(&mut self.values, builder => Arc::new(builder.finish()))
    }
}

/// Bytes that a value of variable length takes in addition to its content.
const OFFSET_BYTES: usize = size_of::<i32>();

/// Writes a text without ending its value. It is decoded as it is written.
fn append_text(builder: &mut StringBuilder, text: Text<'_>) -> usize {
    let before = builder.values_slice().len();
    // Writing into a builder's buffer cannot fail.
    let _ = text.write_to(builder);
    builder.values_slice().len() - before + OFFSET_BYTES
}
