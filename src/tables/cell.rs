//! The value of one cell of a table, borrowed from the response or from the batch that it comes from.

use std::fmt;

use arrow::array::{Array as _, StringArray};

use crate::hex;
use crate::json::text::Text;
use crate::json::value::TextList;
use crate::tables::date_time::date_time;

/// The value of a cell that is not null.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Text, paths and JSON.
    Text(Text<'a>),
    /// 32-bit integer.
    Int32(i32),
    /// 64-bit integer.
    Int64(i64),
    /// 64-bit floating-point number.
    Float64(f64),
    /// Boolean.
    Bool(bool),
    /// Microseconds since 1970 in UTC.
    Time(i64),
    /// List of strings.
    Texts(Texts<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl PartialEq for Cell<'_> {
    /// Floating-point numbers are equal if all of their bits are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Int32(one), Self::Int32(other)) => one == other,
            (Self::Int64(one), Self::Int64(other)) | (Self::Time(one), Self::Time(other)) => {
                one == other
            }
            // By their bits, NaN equals itself, and zeros with different signs differ.
            (Self::Float64(one), Self::Float64(other)) => one.to_bits() == other.to_bits(),
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Texts(one), Self::Texts(other)) => one.iter().eq(other.iter()),
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            _ => false,
        }
    }
}

impl fmt::Display for Cell<'_> {
    /// Shows text as it is, and bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text}"),
            Self::Int32(number) => write!(f, "{number}"),
            Self::Int64(number) => write!(f, "{number}"),
            Self::Float64(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Time(micros) => match date_time(*micros) {
                Some(time) => write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")),
                None => write!(f, "{micros} µs since 1970"),
            },
            Self::Texts(texts) => f
                .debug_list()
                .entries(texts.iter().map(|text| text.decode()))
                .finish(),
            Self::Bytes(bytes) => f.write_str(&hex::encode(bytes)),
        }
    }
}

/// The strings of one list.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a>(TextsSource<'a>);

#[derive(Debug, Clone, Copy)]
enum TextsSource<'a> {
    Json(TextList<'a>),
    /// The values from `start` to before `end`.
    Array {
        values: &'a StringArray,
        start: usize,
        end: usize,
    },
}

impl<'a> Texts<'a> {
    /// The strings of `values` from `start` to before `end`.
    pub(super) fn of_array(values: &'a StringArray, start: usize, end: usize) -> Self {
        Self(TextsSource::Array {
            values,
            start,
            end: end.min(values.len()),
        })
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let (json, array) = match self.0 {
            TextsSource::Json(list) => (Some(list), None),
            TextsSource::Array { values, start, end } => {
                let texts = (start..end).map(|index| Text::plain(values.value(index)));
                (None, Some(texts))
            }
        };
        let json = json.into_iter().flat_map(|list| list.iter());
        json.chain(array.into_iter().flatten())
    }
}

impl<'a> From<TextList<'a>> for Texts<'a> {
    fn from(list: TextList<'a>) -> Self {
        Self(TextsSource::Json(list))
    }
}
