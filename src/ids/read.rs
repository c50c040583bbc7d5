//! Reads IDs from text, CSV, JSON lines and Parquet. Depends on `csv`, `json` and `reader`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};

use super::{IdList, IdsError, MAX_ID_BYTES};
use crate::json::Parser;
use crate::reader::{ColumnError, Input, each_text};

/// The column or key that is read.
const COLUMN: &str = "task_id";

/// Standard input.
const STDIN: &str = "-";

/// Bytes of a line of text that are looked at: an ID with room for white space around it. Whatever
/// is longer is no ID, and need not be held in memory.
const MAX_LINE_BYTES: u64 = 16 * MAX_ID_BYTES as u64;

/// Bytes of a line of JSON: a whole task may stand in it.
const MAX_JSON_LINE_BYTES: u64 = 1 << 30;

/// Reads all files and single IDs, in this order.
pub fn read_ids(files: &[PathBuf], single: &[String]) -> Result<IdList, IdsError> {
    let mut ids = IdList::default();
    for file in files {
        read_file(file, &mut ids)?;
    }
    for id in single {
        let id = id.trim();
        ids.add(id).map_err(|cause| IdsError::Id {
            cause: cause.to_string(),
        })?;
    }
    if ids.is_empty() {
        let names: Vec<String> = files
            .iter()
            .map(|file| format!("`{}`", file.display()))
            .collect();
        return Err(IdsError::Empty {
            given: names.join(", "),
        });
    }
    ids.shrink();
    Ok(ids)
}

fn read_file(path: &Path, ids: &mut IdList) -> Result<(), IdsError> {
    let source = Source {
        name: path.display().to_string(),
    };
    if path.as_os_str() == STDIN {
        return source.text(io::stdin().lock(), ids);
    }
    let file = File::open(path).map_err(|error| source.failed(&error.to_string()))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(source.failed("it is a directory"));
    }
    match ListFormat::of(path) {
        ListFormat::Csv => source.csv(file, ids),
        ListFormat::JsonLines => source.json_lines(BufReader::new(file), ids),
        ListFormat::Parquet => source.parquet(file.into(), ids),
        ListFormat::Text | ListFormat::Published => source.text(BufReader::new(file), ids),
    }
}

/// Reads a list as this tool publishes it ([`IdList::lines`]): exactly one ID a line, and no
/// comments, since an ID may begin with `#`.
pub fn read_published(path: &Path) -> Result<IdList, IdsError> {
    let source = Source {
        name: path.display().to_string(),
    };
    let file = File::open(path).map_err(|error| source.failed(&error.to_string()))?;
    source.published(BufReader::new(file))
}

/// The format of a list of IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// One ID a line.
    Text,
    /// CSV with a column `task_id`.
    Csv,
    /// One JSON object a line, with a key `task_id`.
    JsonLines,
    /// Parquet with a column `task_id`.
    Parquet,
    /// As this tool publishes it.
    Published,
}

impl ListFormat {
    /// By the ending of the file's name.
    fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default();
        match extension.to_string_lossy().to_lowercase().as_str() {
            "csv" => Self::Csv,
            "jsonl" | "ndjson" => Self::JsonLines,
            "parquet" => Self::Parquet,
            _ => Self::Text,
        }
    }
}

/// Reads a list that is in memory.
pub fn read_bytes(format: ListFormat, content: Bytes) -> Result<IdList, IdsError> {
    let mut ids = IdList::default();
    let source = Source {
        name: "memory".to_owned(),
    };
    match format {
        ListFormat::Csv => source.csv(content.reader(), &mut ids),
        ListFormat::JsonLines => source.json_lines(content.reader(), &mut ids),
        ListFormat::Parquet => source.parquet(Input::Bytes(content), &mut ids),
        ListFormat::Text => source.text(content.reader(), &mut ids),
        ListFormat::Published => return source.published(content.reader()),
    }?;
    Ok(ids)
}

