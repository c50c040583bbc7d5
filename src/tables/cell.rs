//! The value of one cell of a table, borrowed from the response or from the batch that it comes from.

use std::fmt;

use arrow::array::{Array as _, AsArray as _, ListArray, StringArray};

use crate::hex;
use crate::json::text::Text;
use crate::json::value::TextList;
use crate::tables::date_time::date_time;

/// The value of a cell that is not null. It is small, since each row passes one for every column.
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
    Json(&'a TextList<'a>),
    /// The list of a row.
    Array {
        lists: &'a ListArray,
        row: u32,
    },
}

impl<'a> Texts<'a> {
    /// The list of a row of an array, which has lists of strings.
    pub(super) fn of_array(lists: &'a ListArray, row: usize) -> Self {
        // No batch is that long: its offsets are 32-bit integers.
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        Self(TextsSource::Array { lists, row })
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let (json, array) = match self.0 {
            TextsSource::Json(list) => (Some(list), None),
            TextsSource::Array { lists, row } => (None, of_row(lists, row as usize)),
        };
        let json = json.into_iter().flat_map(TextList::iter);
        json.chain(array.into_iter().flatten())
    }
}

/// The list of a row. Nothing if the row does not exist, or the array has no lists of strings.
fn of_row(lists: &ListArray, row: usize) -> Option<impl Iterator<Item = Text<'_>>> {
    let values: &StringArray = lists.values().as_string_opt()?;
    let offset = |at: usize| usize::try_from(*lists.value_offsets().get(at)?).ok();
    let (start, end) = (offset(row)?, offset(row + 1)?.min(values.len()));
    Some((start..end).map(|index| Text::plain(values.value(index))))
}

impl<'a> From<&'a TextList<'a>> for Texts<'a> {
    fn from(list: &'a TextList<'a>) -> Self {
        Self(TextsSource::Json(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_may_be_null_is_as_small_as_a_text() {
        assert_eq!(size_of::<Option<Cell<'_>>>(), size_of::<Text<'_>>());
    }
}
