//! The types of columns, and the type of each one's values.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::json::text::Text;
use crate::json::value::TextList;
use crate::tables::cell::Cell;

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

/// A column as the row types have it: whether its values may be null, and of which type they are.
pub(crate) trait ColumnValue {
    /// A borrowed value; an `Option` where the column may be null.
    type Value<'a>: Copy + Debug;
    /// Its type.
    const TYPE: ColumnType;
    /// Whether the column is never null.
    const REQUIRED: bool;

    /// The value as a cell.
    fn cell<'c, 'a: 'c>(value: &'c Self::Value<'a>) -> Option<Cell<'c>>;
}

/// A type of values, for [`Required`] and [`Optional`] columns.
pub(crate) trait ValueType {
    type Value<'a>: Copy + Debug;
    const TYPE: ColumnType;

    fn cell<'c, 'a: 'c>(value: &'c Self::Value<'a>) -> Cell<'c>;
}

/// A column that is never null.
pub(crate) struct Required<T>(PhantomData<T>);

/// A column that may be null.
pub(crate) struct Optional<T>(PhantomData<T>);

impl<T: ValueType> ColumnValue for Required<T> {
    type Value<'a> = T::Value<'a>;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = true;

    fn cell<'c, 'a: 'c>(value: &'c Self::Value<'a>) -> Option<Cell<'c>> {
        Some(T::cell(value))
    }
}

impl<T: ValueType> ColumnValue for Optional<T> {
    type Value<'a> = Option<T::Value<'a>>;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = false;

    fn cell<'c, 'a: 'c>(value: &'c Self::Value<'a>) -> Option<Cell<'c>> {
        value.as_ref().map(T::cell)
    }
}

/// Defines the types of values: the name, the Rust type, and the cell of a value.
macro_rules! value_types {
    ($($name:ident: $value:ty, |$item:ident| $cell:expr;)+) => {$(
        #[doc = concat!("See [`ColumnType::", stringify!($name), "`].")]
        pub(crate) struct $name;

        impl ValueType for $name {
            type Value<'a> = $value;
            const TYPE: ColumnType = ColumnType::$name;

            fn cell<'c, 'a: 'c>($item: &'c Self::Value<'a>) -> Cell<'c> {
                $cell
            }
        }
    )+};
}

value_types! {
    Str: Text<'a>, |value| Cell::Text(*value);
    UniqueStr: Text<'a>, |value| Cell::Text(*value);
    RepeatedStr: Text<'a>, |value| Cell::Text(*value);
    Int32: i32, |value| Cell::Int32(*value);
    Int64: i64, |value| Cell::Int64(*value);
    Float64: f64, |value| Cell::Float64(*value);
    Bool: bool, |value| Cell::Bool(*value);
    Timestamp: i64, |value| Cell::Time(*value);
    Json: &'a str, |value| Cell::Text(Text::plain(value));
    StrList: TextList<'a>, |value| Cell::Texts(value.into());
    Bytes: &'a [u8], |value| Cell::Bytes(value);
}

/// Appends `/index` to a path.
pub(crate) fn push_index(text: &mut String, index: usize) {
    text.push('/');
    text.push_str(itoa::Buffer::new().format(index));
}
