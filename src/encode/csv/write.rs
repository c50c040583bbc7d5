//! Writes CSV by RFC 4180. Null is an empty field, and an empty string is `""`. General CSV writers cannot write the
//! difference, so this module does not use one.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::durable_fs::StagedFile;
use crate::encode::table_writer::{FinishedFile, TableWriter};
use crate::json::text::write_json_string;
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::column::date_time;
use crate::tables::row_reader::Rows;
use crate::tables::table::TableInfo;

/// Writes one table as CSV.
pub(crate) struct CsvWriter<W> {
    table: &'static TableInfo,
    output: W,
    /// Records of one batch, which are written with one call.
    text: String,
    /// Bytes of the longest record, with its line break.
    longest_record: usize,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header.
    pub(crate) fn begin(table: &'static TableInfo, mut output: W) -> io::Result<Self> {
        let names: Vec<&str> = table.columns().map(|column| column.name).collect();
        let header = names.join(",") + "\n";
        output.write_all(header.as_bytes())?;
        Ok(Self {
            table,
            output,
            text: String::new(),
            longest_record: header.len(),
        })
    }

    /// Returns the output.
    pub(crate) fn into_output(self) -> W {
        self.output
    }

    pub(crate) fn write(&mut self, batch: RecordBatch) -> io::Result<()> {
        let rows = Rows::of(self.table, batch)
            .map_err(|column| io::Error::other(format!("column `{column}` has another type")))?;
        let columns = self.table.columns().count();
        let mut scratch = String::new();
        for row in 0..rows.len() {
            let begin = self.text.len();
            for column in 0..columns {
                if column > 0 {
                    self.text.push(',');
                }
                if let Some(cell) = rows.cell(column, row) {
                    write_cell(&cell, &mut scratch, &mut self.text);
                }
            }
            self.text.push('\n');
            self.longest_record = self.longest_record.max(self.text.len() - begin);
        }
        let written = self.output.write_all(self.text.as_bytes());
        self.text.clear();
        written
    }
}

impl TableWriter for CsvWriter<StagedFile> {
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError> {
        self.write(batch)
            .map_err(OutputError::io("write", self.output.path()))
    }

    fn finish(self: Box<Self>) -> Result<FinishedFile, OutputError> {
        Ok(FinishedFile {
            longest_record: self.longest_record,
            file: self.output.finish()?,
        })
    }
}

/// Writes one field. `scratch` is a buffer for values that become text first.
fn write_cell(cell: &Cell<'_>, scratch: &mut String, out: &mut String) {
    use std::fmt::Write as _;
    // Writing to a `String` cannot fail.
    match cell {
        Cell::Text(text) => write_field(&text.decode(), out),
        Cell::Int32(number) => drop(write!(out, "{number}")),
        Cell::Int64(number) => drop(write!(out, "{number}")),
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
    let is_special = |byte| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    text.is_empty() || text == NULL_ELSEWHERE || text.bytes().any(is_special)
}

/// Writes a text, with quotes where it needs them.
fn write_field(text: &str, out: &mut String) {
    if !needs_quotes(text) {
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
