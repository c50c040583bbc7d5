//! Column types: how a borrowed value becomes an array. Each type is a marker, so that buffers
//! outlive the response whose values they hold. Depends on `json` and `arrow`.

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

/// The contract's types, and what the values of a column are like, which decides their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text that tends to repeat: names, kinds, IDs of parents.
    Str,
    /// UTF-8 text of which nearly every value is different, or equals the ones beside it: IDs.
    UniqueStr,
    /// UTF-8 text of which the same may stand in many tasks, far apart: prompts, documents, addresses.
    RepeatedStr,
    /// Place in a task, as UTF-8 text: the same ones in most tasks.
    Path,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Double.
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
    /// The contract's word for it.
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

    /// Its type in Arrow: plain types only, which every reader takes as they are.
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

/// The field inside a list column, named as the Parquet format asks.
fn list_element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Utf8, false))
}

/// What is known of a column without any rows.
#[derive(Debug, Clone, Copy)]
pub struct ColumnInfo {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Is it never null?
    pub required: bool,
    /// What it holds.
    pub doc: &'static str,
}

impl ColumnInfo {
    /// What it holds, and that it is JSON where its type does not say so: JSON columns are plain strings.
    pub fn documentation(&self) -> String {
        match self.column_type {
            ColumnType::Json => format!("{} (JSON text)", self.doc),
            _ => self.doc.to_owned(),
        }
    }
}

/// A column while rows are appended to it.
pub(crate) trait ColumnBuffer: Debug + Default {
    /// One value, borrowed for as long as the append lasts; `Option` when the column may be null.
    type Value<'a>: Copy + Debug;
    /// Its type.
    const TYPE: ColumnType;
    /// Is it never null?
    const REQUIRED: bool;

    /// Appends a value; gives the bytes that it takes, about.
    fn append(&mut self, value: Self::Value<'_>) -> usize;
    /// Takes the values out as an array.
    fn finish(&mut self) -> ArrayRef;
}

/// A type of values, to be wrapped in [`Required`] or [`Optional`].
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
    ($($(#[$doc:meta])* $name:ident: $value:ty, $builder:ty, |$given:ident| $size:expr, |$array:ident| $room:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl ValueType for $name {
            type Value<'a> = $value;
            type Builder = $builder;
            const TYPE: ColumnType = ColumnType::$name;

            fn append(builder: &mut Self::Builder, $given: Self::Value<'_>) -> usize {
                builder.append_value($given);
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

/// What a value of variable length takes beside itself.
const OFFSET_BYTES: usize = size_of::<i32>();

/// A batch is as large as the one before it, about: it gets room for that, and one part in so many more. Growing
/// beyond would copy all of it.
const SPARE_PART: usize = 8;

/// Room for text at most, in bytes: a batch with one huge text burdens no other.
const MAX_ROOM_BYTES: usize = 1 << 20;

/// Room for what the batch before had so many of.
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

/// The date and time of a timestamp, in UTC; nothing outside the years 0001 to 9999, which no column
/// holds (rule 9).
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

/// Writes an index into text, as paths and made-up IDs need it.
pub(crate) fn push_index(text: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(text, "/{index}");
}
