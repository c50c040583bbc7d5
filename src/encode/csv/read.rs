//! Reads CSV files that scale-export wrote. Unlike general readers, it tells null from the empty string, and it accepts
//! only the spelling that the writer uses for each value.

use std::io::{BufRead, BufReader, Read};

use arrow::array::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::encode::batches::{BATCH_ROWS, Batches, READ_BATCH_BYTES, until_error};
use crate::encode::csv::write::needs_quotes;
use crate::encode::read_error::ReadError;
use crate::json::parser::Parser;
use crate::json::text::{Text, write_json_string};
use crate::json::value::TextList;
use crate::tables::cell::Cell;
use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::column_builder::ColumnBuilder;
use crate::tables::row_reader::Rows;
use crate::tables::schema::arrow_schema;
use crate::tables::table::TableInfo;

/// Bytes per read.
const BUFFER_BYTES: usize = 128 << 10;

/// Maximum bytes of a record's text. No task is larger than the largest body, and a row holds a part of a task once, or
/// a few parts twice. Without a limit, a missing quote would read the whole file into memory.
const MAX_RECORD_BYTES: usize = 2 << 30;

/// Maximum fields of a record. It is far more than the columns of any table.
const MAX_FIELDS: usize = 1_000;

/// Opens a table and checks its header.
pub(crate) fn open(table: &'static TableInfo, read: Box<dyn Read>) -> Result<Batches, ReadError> {
    let mut records = CsvRecords::new(read);
    if !records.next()? {
        return Err(ReadError::Empty);
    }
    let columns: Vec<&'static ColumnInfo> = table.columns().collect();
    for position in 0..columns.len().max(records.fields.len()) {
        let expected = columns.get(position).map(|column| column.name);
        let found = records
            .field(position)
            .filter(|field| !field.quoted)
            .and_then(|field| str::from_utf8(field.bytes).ok());
        if expected != found {
            let name = |name: Option<&str>| {
                name.map_or("no column".to_owned(), |name| format!("`{name}`"))
            };
            return Err(ReadError::Column {
                position: position + 1,
                expected: name(expected),
                found: name(found),
            });
        }
    }
    // Rows are counted without the header.
    records.row = 0;
    Ok(CsvBatches::of(table, records))
}

/// Reads records of a table without a header.
pub(crate) fn open_part(table: &'static TableInfo, read: Box<dyn Read>) -> Batches {
    CsvBatches::of(table, CsvRecords::new(read))
}

struct CsvBatches {
    table: &'static TableInfo,
    columns: Vec<&'static ColumnInfo>,
    records: CsvRecords,
    parser: Parser,
}

impl Iterator for CsvBatches {
    type Item = Result<Rows, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

impl CsvBatches {
    fn of(table: &'static TableInfo, records: CsvRecords) -> Batches {
        until_error(Self {
            table,
            columns: table.columns().collect(),
            records,
            parser: Parser::default(),
        })
    }

    fn batch(&mut self) -> Result<Option<Rows>, ReadError> {
        let columns = self.columns.iter();
        let mut builders: Vec<_> = columns.map(|column| ColumnBuilder::new(column)).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < READ_BATCH_BYTES && self.records.next()? {
            rows += 1;
            bytes += self.records.text.len();
            let fields = self.records.fields.len();
            if fields != self.columns.len() {
                return Err(ReadError::Fields {
                    row: self.records.row,
                    expected: self.columns.len(),
                    found: fields,
                });
            }
            for (index, (column, builder)) in self.columns.iter().zip(&mut builders).enumerate() {
                let Some(field) = self.records.field(index) else {
                    continue;
                };
                let expected = if field.is_null() {
                    // A null has every type.
                    let _ = builder.append(None);
                    column.required.then_some("a value")
                } else {
                    append(builder, column.column_type, field, &mut self.parser).err()
                };
                if let Some(expected) = expected {
                    return Err(ReadError::Cell {
                        row: self.records.row,
                        column: column.name,
                        expected,
                        found: field.shown(),
                    });
                }
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let batch = RecordBatch::try_new(arrow_schema(self.table), arrays)
            .map_err(|error| ReadError::Damaged(error.to_string()))?;
        let rows = Rows::of(self.table, batch).map(Some);
        rows.map_err(ReadError::ColumnType)
    }
}

/// One field of a record.
#[derive(Clone, Copy)]
struct CsvField<'r> {
    bytes: &'r [u8],
    quoted: bool,
}

impl CsvField<'_> {
    /// An empty field without quotes.
    fn is_null(&self) -> bool {
        self.bytes.is_empty() && !self.quoted
    }

