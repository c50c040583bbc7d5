//! Reads JSON lines and JSON arrays.

use crate::ids::error::{BadRecord, IdsError};
use crate::ids::lines::each_line;
use crate::ids::list::ListReader;
use crate::ids::position::ListPosition;
use crate::ids::source::ListStream;
use crate::json::kind::JsonKind;
use crate::json::lexer::JsonErrorKind;
use crate::json::parser::Parser;
use crate::json::value::Value;

/// The longest JSON value in bytes. A value may be a whole task of the default `--max-body`.
const MAX_VALUE_BYTES: u64 = 256 << 20;

/// Reads one value per line.
pub(crate) fn read_json_lines(
    list: &mut ListReader<'_>,
    stream: &mut ListStream,
) -> Result<(), IdsError> {
    // One parser for all lines reuses its memory.
    let mut parser = Parser::default();
    each_line(stream, MAX_VALUE_BYTES, |line| {
        let position = ListPosition::Line(line.number);
        if line.is_cut {
            let limit = MAX_VALUE_BYTES;
            return Err(list.bad(position, BadRecord::TooLong { limit }));
        }
        // Files often end with an empty line.
        if line.bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        add_value(list, &mut parser, line.bytes, position)
    })
}

/// Reads an array element by element. A file that does not begin with an array has one value per line: some programs,
/// such as DuckDB, write JSON lines with the extension `.json`.
pub(crate) fn read_json(
    list: &mut ListReader<'_>,
    stream: &mut ListStream,
) -> Result<(), IdsError> {
    let bytes = stream.bytes()?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| *byte != b'[') {
        return read_json_lines(list, stream);
    }
    let mut parser = Parser::default();
    let mut array = ArraySplitter::default();
    loop {
        let bytes = stream.bytes()?;
        if bytes.is_empty() {
            break;
        }
        if array.element.try_reserve(bytes.len()).is_err() {
            return Err(stream.no_memory());
        }
        // Up to the end of an element at most, so that an array of any length needs memory for one element only.
        let mut used = 0;
        let mut step = ArrayEvent::More;
        for &byte in bytes {
            used += 1;
            step = array.take(byte);
            if step != ArrayEvent::More {
                break;
            }
        }
        stream.consume(used);
        let position = ListPosition::Element(array.number);
        match step {
            ArrayEvent::More if array.element.len() as u64 > MAX_VALUE_BYTES => {
                let limit = MAX_VALUE_BYTES;
                return Err(list.bad(position, BadRecord::TooLong { limit }));
            }
            ArrayEvent::More => {}
            ArrayEvent::Element => {
                add_value(list, &mut parser, &array.element, position)?;
                array.element.clear();
                array.number += 1;
            }
            ArrayEvent::After => return Err(list.bad(position, BadRecord::AfterArray)),
        }
    }
    match array.part {
        ArrayPart::Inside => Err(list.bad(
            ListPosition::Element(array.number),
            BadRecord::UnclosedArray,
        )),
        ArrayPart::Before | ArrayPart::After => Ok(()),
    }
}

/// Splits an array into its elements. It does not check them: the parser does.
#[derive(Default)]
struct ArraySplitter {
    part: ArrayPart,
    element: Vec<u8>,
    /// The number of the element, from 1.
    number: u64,
    /// The number of open brackets inside of the element.
    depth: u64,
    is_string: bool,
    is_escaped: bool,
}

#[derive(Default)]
enum ArrayPart {
    #[default]
    Before,
    Inside,
    After,
}

/// What a byte of an array means.
#[derive(PartialEq, Eq)]
enum ArrayEvent {
    More,
    /// The element has ended.
    Element,
    /// Something follows the array.
    After,
}

impl ArraySplitter {
    fn take(&mut self, byte: u8) -> ArrayEvent {
        match self.part {
            ArrayPart::Inside => return self.take_inside(byte),
            _ if byte.is_ascii_whitespace() => {}
            ArrayPart::Before if byte == b'[' => {
                self.part = ArrayPart::Inside;
                self.number = 1;
            }
            ArrayPart::Before | ArrayPart::After => return ArrayEvent::After,
        }
        ArrayEvent::More
    }