/// A named source of IDs.
struct Source {
    name: String,
}

impl Source {
    fn failed(&self, cause: &str) -> IdsError {
        IdsError::Read {
            file: self.name.clone(),
            cause: cause.to_owned(),
        }
    }

    fn bad(&self, what: &'static str, number: u64, cause: &dyn std::fmt::Display) -> IdsError {
        IdsError::Line {
            file: self.name.clone(),
            what,
            number,
            cause: cause.to_string(),
        }
    }

    fn no_column(&self, columns: &[String]) -> IdsError {
        IdsError::Column {
            file: self.name.clone(),
            columns: columns.join(", "),
        }
    }

    /// Adds what stands in a cell; an empty one is passed over.
    fn add(
        &self,
        cell: &str,
        what: &'static str,
        number: u64,
        ids: &mut IdList,
    ) -> Result<(), IdsError> {
        let id = cell.trim();
        if id.is_empty() {
            return Ok(());
        }
        ids.add(id).map_err(|cause| self.bad(what, number, &cause))
    }

    fn published(&self, reader: impl BufRead) -> Result<IdList, IdsError> {
        let mut ids = IdList::default();
        self.lines(reader, MAX_LINE_BYTES, |number, line| {
            let id = line.strip_suffix('\n').unwrap_or(line);
            let added = ids.add(id);
            added.map_err(|cause| self.bad("line", number, &cause))
        })?;
        ids.shrink();
        Ok(ids)
    }

    fn text(&self, reader: impl BufRead, ids: &mut IdList) -> Result<(), IdsError> {
        self.lines(reader, MAX_LINE_BYTES, |number, line| {
            if line.trim_start().starts_with('#') {
                return Ok(());
            }
            self.add(line, "line", number, ids)
        })
    }

    fn json_lines(&self, reader: impl BufRead, ids: &mut IdList) -> Result<(), IdsError> {
        let mut parser = Parser::default();
        self.lines(reader, MAX_JSON_LINE_BYTES, |number, line| {
            if line.trim().is_empty() {
                return Ok(());
            }
            let document = parser
                .parse(line)
                .map_err(|error| self.bad("line", number, &error))?;
            let id = document.root().get(COLUMN);
            let id = id.ok_or_else(|| self.bad("line", number, &"it has no key `task_id`"))?;
            if id.is_null() {
                return Ok(());
            }
            let id = id
                .text()
                .ok_or_else(|| self.bad("line", number, &"`task_id` is no string"))?;
            self.add(&id.decode(), "line", number, ids)
        })
    }