    /// The start of the field, for error messages.
    fn shown(&self) -> String {
        const SHOWN: usize = 40;
        let text = String::from_utf8_lossy(self.bytes);
        let end = text.floor_char_boundary(SHOWN);
        format!("{:?}", text.get(..end).unwrap_or_default())
    }
}

/// Splits a file into records.
struct CsvRecords {
    reader: BufReader<Box<dyn Read>>,
    /// The text of all fields, without the quotes around them.
    text: Vec<u8>,
    /// Where each field ends in `text`, and whether it was quoted.
    fields: Vec<(usize, bool)>,
    row: u64,
}

/// What follows the bytes that the parser consumed.
enum AfterBytes {
    More,
    RecordEnds,
}

impl CsvRecords {
    fn new(read: Box<dyn Read>) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, read),
            text: Vec::new(),
            fields: Vec::new(),
            row: 0,
        }
    }

    fn wrong(&self, cause: &'static str) -> ReadError {
        ReadError::Record {
            row: self.row,
            cause,
        }
    }

    fn field(&self, index: usize) -> Option<CsvField<'_>> {
        let (end, quoted) = *self.fields.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.fields.get(before)?.0,
            None => 0,
        };
        let bytes = self.text.get(start..end)?;
        Some(CsvField { bytes, quoted })
    }

    /// Reads the next record. Returns false at the end of the file.
    fn next(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        self.fields.clear();
        self.row += 1;
        let mut state = ParseState::FieldStarts;
        let mut is_first = true;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ReadError::Stream(error)),
            };
            if bytes.is_empty() {
                return if is_first {
                    Ok(false)
                } else {
                    Err(self.wrong("the file ends inside the row"))
                };
            }
            is_first = false;
            let (used, step) = state.take(bytes, &mut self.text, &mut self.fields);
            self.reader.consume(used);
            match step {
                Ok(AfterBytes::RecordEnds) => return Ok(true),
                Ok(AfterBytes::More) => {}
                Err(cause) => return Err(self.wrong(cause)),
            }
            // Checked after each piece of the file, so that a record without an end stops soon.
            if self.fields.len() > MAX_FIELDS {
                return Err(self.wrong("it has over 1,000 fields"));
            }
            if self.text.len() > MAX_RECORD_BYTES {
                return Err(self.wrong("it is over 2 GiB long"));
            }
        }
    }
}

/// The position within a record.
enum ParseState {
    FieldStarts,
    Plain,
    Quoted,
    /// After a quote inside quotes: it ends the field, or a second one makes it part of the text.
    QuoteSeen,
}

impl ParseState {
    /// Consumes bytes until the state changes. Returns their number.
    fn take(
        &mut self,
        bytes: &[u8],
        text: &mut Vec<u8>,
        fields: &mut Vec<(usize, bool)>,
    ) -> (usize, Result<AfterBytes, &'static str>) {
        let first = bytes.first().copied();
        let mut end_field = |state: &mut Self, quoted, byte, text: &Vec<u8>| {
            fields.push((text.len(), quoted));
            *state = Self::FieldStarts;
            if byte == b'\n' {
                AfterBytes::RecordEnds
            } else {
                AfterBytes::More
            }
        };
        match (&self, first) {
            (Self::FieldStarts, Some(b'"')) => {
                *self = Self::Quoted;
                (1, Ok(AfterBytes::More))
            }
            (Self::FieldStarts | Self::Plain, _) => {
                let plain = memchr::memchr3(b',', b'\n', b'"', bytes).unwrap_or(bytes.len());
                text.extend_from_slice(bytes.get(..plain).unwrap_or_default());
                match bytes.get(plain) {
                    None => {
                        *self = Self::Plain;
                        (plain, Ok(AfterBytes::More))
                    }
                    Some(b'"') => (plain, Err("a field without quotes contains a quote")),
                    Some(&byte) => (plain + 1, Ok(end_field(self, false, byte, text))),
                }
            }
            (Self::Quoted, _) => {
                let inside = memchr::memchr(b'"', bytes).unwrap_or(bytes.len());
                text.extend_from_slice(bytes.get(..inside).unwrap_or_default());
                if inside == bytes.len() {
                    return (inside, Ok(AfterBytes::More));
                }
                *self = Self::QuoteSeen;
                (inside + 1, Ok(AfterBytes::More))
            }
            (Self::QuoteSeen, Some(b'"')) => {
                text.push(b'"');
                *self = Self::Quoted;
                (1, Ok(AfterBytes::More))
            }
            (Self::QuoteSeen, Some(byte @ (b',' | b'\n'))) => {
                (1, Ok(end_field(self, true, byte, text)))
            }
            (Self::QuoteSeen, _) => (0, Err("text follows a closing quote")),
        }
    }
}

