//! Writes CSV by RFC 4180. Null is an empty field, and an empty string is `""`. General CSV writers cannot write the
//! difference, so this module does not use one.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr, memchr_iter, memchr3};

use crate::encode::file_part::{FilePart, RowEncoder};
use crate::json::text::write_json_string;
use crate::tables::cell::Cell;
use crate::tables::date_time::date_time;
use crate::tables::row_sink::SinkError;
use crate::tables::table::TableInfo;

/// Bytes of records that are passed on together.
const PASSED_BYTES: usize = 128 << 10;

/// Encodes the rows of one table as CSV records.
#[derive(Debug, Default)]
pub(crate) struct CsvRows {
    text: String,
    rows: u64,
    longest: usize,
    scratch: String,
}

impl RowEncoder for CsvRows {
    fn row(
        &mut self,
        cells: &[Option<Cell<'_>>],
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let begin = self.text.len();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            if let Some(cell) = cell {
                write_cell(cell, &mut self.scratch, &mut self.text);
            }
        }
        self.text.push('\n');
        self.rows += 1;
        self.longest = self.longest.max(self.text.len() - begin);
        if self.text.len() >= PASSED_BYTES {
            return self.finish(parts);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        parts: &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        if self.rows == 0 {
            return Ok(());
        }
        // One huge value must not keep its memory.
        self.scratch.shrink_to(PASSED_BYTES);
        parts(FilePart::Records {
            text: std::mem::take(&mut self.text),
            rows: std::mem::take(&mut self.rows),
            longest: std::mem::take(&mut self.longest),
        })
    }
}

/// Writes the CSV file of one table.
#[derive(Debug)]
pub(crate) struct CsvFile<W> {
    output: W,
    /// Bytes of the longest record, with its line break.
    longest_record: usize,
}

impl<W: Write> CsvFile<W> {
    /// Writes the header.
    pub(crate) fn begin(table: &TableInfo, mut output: W) -> io::Result<Self> {
        let header = header(table);
        output.write_all(header.as_bytes())?;
        Ok(Self {
            output,
            longest_record: header.len(),
        })
    }

    /// The output, for records of which the longest has `longest` bytes.
    pub(crate) fn records(&mut self, longest: usize) -> &mut W {
        self.longest_record = self.longest_record.max(longest);
        &mut self.output
    }

    /// Returns the output, and the bytes of the longest record.
    pub(crate) fn close(self) -> (W, usize) {
        (self.output, self.longest_record)
    }
}

/// The names of the columns.
pub(crate) fn header(table: &TableInfo) -> String {
    let names: Vec<&str> = table.columns().map(|column| column.name).collect();
    names.join(",") + "\n"
}

/// Writes one field. `scratch` is a buffer for values that become text first.
fn write_cell(cell: &Cell<'_>, scratch: &mut String, out: &mut String) {
    use std::fmt::Write as _;
    // Writing to a `String` cannot fail.
    match cell {
        Cell::Text(text) => write_field(&text.decode(), out),
        Cell::Int32(number) => out.push_str(itoa::Buffer::new().format(*number)),
        Cell::Int64(number) => out.push_str(itoa::Buffer::new().format(*number)),
        // The shortest decimal that round-trips.
        Cell::Float64(number) => drop(write!(out, "{number:?}")),
        Cell::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Cell::Time(micros) => write_time(*micros, out),
        Cell::Texts(texts) => {
            scratch.clear();
            scratch.push('[');
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    scratch.push(',');
                }
                write_json_string(&text.decode(), scratch);
            }
            scratch.push(']');
            write_field(scratch, out);
        }
        Cell::Bytes(bytes) => {
            scratch.clear();
            STANDARD.encode_string(bytes, scratch);
            write_field(scratch, out);
        }
    }
}

/// The text that Postgres' text format, ClickHouse, Hive and MySQL read as null if it has no quotes.
const NULL_ELSEWHERE: &str = "\\N";

/// Whether a text that is not null has quotes: where RFC 4180 requires them, for the empty string, and where other
/// programs would read null.
pub fn needs_quotes(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.is_empty()
        || text == NULL_ELSEWHERE
        || memchr3(b',', b'"', b'\n', bytes).is_some()
        || memchr(b'\r', bytes).is_some()
}

/// Writes a text, with quotes where it needs them.
fn write_field(text: &str, out: &mut String) {
    if !needs_quotes(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    let mut begin = 0;
    for quote in memchr_iter(b'"', text.as_bytes()) {
        // The quote itself begins the next part.
        out.push_str(text.get(begin..quote).unwrap_or_default());
        out.push('"');
        begin = quote;
    }
    out.push_str(text.get(begin..).unwrap_or_default());
    out.push('"');
}

/// Writes a time in RFC 3339, in UTC with microseconds.
fn write_time(micros: i64, out: &mut String) {
    use std::fmt::Write as _;
    // Flattening accepts only times that have a date, so the default is never used.
    let time = date_time(micros).unwrap_or_default();
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{}", time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"));
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
    fn values_are_quoted_only_where_needed() {
        assert_eq!(field("plain text"), "plain text");
        assert_eq!(field(""), "\"\"");
        assert_eq!(field("\\N"), "\"\\N\"");
        assert_eq!(field("\\N "), "\\N ");
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