    fn take_inside(&mut self, byte: u8) -> ArrayEvent {
        if self.is_string {
            let was_escaped = std::mem::take(&mut self.is_escaped);
            match byte {
                _ if was_escaped => {}
                b'\\' => self.is_escaped = true,
                b'"' => self.is_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.is_string = true,
                b'[' | b'{' => self.depth += 1,
                b']' if self.depth == 0 => {
                    self.part = ArrayPart::After;
                    // `[]` has no element. An empty one after a comma is a mistake, which the parser reports.
                    let is_empty = self.number == 1 && self.element.trim_ascii().is_empty();
                    return if is_empty {
                        ArrayEvent::More
                    } else {
                        ArrayEvent::Element
                    };
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 0 => return ArrayEvent::Element,
                _ => {}
            }
        }
        self.element.push(byte);
        ArrayEvent::More
    }
}

/// Adds the ID of a JSON value: the value itself, or the member of an object that has the name of the column.
fn add_value(
    list: &mut ListReader<'_>,
    parser: &mut Parser,
    bytes: &[u8],
    position: ListPosition,
) -> Result<(), IdsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| list.bad(position, BadRecord::NotUtf8))?;
    let document = parser.parse(text);
    let document = document.map_err(|error| match error.kind {
        JsonErrorKind::Memory => IdsError::NoMemory {
            file: list.name.clone(),
        },
        _ => list.bad(position, BadRecord::Json(error)),
    })?;
    let mut value = document.root();
    if value.is_object() {
        // The exact name needs no list of all names.
        value = match value.get(list.column) {
            Some(value) => value,
            None => find_member(list, value)?,
        };
    }
    let wrong_type = |found| Err(list.bad(position, BadRecord::JsonType(found)));
    match value.kind() {
        // Programs that write tables as JSON write null for an empty cell.
        JsonKind::Null => list.add(None, position),
        JsonKind::String { .. } => match value.text() {
            Some(id) => list.add(Some(&id.decode()), position),
            None => Err(list.bad(position, BadRecord::LoneSurrogate)),
        },
        JsonKind::Number => {
            let digits = value.raw().strip_prefix('-').unwrap_or(value.raw());
            // A fraction or an exponent shows that a program has converted the ID to a float, so its digits may be
            // wrong.
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                list.add(Some(value.raw()), position)
            } else {
                wrong_type("a number with a fraction or an exponent")
            }
        }
        JsonKind::Bool(_) => wrong_type("a boolean"),
        JsonKind::Array => wrong_type("an array"),
        JsonKind::Object => wrong_type("an object"),
    }
}

/// Returns the member whose name matches the column's.
fn find_member<'d>(list: &ListReader<'_>, object: Value<'d>) -> Result<Value<'d>, IdsError> {
    let names = object.members().map(|(key, _)| match key.text() {
        Some(name) => name.decode().into_owned(),
        None => key.raw().to_owned(),
    });
    let names: Vec<String> = names.collect();
    let position = list.find_column(&names)?;
    let member = object.members().nth(position);
    // The position is that of a member, so this is never `object`.
    Ok(member.map_or(object, |(_, value)| value))
}

#[cfg(test)]
mod tests {
    use crate::ids::format::ListFormat;
    use crate::ids::read::read_bytes;

    fn ids(format: ListFormat, text: &str) -> Result<Vec<String>, String> {
        let list = read_bytes(format, text.to_owned().into());
        let list = list.map_err(|error| error.to_string())?;
        Ok(list.iter().map(str::to_owned).collect())
    }

    #[test]
    fn arrays_and_lines_hold_strings_integers_and_objects() {
        let expected: Vec<String> = ["a", "12345678901234567890123", "-3", "b]"]
            .map(String::from)
            .to_vec();
        for text in [
            r#"["a", 12345678901234567890123, -3, "b]"]"#,
            "\n [\n\"\\u0061\",{\"x\":[{}],\"task_id\":12345678901234567890123}\n,null,{\"taskId\":-3},\"b]\" ] \n",
        ] {
            assert_eq!(
                ids(ListFormat::Json, text).as_ref(),
                Ok(&expected),
                "{text}"
            );
        }
        let lines = "\"a\"\r\n\n{\"task_id\":12345678901234567890123,\"taskId\":1}\n{\"Task ID\":-3}\nnull\n{\"x\":\"\\\"[\",\"task_id\":\"b]\"}";
        assert_eq!(ids(ListFormat::JsonLines, lines).as_ref(), Ok(&expected));
        assert_eq!(ids(ListFormat::Json, lines).as_ref(), Ok(&expected));
        for text in ["", " ", "[]", "[ \n]"] {
            assert_eq!(ids(ListFormat::Json, text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn errors_name_the_element() {
        for (text, expected) in [
            (
                "[\"a\", {\"x\": 1, \"y\": 2}]",
                "no column `task_id`, only `x`, `y`",
            ),
            (
                "[{\"taskId\": 1, \"Task_ID\": 2}]",
                "`taskId` and `Task_ID` both match",
            ),
            ("[\"a\",, \"b\"]", "element 2: "),
            ("[\"a\",]", "element 2: "),
            ("[\"a\" \"b\"]", "element 1: "),
            ("[\"a\", {]}", "element 2: "),
            ("[\"a\"", "element 1: the file ends inside the array"),
            ("[\"a\\\"]", "the file ends inside the array"),
            ("[\"a\"] x", "element 2: there is text after"),
            ("[1.5]", "element 1: the ID is a number with a fraction"),
            ("[1e5]", "element 1: the ID is a number with a fraction"),
            ("[[\"a\"]]", "element 1: the ID is an array"),
            ("[true]", "element 1: the ID is a boolean"),
            (
                "[\"\\ud800\"]",
                "element 1: the ID contains half of a surrogate pair",
            ),
            ("[\"a b\"]", "element 1: it contains white space"),
            ("{\"task_id\":{\"0\":\"a\"}}", "line 1: the ID is an object"),
            ("{\n\"task_id\": \"a\"\n}", "line 1: "),
        ] {
            let error = ids(ListFormat::Json, text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
