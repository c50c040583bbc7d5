//! The tree: nodes in the order of the text, each with its slice and the index behind it.
//!
//! Parsing keeps its own stack, so depth costs memory and never the thread's stack.
//! Depends on the other files of this folder only.

use super::scan::{JsonError, Scanner, StringSpan};
use super::value::Value;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its lexeme.
    Number,
    /// A string.
    String {
        /// Does it have escapes?
        escaped: bool,
        /// Does it have half a surrogate pair, which no Unicode string can hold?
        lone_surrogate: bool,
    },
    /// A list.
    Array,
    /// An object.
    Object,
}

/// 20 bytes, mostly positions; texts are bounded to `u32` by [`Parser::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// First byte; of a string, behind the quote.
    pub(super) start: u32,
    /// Behind the last byte; of a string, the closing quote.
    pub(super) end: u32,
    /// Index of the node behind this one and all its children.
    pub(super) next: u32,
    /// Children: members of an object, elements of a list.
    pub(super) len: u32,
    pub(super) kind: Kind,
}

/// Parses texts, reusing its memory from one to the next.
#[derive(Debug, Default)]
pub struct Parser {
    nodes: Vec<Node>,
    open: Vec<u32>,
    compacted: String,
}

/// A parsed text. All of its slices are compact: no white space between tokens.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    text: &'d str,
    nodes: &'d [Node],
}

/// A document's nodes without its text: what parsing found, for whoever needs it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(Box<[Node]>);

impl Nodes {
    /// Bytes of memory.
    pub fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl Parser {
    /// Parses one JSON text.
    ///
    /// When there is white space between tokens, a compact copy is parsed in its place, so that
    /// every slice of the document is compact.
    pub fn parse<'d>(&'d mut self, text: &'d str) -> Result<Document<'d>, JsonError> {
        if self.fill(text)? {
            let mut compacted = std::mem::take(&mut self.compacted);
            compacted.clear();
            self.compact_into(text, &mut compacted);
            self.compacted = compacted;
            let compacted = std::mem::take(&mut self.compacted);
            let filled = self.fill(&compacted);
            self.compacted = compacted;
            filled?;
            return Ok(Document {
                text: &self.compacted,
                nodes: &self.nodes,
            });
        }
        Ok(Document {
            text,
            nodes: &self.nodes,
        })
    }

    /// Frees memory that one very large text left behind.
    pub fn shrink(&mut self, bytes: usize) {
        self.nodes.shrink_to(bytes / size_of::<Node>());
        self.compacted = String::new();
    }

    /// Fills `nodes`; true when there was white space between tokens.
    fn fill(&mut self, text: &str) -> Result<bool, JsonError> {
        self.nodes.clear();
        self.open.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError {
                problem: "the text is over 4 GiB",
                offset: 0,
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
            return scanner.error("there is more text behind the value");
        }
        Ok(scanner.spaced)
    }

    /// Inside an open object or list: its end, or its next member or element.
    fn step(&mut self, scanner: &mut Scanner<'_>, parent: u32) -> Result<(), JsonError> {
        let index = parent as usize;
        let next = position(self.nodes.len());
        let Some(node) = self.nodes.get_mut(index) else {
            return Ok(());
        };
        let is_object = node.kind == Kind::Object;
        let closing = if is_object { b'}' } else { b']' };
        match scanner.peek() {
            Some(byte) if byte == closing => {
                scanner.at += 1;
                node.end = position(scanner.at);
                node.next = next;
                self.open.pop();
                return Ok(());
            }
            Some(b',') if node.len > 0 => {
                scanner.at += 1;
                scanner.skip_space();
            }
            _ if node.len > 0 => return scanner.unexpected("expected a comma or the end"),
            _ => {}
        }
        node.len += 1;
        if is_object {
            if scanner.peek() != Some(b'"') {
                return scanner.unexpected("expected a key");
            }
            let key = scanner.string()?;
            self.push_string(key);
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
                self.push_string(span);
                return Ok(());
            }
            Some(open @ (b'{' | b'[')) => {
                scanner.at += 1;
                self.open.push(position(self.nodes.len()));
                if open == b'{' {
                    Kind::Object
                } else {
                    Kind::Array
                }
            }
            Some(b't') => scanner.literal("true").map(|()| Kind::Bool(true))?,
            Some(b'f') => scanner.literal("false").map(|()| Kind::Bool(false))?,
            Some(b'n') => scanner.literal("null").map(|()| Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => scanner.number().map(|()| Kind::Number)?,
            _ => return scanner.unexpected("expected a value"),
        };
        self.push(start, scanner.at, kind);
        Ok(())
    }

    fn push_string(&mut self, span: StringSpan) {
        let kind = Kind::String {
            escaped: span.escaped,
            lone_surrogate: span.lone_surrogate,
        };
        self.push(span.start, span.end, kind);
    }

    fn push(&mut self, start: usize, end: usize, kind: Kind) {
        let next = position(self.nodes.len() + 1);
        self.nodes.push(Node {
            start: position(start),
            end: position(end),
            next,
            len: 0,
            kind,
        });
    }

    /// Writes the text without the white space between tokens.
    fn compact_into(&self, text: &str, out: &mut String) {
        out.reserve(text.len());
        let mut rest = text;
        // Strings are copied whole; between them, white space is no part of any token.
        let strings = self
            .nodes
            .iter()
            .filter(|node| matches!(node.kind, Kind::String { .. }));
        let mut done = 0;
        for node in strings {
            let (start, end) = (node.start as usize, node.end as usize);
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

/// A position as it is stored. `fill` has refused any text that is longer than `u32` counts, and
/// there are no more nodes than bytes.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'d> Document<'d> {
    /// The outermost value.
    pub fn root(&self) -> Value<'d> {
        Value {
            text: self.text,
            nodes: self.nodes,
            at: 0,
        }
    }

    /// The compact text.
    pub fn text(&self) -> &'d str {
        self.text
    }

    /// Its nodes, which can be put together with the same compact text again.
    pub fn nodes(&self) -> Nodes {
        Nodes(self.nodes.into())
    }

    /// Bytes that [`nodes`](Self::nodes) would take.
    pub fn nodes_size(&self) -> usize {
        size_of_val(self.nodes)
    }

    /// Puts nodes together with the text that they were found in; nothing when it is not of the same length.
    pub fn of(text: &'d str, nodes: &'d Nodes) -> Option<Self> {
        let root = nodes.0.first()?;
        let quote = usize::from(matches!(root.kind, Kind::String { .. }));
        (root.end as usize + quote == text.len()).then_some(Self {
            text,
            nodes: &nodes.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_error(text: &str) -> Option<JsonError> {
        Parser::default().parse(text).err()
    }

    #[test]
    fn values_know_their_text() {
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
    fn white_space_between_tokens_goes_and_inside_strings_stays() {
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
    fn what_is_not_json_is_refused() {
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