/// Appends a field that is not null. The error is what was expected.
fn append(
    builder: &mut ColumnBuilder,
    column_type: ColumnType,
    field: CsvField<'_>,
    parser: &mut Parser,
) -> Result<(), &'static str> {
    let text = str::from_utf8(field.bytes).map_err(|_| "UTF-8")?;
    // Null and the empty string differ only by quotes, so quotes must be exactly where the writer puts them.
    let is_quoted = needs_quotes(text);
    if field.quoted != is_quoted {
        return Err(if is_quoted {
            "in quotes"
        } else {
            "without quotes"
        });
    }
    let decoded;
    let cell = match column_type {
        ColumnType::Str | ColumnType::UniqueStr | ColumnType::RepeatedStr | ColumnType::Path => {
            Cell::Text(Text::plain(text))
        }
        ColumnType::Json => {
            let document = parser.parse(text).map_err(|_| "JSON")?;
            if document.text() != text {
                return Err("compact JSON");
            }
            Cell::Text(Text::plain(text))
        }
        ColumnType::Int32 => Cell::Int32(canonical(text).ok_or("a 32-bit integer")?),
        ColumnType::Int64 => Cell::Int64(canonical(text).ok_or("a 64-bit integer")?),
        ColumnType::Float64 => {
            let number = text.parse().ok();
            // The writer prints the shortest decimal that round-trips.
            let is_ours = |number: &f64| format!("{number:?}") == text;
            Cell::Float64(number.filter(is_ours).ok_or("a float64 number")?)
        }
        ColumnType::Bool => Cell::Bool(match text {
            "true" => true,
            "false" => false,
            _ => return Err("true or false"),
        }),
        ColumnType::Timestamp => Cell::Time(time(text).ok_or("a time")?),
        ColumnType::StrList => {
            let document = parser.parse(text).map_err(|_| "a list of strings")?;
            let texts = document.root().text_list().ok_or("a list of strings")?;
            return append_list(builder, texts, text);
        }
        ColumnType::Bytes => {
            decoded = STANDARD.decode(text).map_err(|_| "base64")?;
            Cell::Bytes(&decoded)
        }
    };
    append_cell(builder, cell)
}

/// Appends a list of strings that is spelled as the writer spells it.
fn append_list(
    builder: &mut ColumnBuilder,
    texts: TextList<'_>,
    found: &str,
) -> Result<(), &'static str> {
    let mut spelled = String::from("[");
    for text in texts.iter() {
        if spelled.len() > 1 {
            spelled.push(',');
        }
        write_json_string(&text.decode(), &mut spelled);
    }
    spelled.push(']');
    if spelled != found {
        return Err("a list as scale-export writes it");
    }
    append_cell(builder, Cell::Texts((&texts).into()))
}

/// Appends a cell of the column's type.
fn append_cell(builder: &mut ColumnBuilder, cell: Cell<'_>) -> Result<(), &'static str> {
    builder
        .append(Some(&cell))
        .map(drop)
        .map_err(|_| "a value of its type")
}

/// An integer, spelled as the writer spells it.
fn canonical<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A time spelled `2026-01-31T00:00:00.000000Z`, in microseconds since 1970.
fn time(text: &str) -> Option<i64> {
    const LENGTH: usize = "2026-01-31T00:00:00.000000Z".len();
    let is_ours = text.len() == LENGTH && text.ends_with('Z');
    let time: jiff::civil::DateTime = text.strip_suffix('Z').filter(|_| is_ours)?.parse().ok()?;
    let since = time.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let micros = i64::try_from(since.as_micros()).ok()?;
    let printed = crate::tables::date_time::date_time(micros)?.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    (printed.to_string() == text).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(text: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let mut records = CsvRecords::new(Box::new(std::io::Cursor::new(text.to_owned())));
        let mut all = Vec::new();
        while records.next().map_err(|error| error.to_string())? {
            let record = (0..records.fields.len()).map(|index| {
                let field = records.field(index).unwrap();
                (!field.is_null()).then(|| String::from_utf8_lossy(field.bytes).into_owned())
            });
            all.push(record.collect());
        }
        Ok(all)
    }

    #[test]
    fn null_differs_from_the_empty_string() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            fields("a,,\"\"\n\"b,\"\"c\"\"\r\n\",x,\n"),
            Ok(vec![
                vec![some("a"), None, some("")],
                vec![some("b,\"c\"\r\n"), some("x"), None],
            ])
        );
        assert_eq!(fields(""), Ok(vec![]));
    }

    #[test]
    fn texts_that_scale_export_does_not_write_are_refused() {
        for (text, expected) in [
            ("a\nb", "row 2: the file ends inside the row"),
            ("\"a", "row 1: the file ends inside the row"),
            ("a\"b\n", "row 1: a field without quotes"),
            ("\"a\"b\n", "row 1: text follows"),
        ] {
            let error = fields(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_record_of_commas_takes_no_more_memory_than_a_record() {
        let error = fields(&",".repeat(10_000_000)).unwrap_err();
        assert_eq!(error, "row 1: it has over 1,000 fields");
    }

    #[test]
    fn times_have_one_spelling() {
        assert_eq!(time("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(
            time("0001-01-01T00:00:00.000000Z"),
            Some(-62_135_596_800_000_000)
        );
        assert_eq!(
            time("9999-12-31T23:59:59.999999Z"),
            Some(253_402_300_799_999_999)
        );
        for other in [
            "1970-01-01T00:00:00Z",
            "1970-01-01 00:00:00.000000Z",
            "1970-01-01T00:00:00.0000001",
            "1970-02-30T00:00:00.000000Z",
            "",
        ] {
            assert_eq!(time(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            for table in crate::tables::definition::TABLES.iter().take(2) {
                let names: Vec<_> = table.columns().map(|column| column.name).collect();
                let text = [names.join(",").as_bytes(), b"\n", &bytes].concat();
                if let Ok(batches) = open(table, Box::new(std::io::Cursor::new(text))) {
                    batches.for_each(drop);
                }
            }
        }
    }
}