    /// Gives every line without its end, decoded.
    fn lines(
        &self,
        mut reader: impl BufRead,
        max_bytes: u64,
        mut see: impl FnMut(u64, &str) -> Result<(), IdsError>,
    ) -> Result<(), IdsError> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader
                .by_ref()
                .take(max_bytes + 1)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.failed(&error.to_string()))?;
            if read == 0 {
                break;
            }
            if number == 1 {
                if line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff") {
                    return Err(self.failed("it is UTF-16, not UTF-8"));
                }
                if line.starts_with(b"\xef\xbb\xbf") {
                    line.drain(..3);
                }
            }
            if line.len() as u64 > max_bytes {
                return Err(self.bad("line", number, &super::NoId::TooLong));
            }
            let text = std::str::from_utf8(&line)
                .map_err(|_| self.bad("line", number, &"it is not UTF-8"))?;
            see(number, text)?;
        }
        Ok(())
    }

    fn csv(&self, file: impl Read, ids: &mut IdList) -> Result<(), IdsError> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(BufReader::new(file));
        let failed = |error: &csv::Error| self.failed(&error.to_string());
        let columns: Vec<String> = reader
            .headers()
            .map_err(|error| failed(&error))?
            .iter()
            .map(str::to_owned)
            .collect();
        let is_id = |name: &String| name.trim_start_matches('\u{feff}').trim() == COLUMN;
        let column = columns
            .iter()
            .position(is_id)
            .ok_or_else(|| self.no_column(&columns))?;
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| failed(&error))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            self.add(record.get(column).unwrap_or_default(), "line", line, ids)?;
        }
        Ok(())
    }

    fn parquet(&self, input: Input, ids: &mut IdList) -> Result<(), IdsError> {
        let read = each_text(input, COLUMN, |row, id| self.add(id, "row", row, ids));
        read.map_err(|error| match error {
            ColumnError::Missing(columns) => self.no_column(&columns),
            ColumnError::Type(other) => self.failed(&format!("`task_id` is {other}, no string")),
            ColumnError::Damaged(cause) => self.failed(&cause),
            ColumnError::Value(error) => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(name: &str, content: &[u8]) -> Result<IdList, IdsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_ids(&[path], &[])
    }

    fn ids(name: &str, content: &[u8]) -> Vec<String> {
        read(name, content)
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn text_in_every_dress() {
        let list = read(
            "ids.txt",
            b"\xef\xbb\xbf# header\r\n  a \r\n\r\n\tb/c\n#x\na\n\xc3\xa9",
        )
        .unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["a", "b/c", "é"]);
        assert_eq!((list.len(), list.duplicates()), (3, 1));
        assert_eq!(list.position("b/c"), Some(1));
    }

    #[test]
    fn tables_are_read_from_their_column() {
        assert_eq!(
            ids("a.csv", b"\xef\xbb\xbfx,task_id\n1,\"a\"\n2,\n3,b\n4\n"),
            ["a", "b"]
        );
        assert_eq!(
            ids(
                "a.jsonl",
                b"{\"task_id\":\"\\u0061\"}\n\n{\"task_id\":null}\n{\"x\":1,\"task_id\":\"b\"}"
            ),
            ["a", "b"]
        );
    }

    #[test]
    fn lines_that_cannot_be_ids_are_refused_by_number() {
        for (name, content, expected) in [
            (
                "a.txt",
                &b"a\nb c\n"[..],
                "line 2: it has white space inside",
            ),
            (
                "a.txt",
                b"a\n\nb\0c\n",
                "line 3: it has a control character",
            ),
            ("a.txt", b"\xff\n", "line 1: it is not UTF-8"),
            ("a.txt", &[b'x'; 1025], "line 1: it is over 1024 bytes long"),
            (
                "a.txt",
                &b"x".repeat(100_000),
                "line 1: it is over 1024 bytes long",
            ),
            ("a.txt", b"\xff\xfea\0", "it is UTF-16"),
            (
                "a.csv",
                b"id,name\n1,2\n",
                "no column `task_id`, only id, name",
            ),
            (
                "a.csv",
                b"task_id\na\n\"b c\"\n",
                "line 3: it has white space",
            ),
            (
                "a.jsonl",
                b"{\"task_id\":1}\n",
                "line 1: `task_id` is no string",
            ),
            ("a.jsonl", b"{}\n", "line 1: it has no key"),
            ("a.parquet", b"PAR1", "could not read IDs"),
            ("a.txt", b"# nothing\n\n", "could not find any task ID"),
        ] {
            let error = read(name, content).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(read_ids(&[], &["a b".into()]).is_err());
        assert!(
            read_ids(&["/".into()], &[])
                .unwrap_err()
                .to_string()
                .contains("directory")
        );
    }

    #[test]
    fn a_published_list_is_the_same_list() {
        let list = read("a.csv", b"task_id\n#not_a_comment\n").unwrap();
        let lines: String = list.lines().collect();
        assert_eq!(lines, "#not_a_comment\n");
        let again = read_bytes(ListFormat::Published, lines.into()).unwrap();
        assert!(list.iter().eq(again.iter()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_taken(content: Vec<u8>, name in "a\\.(txt|csv|jsonl|parquet)") {
            let _ = read(&name, &content);
        }
    }
}
