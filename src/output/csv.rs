//! CSV by RFC 4180, with null apart from the empty string: null is an empty field, an empty string
//! is `""`. General CSV writers cannot tell the two apart, so this one is ours.
//! Depends on `arrow` and `staging`.

use std::io::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::OutputError;
use super::staging::{Published, StagedFile};
use super::writer::TableWriter;
use crate::json::write_json_string;
use crate::tables::{ColumnType, TableInfo};

/// Writes one table's CSV file.
pub(super) struct CsvWriter {
    table: &'static TableInfo,
    file: StagedFile,
    /// Records of one batch, written at once.
    text: String,
}

impl CsvWriter {
    pub(super) fn begin(
        table: &'static TableInfo,
        mut file: StagedFile,
    ) -> Result<Self, OutputError> {
        let names: Vec<&str> = table.columns().map(|column| column.name).collect();
        let header = names.join(",") + "\n";
        file.write_all(header.as_bytes())
            .map_err(OutputError::io("write", file.path()))?;
        Ok(Self {
            table,
            file,
            text: String::new(),
        })
    }
}

impl TableWriter for CsvWriter {
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError> {
        let columns: Vec<Cells<'_>> = self
            .table
            .columns()
            .zip(batch.columns())
            .map(|(column, array)| Cells::of(column.column_type, array))
            .collect();
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    self.text.push(',');
                }
                column.write(row, &mut cell, &mut self.text);
            }
            self.text.push('\n');
        }
        let written = self.file.write_all(self.text.as_bytes());
        self.text.clear();
        written.map_err(OutputError::io("write", self.file.path()))
    }

    fn finish(self: Box<Self>) -> Result<Published, OutputError> {
        self.file.finish()
    }
}

/// A column, downcast once for all of its cells.
enum Cells<'a> {
    Text(&'a StringArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Bool(&'a BooleanArray),
    Time(&'a TimestampMicrosecondArray),
    Texts(&'a ListArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Cells<'a> {
    fn of(column_type: ColumnType, array: &'a ArrayRef) -> Self {
        match column_type {
            ColumnType::Str | ColumnType::UniqueStr | ColumnType::Path | ColumnType::Json => {
                Self::Text(array.as_string())
            }
            ColumnType::Int32 => Self::Int32(array.as_primitive()),
            ColumnType::Int64 => Self::Int64(array.as_primitive()),
            ColumnType::Float64 => Self::Float64(array.as_primitive()),
            ColumnType::Bool => Self::Bool(array.as_boolean()),
            ColumnType::Timestamp => Self::Time(array.as_primitive()),
            ColumnType::StrList => Self::Texts(array.as_list()),
            ColumnType::Bytes => Self::Bytes(array.as_binary()),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Float64(array) => array.is_null(row),
            Self::Bool(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Texts(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
        }
    }

    /// Writes one field; `scratch` is for values that are made into text first.
    fn write(&self, row: usize, scratch: &mut String, out: &mut String) {
        use std::fmt::Write as _;
        if self.is_null(row) {
            return;
        }
        // Writing to a String cannot fail.
        match self {
            Self::Text(array) => write_field(array.value(row), out),
            Self::Int32(array) => drop(write!(out, "{}", array.value(row))),
            Self::Int64(array) => drop(write!(out, "{}", array.value(row))),
            Self::Float64(array) => drop(write!(out, "{:?}", array.value(row))),
            Self::Bool(array) => out.push_str(if array.value(row) { "true" } else { "false" }),
            Self::Time(array) => write_time(array.value(row), out),
            Self::Texts(array) => {
                scratch.clear();
                scratch.push('[');
                let texts = array.value(row);
                for (index, text) in texts.as_string::<i32>().iter().flatten().enumerate() {
                    if index > 0 {
                        scratch.push(',');
                    }
                    write_json_string(text, scratch);
                }
                scratch.push(']');
                write_field(scratch, out);
            }
            Self::Bytes(array) => {
                scratch.clear();
                STANDARD.encode_string(array.value(row), scratch);
                write_field(scratch, out);
            }
        }
    }
}

/// Writes a text, quoted where it must be, and where it is empty.
fn write_field(text: &str, out: &mut String) {
    let plain = !text.is_empty()
        && !text
            .bytes()
            .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    let mut parts = text.split('"');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("\"\"");
        out.push_str(part);
    }
    out.push('"');
}

/// Writes RFC 3339 in UTC with microseconds.
fn write_time(micros: i64, out: &mut String) {
    use std::fmt::Write as _;
    const EPOCH: jiff::civil::DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    // Every value of the column lies in the years 0001 to 9999, which the calendar covers.
    let time = EPOCH
        .checked_add(jiff::SignedDuration::from_micros(micros))
        .unwrap_or(EPOCH);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond() / 1_000
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> String {
        let mut out = String::new();
        write_field(text, &mut out);
        out
    }

    #[test]
    fn quotes_stand_only_where_needed() {
        assert_eq!(field("plain text"), "plain text");
        assert_eq!(field(""), "\"\"");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("two\r\nlines"), "\"two\r\nlines\"");
        assert_eq!(field("\""), "\"\"\"\"");
    }

    #[test]
    fn times_have_four_digit_years_and_microseconds() {
        let mut out = String::new();
        write_time(-62_135_596_800_000_000, &mut out);
        write_time(253_402_300_799_999_999, &mut out);
        assert_eq!(
            out,
            "0001-01-01T00:00:00.000000Z9999-12-31T23:59:59.999999Z"
        );
    }
}
