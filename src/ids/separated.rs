//! Reads CSV, also with other separators.

use crate::ids::error::{BadRecord, IdsError};
use crate::ids::list::ListReader;
use crate::ids::position::ListPosition;
use crate::ids::records::{KeptCells, ListRecord, RecordError, RecordReader, is_line_end};
use crate::ids::source::{IdSource, ListStream};

/// The longest header in bytes: enough for thousands of columns.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Separators of a `.csv` file, the most common first.
pub(crate) const CSV_SEPARATORS: &[u8] = b",;\t|";

/// Separators of a `.tsv` file, the most common first.
pub(crate) const TSV_SEPARATORS: &[u8] = b"\t,;|";

/// Spreadsheets name the separator in a line before the header: `sep=;`.
const SEPARATOR_LINE: &[u8] = b"sep=";

/// The text of a header, its line, and the line after it.
struct ListHeader {
    text: Vec<u8>,
    line: u64,
    next_line: u64,
}

/// Reads the column of IDs. The separator is the first one that gives the header such a column.
pub(crate) fn read_separated(
    list: &mut ListReader<'_>,
    stream: &mut ListStream,
    separators: &[u8],
) -> Result<(), IdsError> {
    let Some(mut header) = read_header(list, stream, 1)? else {
        return Ok(());
    };
    let named = header.text.strip_prefix(SEPARATOR_LINE);
    let named = named
        // Otherwise `sep=…` is the name of a column.
        .filter(|separator| separator.len() == 1)
        .map(<[u8]>::to_vec);
    if named.is_some() {
        let Some(next) = read_header(list, stream, header.next_line)? else {
            return Ok(());
        };
        header = next;
    }
    let (separator, column) =
        find_separator(list, &header, named.as_deref().unwrap_or(separators))?;
    let mut records =
        RecordReader::new(stream, separator, KeptCells::One(column), header.next_line);
    let mut record = ListRecord::default();
    while records
        .next(&mut record)
        .map_err(|error| record_error(list, error))?
    {
        let cell = record.cells.first().map(Vec::as_slice);
        list.add_bytes(cell, record.position())?;
    }
    Ok(())
}

fn record_error(list: &ListReader<'_>, error: RecordError) -> IdsError {
    match error {
        RecordError::List(error) => error,
        RecordError::Bad(position, cause) => list.bad(position, cause),
    }
}

/// Returns the separator and the position of the column of IDs. If no separator gives such a column, the error has the
/// columns of the separator that gives the most.
fn find_separator(
    list: &ListReader<'_>,
    header: &ListHeader,
    separators: &[u8],
) -> Result<(u8, usize), IdsError> {
    let mut most: Option<(usize, IdsError)> = None;
    for &separator in separators {
        let text = IdSource::Bytes(header.text.clone().into());
        let mut stream = text.raw(list.name.clone());
        let mut record = ListRecord::default();
        RecordReader::new(&mut stream, separator, KeptCells::All, header.line)
            .next(&mut record)
            .map_err(|error| record_error(list, error))?;
        let names = record
            .cells
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let names: Vec<String> = names.collect();
        match list.find_column(&names) {
            Ok(column) => return Ok((separator, column)),
            // This separator is the right one, and another would only hide the problem.
            Err(error @ IdsError::Ambiguous { .. }) => return Err(error),
            Err(error) => {
                if most
                    .as_ref()
                    .is_none_or(|(columns, _)| names.len() > *columns)
                {
                    most = Some((names.len(), error));
                }
            }
        }
    }
    let error = most.map(|(_, error)| error);
    Err(error.unwrap_or_else(|| IdsError::Column {
        file: list.name.clone(),
        wanted: list.column.to_owned(),
        columns: Vec::new(),
    }))
}

