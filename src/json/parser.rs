//! Parses JSON text into a document.
//!
//! The parser keeps its own stack, so nesting costs memory, not stack.

use std::ops::Range;

use crate::json::document::Document;
use crate::json::kind::JsonKind;
use crate::json::lexer::{JsonError, JsonErrorKind, Scanner, StringSpan};
use crate::json::node::{Node, Slot, add_child, close, position, slots_of};

/// Slots for the values of one text: 512 MiB. A text of one-digit numbers, which has the most values for its size, may
/// have 134 MB. Tasks have about 20 bytes for each value, so 256 MiB of tasks take a fifth of the slots.
const MAX_SLOTS: usize = 1 << 26;

/// Levels of nested arrays and objects.
const MAX_NESTING: usize = 1 << 20;

/// An upper bound of the memory that parsing a text takes, in bytes. It is found without parsing, so commas, colons and
/// brackets inside of strings count too.
pub fn parse_bytes_at_most(text: &[u8]) -> usize {
    let scalar = size_of::<Slot>();
    // An array or object has two slots more than a scalar, and an entry on the stack of open ones.
    let container = 2 * size_of::<Slot>() + size_of::<u32>();
    let (values, open) = text
        .iter()
        .fold((1, 0), |(values, open): (usize, usize), byte| {
            let is_value = matches!(byte, b',' | b':' | b'[' | b'{');
            let is_open = matches!(byte, b'[' | b'{');
            (values + usize::from(is_value), open + usize::from(is_open))
        });
    (values * scalar + open * container).min(MAX_SLOTS * scalar)
}

/// Slots that are allocated at first.
const FIRST_SLOTS: usize = 64;

const NO_MEMORY: &str = "there is not enough memory for its values";

/// Parses texts. Reuses its memory from one text to the next.
#[derive(Debug)]
pub struct Parser {
    slots: Vec<Slot>,
    open: Vec<u32>,
    compacted: String,
    /// [`MAX_SLOTS`], or less in tests.
    max_slots: usize,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            open: Vec::new(),
            compacted: String::new(),
            max_slots: MAX_SLOTS,
        }
    }
}

impl Parser {
    /// Parses one JSON text. If it has white space between tokens, a compact copy is parsed instead, so that the text
    /// of every value is compact.
    pub fn parse<'d>(&'d mut self, text: &'d str) -> Result<Document<'d>, JsonError> {
        if self.fill(text)? {
            let mut compacted = std::mem::take(&mut self.compacted);
            compacted.clear();
            compacted.try_reserve(text.len()).map_err(|_| JsonError {
                problem: NO_MEMORY,
                offset: text.len(),
                kind: JsonErrorKind::Memory,
            })?;
            self.compact_into(text, &mut compacted);
            self.compacted = compacted;
            let compacted = std::mem::take(&mut self.compacted);
            let filled = self.fill(&compacted);
            self.compacted = compacted;
            filled?;
            return Ok(Document::new(&self.compacted, &self.slots));
        }
        Ok(Document::new(text, &self.slots))
    }

