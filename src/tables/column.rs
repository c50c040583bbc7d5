//! The types of columns, and their builders, which copy borrowed values into arrays.
//!
//! A type is a marker without values, so that buffers outlive the response whose values they hold.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder,
    Int64Builder, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::json::text::Text;
use crate::json::value::TextList;

/// The types of columns. Text has several types: how often values repeat decides their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text that repeats often: names, kinds, IDs of parents.
    Str,
    /// UTF-8 text of which nearly every value differs or equals its neighbors: IDs.
    UniqueStr,
    /// UTF-8 text that may repeat in tasks that are far apart: prompts, documents, addresses.
    RepeatedStr,
    /// A path in a task, as UTF-8 text: most tasks have the same ones.
    Path,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// 64-bit floating-point number.
    Float64,
    /// Boolean.
    Bool,
    /// Microseconds since 1970 in UTC.
    Timestamp,
    /// Compact JSON text.
    Json,
    /// List of strings.
    StrList,
    /// Bytes.
    Bytes,
}

impl ColumnType {
    /// The name of the type in the published documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Str | Self::UniqueStr | Self::RepeatedStr | Self::Path => "str",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "f64",
            Self::Bool => "bool",
            Self::Timestamp => "ts",
            Self::Json => "json",
            Self::StrList => "list<str>",
            Self::Bytes => "bytes",
        }
    }

    /// The type in Arrow. Every reader supports these plain types.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Str | Self::UniqueStr | Self::RepeatedStr | Self::Path | Self::Json => {
                DataType::Utf8
            }
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::StrList => DataType::List(list_element()),
            Self::Bytes => DataType::Binary,
        }
    }
}

/// The time zone of every timestamp.
const UTC: &str = "UTC";

/// The field of a list's elements, named as the Parquet format requires.
fn list_element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Utf8, false))
}

/// The definition of a column.
#[derive(Debug, Clone, Copy)]
pub struct ColumnInfo {
    /// The name of the column.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether the column is never null.
    pub required: bool,
    /// The published description, without a note about JSON.
    pub doc: &'static str,
}

impl ColumnInfo {
    /// The published description. JSON columns are plain strings, so it says that they hold JSON.
    pub fn documentation(&self) -> String {
        match self.column_type {
            ColumnType::Json => format!("{} (JSON text)", self.doc),
            _ => self.doc.to_owned(),
        }
    }
}

/// A column while rows are appended.
pub(crate) trait ColumnBuffer: Debug + Default {
    /// A value, borrowed while it is appended; an `Option` where the column may be null.
    type Value<'a>: Copy + Debug;
    /// Its type.
    const TYPE: ColumnType;
    /// Whether the column is never null.
    const REQUIRED: bool;

    /// Appends a value, and returns about how many bytes it takes.
    fn append(&mut self, value: Self::Value<'_>) -> usize;
    /// Takes out all values as an array.
    fn finish(&mut self) -> ArrayRef;
}

/// A type of values, for [`Required`] and [`Optional`] columns.
pub(crate) trait ValueType: Debug {
    type Value<'a>: Copy + Debug;
    type Builder: Debug + Default;
    const TYPE: ColumnType;

    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) -> usize;
    fn append_null(builder: &mut Self::Builder);
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
}

/// A column that is never null.
#[derive(Debug, Default)]
pub(crate) struct Required<T: ValueType>(T::Builder);

/// A column that may be null.
#[derive(Debug, Default)]
pub(crate) struct Optional<T: ValueType>(T::Builder);

impl<T: ValueType + Default> ColumnBuffer for Required<T> {
    type Value<'a> = T::Value<'a>;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = true;

    fn append(&mut self, value: Self::Value<'_>) -> usize {
        T::append(&mut self.0, value)
    }

    fn finish(&mut self) -> ArrayRef {
        T::finish(&mut self.0)
    }
}

impl<T: ValueType + Default> ColumnBuffer for Optional<T> {
    type Value<'a> = Option<T::Value<'a>>;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = false;

    fn append(&mut self, value: Self::Value<'_>) -> usize {
        if let Some(value) = value {
            T::append(&mut self.0, value)
        } else {
            T::append_null(&mut self.0);
            1
        }
    }

    fn finish(&mut self) -> ArrayRef {
        T::finish(&mut self.0)
    }
}

/// Implements [`ValueType`] for types whose builder takes a value directly.
macro_rules! direct_types {
    ($($(#[$doc:meta])* $name:ident: $value:ty, $builder:ty, |$item:ident| $size:expr, |$array:ident| $room:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl ValueType for $name {
            type Value<'a> = $value;
            type Builder = $builder;
            const TYPE: ColumnType = ColumnType::$name;

            fn append(builder: &mut Self::Builder, $item: Self::Value<'_>) -> usize {
                builder.append_value($item);
                $size
            }

            fn append_null(builder: &mut Self::Builder) {
                builder.append_null();
            }

            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                let $array = builder.finish();
                *builder = $room;
                Arc::new($array)
            }
        }
    )+};
}