/// Reads the first line that is not empty, with line ends inside of quotes. This needs no separator: up to the end of a
/// record, the number of quotes is even.
fn read_header(
    list: &ListReader<'_>,
    stream: &mut ListStream,
    first_line: u64,
) -> Result<Option<ListHeader>, IdsError> {
    let mut text = Vec::new();
    let (mut line, mut next_line) = (first_line, first_line);
    let (mut is_quoted, mut has_ended, mut follows_return) = (false, false, false);
    loop {
        let bytes = stream.bytes()?;
        if bytes.is_empty() {
            return Ok((!text.is_empty()).then_some(ListHeader {
                text,
                line,
                next_line,
            }));
        }
        let mut used = 0;
        for &byte in bytes {
            let is_second = byte == b'\n' && follows_return;
            // One byte behind the header shows whether `\r` was the whole line end, and stays in the stream.
            if has_ended && !is_second {
                stream.consume(used);
                return Ok(Some(ListHeader {
                    text,
                    line,
                    next_line,
                }));
            }
            used += 1;
            follows_return = byte == b'\r';
            if is_line_end(byte) && !is_second {
                next_line += 1;
            }
            if is_line_end(byte) && !is_quoted {
                if text.is_empty() {
                    line = next_line;
                } else {
                    has_ended = true;
                }
                continue;
            }
            is_quoted ^= byte == b'"';
            text.push(byte);
            if text.len() > MAX_HEADER_BYTES {
                let limit = MAX_HEADER_BYTES as u64;
                return Err(list.bad(ListPosition::Line(line), BadRecord::TooLong { limit }));
            }
        }
        stream.consume(used);
    }
}

#[cfg(test)]
mod tests {
    use crate::ids::format::ListFormat;
    use crate::ids::read::read_bytes;

    fn ids(text: &str) -> Result<Vec<String>, String> {
        let list = read_bytes(ListFormat::Csv, text.to_owned().into());
        let list = list.map_err(|error| error.to_string())?;
        Ok(list.iter().map(str::to_owned).collect())
    }

    #[test]
    fn every_separator_is_found_in_the_header() {
        for text in [
            "x,task_id\n1,a\n2,b\n",
            "x;task_id\n1,5;a\n2;b\n",
            "x\ttask_id\r\n1\ta\r\n2\tb",
            "x|task_id\n1|a\n2|b\n",
            "sep=;\nx;task_id\n1;a\n2;b\n",
            "\n\"task_id\";\"x\"\n\"a\";\"1;2\"\n\n\"b\"\n",
            "Task ID\ra\rb\r",
            "x, \"task_id\" \n1, \"a\" \n1,b\n",
            "\"x\n\",task_id\n\"\n\",a\n\"\"\"\",b",
            "x,task_id\n5\" pipe,a\n6\" pipe,b\n",
            "task_id\na\nb",
        ] {
            assert_eq!(ids(text), Ok(vec!["a".into(), "b".into()]), "{text:?}");
        }
    }

    #[test]
    fn any_id_can_be_given_in_csv() {
        assert_eq!(
            ids("task_id\n\"a,b\"\n\"\"\"a\"\"\"\n[a]\n#a\nNaN\n"),
            Ok(["a,b", "\"a\"", "[a]", "#a", "NaN"]
                .map(String::from)
                .to_vec())
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            (
                "id;name;x\n1;2;3\n",
                "no column `task_id`, only `id`, `name`, `x`",
            ),
            ("task_1\ntask_2\n", "no column `task_id`, only `task_1`"),
            (
                "taskId,Task ID\na,b\n",
                "`taskId` and `Task ID` both match `task_id`",
            ),
            (
                "task_id,x\na,1\nb,\"2\nc,3\n",
                "line 3: the quoted cell that begins here is not closed",
            ),
            ("task_id,\"x\na,1\n", "the quoted cell that begins here"),
            (
                "\r\nx,task_id\r\n\r\n1,a\r\n\"\r\n\",b\r\n1,c d\r\n",
                "line 7: it contains white space",
            ),
            (
                "task_id\n\u{1}\n",
                "line 2: it contains a control character",
            ),
        ] {
            let error = ids(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let long = ids(&format!("x,task_id\n1,{}\n", "y".repeat(20_000))).unwrap_err();
        assert!(long.contains("line 2: it is over 16.4 kB long"), "{long}");
        let long = ids(&"x".repeat(2_000_000)).unwrap_err();
        assert!(long.contains("line 1: it is over 1.0 MB long"), "{long}");
        let latin1 = read_bytes(ListFormat::Csv, (&b"task_id,\xe9\n\xe9,b\n"[..]).into());
        assert!(
            latin1
                .unwrap_err()
                .to_string()
                .contains("line 2: it is not UTF-8")
        );
    }

    #[test]
    fn cells_without_an_id_are_skipped() {
        assert_eq!(
            ids("task_id,x\n,1\n\"\",2\n  ,3\na,4\n"),
            Ok(vec!["a".into()])
        );
        assert_eq!(ids("x,task_id\n1\n2,a\n"), Ok(vec!["a".into()]));
        assert_eq!(ids(""), Ok(vec![]));
    }
}