    /// Frees the memory that a very large text took, down to `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        self.slots.shrink_to(bytes / size_of::<Slot>());
        self.compacted = String::new();
    }

    /// Fills `slots`. Returns whether there was white space between tokens.
    fn fill(&mut self, text: &str) -> Result<bool, JsonError> {
        self.slots.clear();
        self.open.clear();
        // Nodes store positions in 32 bits, which halves their memory.
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError {
                problem: "the text is over 4 GiB",
                offset: 0,
                kind: JsonErrorKind::Limit,
            });
        }
        let mut scanner = Scanner::new(text);
        scanner.skip_space();
        self.value(&mut scanner)?;
        while let Some(&parent) = self.open.last() {
            scanner.skip_space();
            self.step(&mut scanner, parent)?;
        }
        scanner.skip_space();
        if scanner.peek().is_some() {
            return scanner.error("there is more text after the value");
        }
        Ok(scanner.spaced)
    }

    /// Reads the end of an open object or array, or its next member or element.
    fn step(&mut self, scanner: &mut Scanner<'_>, parent: u32) -> Result<(), JsonError> {
        let index = parent as usize;
        // The number of children tells the first one from the others, which follow a comma.
        let node = Node::at(&self.slots, index);
        let is_object = node.kind() == JsonKind::Object;
        let has_children = node.len() > 0;
        let closing = if is_object { b'}' } else { b']' };
        match scanner.peek() {
            Some(byte) if byte == closing => {
                scanner.at += 1;
                let next = self.slots.len();
                close(&mut self.slots, index, scanner.at, next);
                self.open.pop();
                return Ok(());
            }
            // A value must follow the comma, so `[1,]` is refused. No comma is taken before the first value, so `[,1]`
            // is too.
            Some(b',') if has_children => {
                scanner.at += 1;
                scanner.skip_space();
            }
            _ if has_children => return scanner.unexpected("expected a comma or the end"),
            _ => {}
        }
        add_child(&mut self.slots, index);
        if is_object {
            if scanner.peek() != Some(b'"') {
                return scanner.unexpected("expected a key");
            }
            let key = scanner.string()?;
            self.push_string(key, scanner)?;
            scanner.skip_space();
            if scanner.peek() != Some(b':') {
                return scanner.unexpected("expected a colon");
            }
            scanner.at += 1;
            scanner.skip_space();
        }
        self.value(scanner)
    }

    fn value(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let start = scanner.at;
        let kind = match scanner.peek() {
            Some(b'"') => {
                let span = scanner.string()?;
                return self.push_string(span, scanner);
            }
            Some(open @ (b'{' | b'[')) => {
                scanner.at += 1;
                self.open(scanner)?;
                if open == b'{' {
                    JsonKind::Object
                } else {
                    JsonKind::Array
                }
            }
            Some(b't') => scanner.literal("true").map(|()| JsonKind::Bool(true))?,
            Some(b'f') => scanner.literal("false").map(|()| JsonKind::Bool(false))?,
            Some(b'n') => scanner.literal("null").map(|()| JsonKind::Null)?,
            Some(b'-' | b'0'..=b'9') => scanner.number().map(|()| JsonKind::Number)?,
            _ => return scanner.unexpected("expected a value"),
        };
        self.push(start, scanner.at, kind, scanner)
    }

    /// Opens an array or object whose node is the next slot.
    fn open(&mut self, scanner: &Scanner<'_>) -> Result<(), JsonError> {
        if self.open.len() == MAX_NESTING {
            return scanner.fail(
                JsonErrorKind::Limit,
                "lists and objects are nested over 1,048,576 levels deep",
            );
        }
        self.open.push(position(self.slots.len()));
        Ok(())
    }

    fn push_string(&mut self, span: StringSpan, scanner: &Scanner<'_>) -> Result<(), JsonError> {
        let kind = JsonKind::String {
            escaped: span.escaped,
            lone_surrogate: span.lone_surrogate,
        };
        self.push(span.start, span.end, kind, scanner)
    }

    fn push(
        &mut self,
        start: usize,
        end: usize,
        kind: JsonKind,
        scanner: &Scanner<'_>,
    ) -> Result<(), JsonError> {
        let at = self.slots.len();
        let (slots, used) = slots_of(position(start), position(end), kind, at);
        // A plain push would abort the process where memory is short, and would not stop at the limit.
        if at + used > self.slots.capacity() {
            self.grow(used, scanner)?;
        }
        // One by one: nearly all values have a single slot, and copying a slice of so few bytes is a call.
        slots
            .into_iter()
            .take(used)
            .for_each(|slot| self.slots.push(slot));
        Ok(())
    }

    /// Allocates as many slots again, within the limit.
    #[cold]
    fn grow(&mut self, used: usize, scanner: &Scanner<'_>) -> Result<(), JsonError> {
        let before = self.slots.len();
        if before + used > self.max_slots {
            return scanner.fail(
                JsonErrorKind::Limit,
                "its values take over 512 MiB of memory",
            );
        }
        // Doubling keeps the cost of copying constant per value.
        let more = before.max(FIRST_SLOTS).min(self.max_slots - before);
        let reserved = self.slots.try_reserve_exact(more.max(used));
        reserved.or_else(|_| scanner.fail(JsonErrorKind::Memory, NO_MEMORY))
    }

    /// Writes the text without the white space between tokens.
    fn compact_into(&self, text: &str, out: &mut String) {
        let mut rest = text;
        // Strings are copied whole. Between them, white space is not part of a token.
        let root = Some(Node::at(&self.slots, 0));
        let nodes = std::iter::successors(root, |node| {
            (node.first() < self.slots.len()).then(|| Node::at(&self.slots, node.first()))
        });
        let strings = nodes.filter(|node| matches!(node.kind(), JsonKind::String { .. }));
        let mut done = 0;
        for Range { start, end } in strings.map(Node::span) {
            out.extend(
                text.get(done..start)
                    .unwrap_or_default()
                    .chars()
                    .filter(|c| !is_space(*c)),
            );
            out.push_str(text.get(start..end).unwrap_or_default());
            done = end;
            rest = text.get(done..).unwrap_or_default();
        }
        out.extend(rest.chars().filter(|c| !is_space(*c)));
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\n' | '\r' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_error(text: &str) -> Option<JsonError> {
        Parser::default().parse(text).err()
    }

    #[test]
    fn values_return_their_text() {
        let mut parser = Parser::default();
        let text = r#"{"a":[1,{"b":"x\ny"},null],"c":{},"a":-0.50}"#;
        let document = parser.parse(text).unwrap();
        let root = document.root();
        assert_eq!(root.raw(), text);
        assert_eq!(root.len(), 3);
        assert_eq!(root.get("a").unwrap().number().unwrap().lexeme(), "-0.50");
        let (key, list) = root.members().next().unwrap();
        assert!(key.is("a"));
        let raws: Vec<_> = list.elements().map(|element| element.raw()).collect();
        assert_eq!(raws, ["1", r#"{"b":"x\ny"}"#, "null"]);
        let text = list
            .elements()
            .nth(1)
            .unwrap()
            .get("b")
            .unwrap()
            .text()
            .unwrap();
        assert_eq!(text.decode(), "x\ny");
    }

    #[test]
    fn white_space_is_removed_between_tokens_and_kept_inside_strings() {
        let mut parser = Parser::default();
        let document = parser
            .parse(" { \"a b\" :\t[ 1 ,\n2 ] , \"c\":\" \\\" \" } \r\n")
            .unwrap();
        assert_eq!(document.text(), r#"{"a b":[1,2],"c":" \" "}"#);
        assert_eq!(document.root().get("a b").unwrap().raw(), "[1,2]");
    }

    #[test]
    fn surrogates_pair_or_stand_alone() {
        let mut parser = Parser::default();
        let document = parser
            .parse(r#"["\ud83d\ude00","\ud83d","\ude00","\ud83d\u0041","\ud83d\ud83d\ude00"]"#)
            .unwrap();
        let texts: Vec<_> = document
            .root()
            .elements()
            .map(|v| v.text().map(|t| t.decode().into_owned()))
            .collect();
        assert_eq!(texts, [Some("😀".to_owned()), None, None, None, None]);
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        const LEVELS: usize = 1_000_000;
        let deep = "[".repeat(LEVELS) + &"]".repeat(LEVELS);
        let mut parser = Parser::default();
        let document = parser.parse(&deep).unwrap();
        assert_eq!(document.root().raw().len(), 2 * LEVELS);
        assert!(parse_error(&deep[1..]).is_some());
    }

    #[test]
    fn nesting_and_values_have_limits() {
        let nested = |levels: usize| parse_error(&"[".repeat(levels)).unwrap();
        assert_eq!(nested(MAX_NESTING).kind, JsonErrorKind::Syntax);
        let error = nested(MAX_NESTING + 1);
        assert_eq!(
            (error.kind, error.offset),
            (JsonErrorKind::Limit, MAX_NESTING + 1)
        );
        // An array takes three slots.
        let mut parser = Parser {
            max_slots: 1_000,
            ..Parser::default()
        };
        let many = |values: usize| format!("[{}1]", "1,".repeat(values - 1));
        assert_eq!(parser.parse(&many(997)).unwrap().root().len(), 997);
        let error = parser.parse(&many(998)).unwrap_err();
        assert_eq!(error.kind, JsonErrorKind::Limit);
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            ".5",
            "NaN",
            "tru",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\u{1}\"",
            "1 2",
            "[1}",
            "{\"a\":1]",
            "\u{feff}1",
            "[,1]",
            "nullx",
        ] {
            assert!(parse_error(text).is_some(), "{text:?}");
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_parse_are_bounded_before_it(value in arbitrary_json()) {
            let text = value.to_string();
            let mut parser = Parser::default();
            let size = parser.parse(&text).unwrap().nodes_size();
            prop_assert!(size <= parse_bytes_at_most(text.as_bytes()));
        }

        #[test]
        fn agrees_with_serde_json_on_valid_texts(value in arbitrary_json(), pretty: bool) {
            let compact = value.to_string();
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { compact.clone() };
            let mut parser = Parser::default();
            let document = parser.parse(&text).unwrap();
            prop_assert_eq!(document.root().raw(), compact);
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_texts(value in arbitrary_json(), at: prop::sample::Index, byte: u8) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let ours = parse_error(text).is_none();
                let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
                // serde_json refuses lone surrogates only when it decodes, and so do we.
                prop_assert_eq!(ours, theirs, "{:?}", text);
            }
        }
    }
}