direct_types! {
    /// See [`ColumnType::Int32`].
    Int32: i32, Int32Builder, |value| size_of_val(&value), |array| Int32Builder::with_capacity(room(array.len()));
    /// See [`ColumnType::Int64`].
    Int64: i64, Int64Builder, |value| size_of_val(&value), |array| Int64Builder::with_capacity(room(array.len()));
    /// See [`ColumnType::Float64`].
    Float64: f64, Float64Builder, |value| size_of_val(&value), |array| Float64Builder::with_capacity(room(array.len()));
    /// See [`ColumnType::Bool`].
    Bool: bool, BooleanBuilder, |value| size_of_val(&value), |array| BooleanBuilder::with_capacity(room(array.len()));
    /// See [`ColumnType::Json`].
    Json: &'a str, StringBuilder, |value| value.len() + OFFSET_BYTES, |array| room_for_texts(&array);
    /// See [`ColumnType::Path`].
    Path: &'a str, StringBuilder, |value| value.len() + OFFSET_BYTES, |array| room_for_texts(&array);
    /// See [`ColumnType::Bytes`].
    Bytes: &'a [u8], BinaryBuilder, |value| value.len() + OFFSET_BYTES,
        |array| BinaryBuilder::with_capacity(room(array.len()), room_for_bytes(array.value_data()));
}

/// Bytes that a value of variable length takes in addition to its content.
const OFFSET_BYTES: usize = size_of::<i32>();

/// Batches of a column are about equally large: each one gets the room of the batch before and one eighth more. Beyond
/// that, growing copies the whole buffer.
const SPARE_PART: usize = 8;

/// The most room for text in bytes, so that a batch with one huge text does not make later batches large.
const MAX_ROOM_BYTES: usize = 1 << 20;

/// The room for a batch after one with `before` values.
fn room(before: usize) -> usize {
    before + before / SPARE_PART
}

fn room_for_bytes(before: &[u8]) -> usize {
    room(before.len()).min(MAX_ROOM_BYTES)
}

fn room_for_texts(before: &StringArray) -> StringBuilder {
    StringBuilder::with_capacity(room(before.len()), room_for_bytes(before.value_data()))
}

/// Implements [`ValueType`] for text that is decoded as it is written into the column.
macro_rules! text_types {
    ($($name:ident)+) => {$(
        #[doc = concat!("See [`ColumnType::", stringify!($name), "`].")]
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl ValueType for $name {
            type Value<'a> = Text<'a>;
            type Builder = StringBuilder;
            const TYPE: ColumnType = ColumnType::$name;

            fn append(builder: &mut Self::Builder, value: Self::Value<'_>) -> usize {
                append_text(builder, value)
            }

            fn append_null(builder: &mut Self::Builder) {
                builder.append_null();
            }

            fn finish(builder: &mut Self::Builder) -> ArrayRef {
                let array = builder.finish();
                *builder = room_for_texts(&array);
                Arc::new(array)
            }
        }
    )+};
}

text_types! { Str UniqueStr RepeatedStr }

fn append_text(builder: &mut StringBuilder, value: Text<'_>) -> usize {
    let before = builder.values_slice().len();
    // Writing into a builder's buffer cannot fail.
    let _ = value.write_to(builder);
    builder.append_value("");
    builder.values_slice().len() - before + OFFSET_BYTES
}

/// The date and time of a timestamp in UTC. Returns nothing outside the years 0001 to 9999, which no column holds (rule
/// 9).
pub fn date_time(micros: i64) -> Option<jiff::civil::DateTime> {
    const EPOCH: jiff::civil::DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let since_1970 = jiff::SignedDuration::from_micros(micros);
    let time = EPOCH.checked_add(since_1970).ok()?;
    (1..=9_999).contains(&time.year()).then_some(time)
}

/// See [`ColumnType::Timestamp`].
#[derive(Debug, Default)]
pub(crate) struct Timestamp;

/// A builder whose time zone is set from the start.
#[derive(Debug)]
pub(crate) struct UtcBuilder(TimestampMicrosecondBuilder);

impl Default for UtcBuilder {
    fn default() -> Self {
        Self(TimestampMicrosecondBuilder::new().with_timezone(UTC))
    }
}

impl ValueType for Timestamp {
    type Value<'a> = i64;
    type Builder = UtcBuilder;
    const TYPE: ColumnType = ColumnType::Timestamp;

    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) -> usize {
        builder.0.append_value(value);
        size_of_val(&value)
    }

    fn append_null(builder: &mut Self::Builder) {
        builder.0.append_null();
    }

    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        let array = builder.0.finish();
        builder.0 =
            TimestampMicrosecondBuilder::with_capacity(room(array.len())).with_timezone(UTC);
        Arc::new(array)
    }
}

/// See [`ColumnType::StrList`].
#[derive(Debug, Default)]
pub(crate) struct StrList;

/// A builder whose element field is the one of the schema.
#[derive(Debug)]
pub(crate) struct TextListBuilder(ListBuilder<StringBuilder>);

impl Default for TextListBuilder {
    fn default() -> Self {
        Self(ListBuilder::new(StringBuilder::new()).with_field(list_element()))
    }
}

impl ValueType for StrList {
    type Value<'a> = TextList<'a>;
    type Builder = TextListBuilder;
    const TYPE: ColumnType = ColumnType::StrList;

    fn append(builder: &mut Self::Builder, value: Self::Value<'_>) -> usize {
        let mut size = OFFSET_BYTES;
        for text in value.iter() {
            size += append_text(builder.0.values(), text);
        }
        builder.0.append(true);
        size
    }

    fn append_null(builder: &mut Self::Builder) {
        builder.0.append(false);
    }

    fn finish(builder: &mut Self::Builder) -> ArrayRef {
        Arc::new(builder.0.finish())
    }
}

/// Appends `/index` to a path.
pub(crate) fn push_index(text: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(text, "/{index}");
}
