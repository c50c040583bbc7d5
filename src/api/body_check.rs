//! A response on its way to the journal: is it the task that was asked for, or a page of tasks, and without
//! live credentials? Pure. Depends on `json`.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::api::json_shape::look;
use crate::json::document::{Document, Kind, Nodes, Parser};
use crate::json::lexer::{JsonError, JsonErrorKind};
use crate::json::value::Value;
use crate::memory;

/// The key whose value is a live credential, at any depth (rule 11).
pub(crate) const SECRET_KEY: &str = "workspace_token";

/// What stands in its place.
const REDACTED: &str = "\"[redacted]\"";

/// Statuses in which a task does not change any more.
const FINAL_STATUSES: [&str; 4] = ["completed", "canceled", "error", "deleted"];

/// Why a body is not the task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Not UTF-8.
    #[error("the body is not UTF-8: invalid from byte {0} on")]
    NotUtf8(usize),
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(JsonError),
    /// JSON, but no object with a string for `task_id`.
    #[error("the body is no task: it has no task_id")]
    NoTask,
    /// Another task.
    #[error("the body is another task")]
    OtherTask,
    /// JSON that is over a limit of the parser.
    #[error("the body is too large to parse: {0}")]
    TooLarge(JsonError),
    /// The system refused memory that it takes.
    #[error("there is not enough memory for the body")]
    NoMemory,
    /// JSON, but no page of a list.
    #[error("the body is no page of tasks: {0}")]
    NoPage(&'static str),
}

impl From<TryReserveError> for Unfit {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

/// A body that is the task.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked<'b> {
    /// The body, redacted if need be.
    pub body: Cow<'b, str>,
    /// What parsing the body found, where that was this very text: it need not be parsed again.
    pub nodes: Option<Nodes>,
    /// Is the task in a state that does not change any more?
    pub is_final: bool,
    /// Its ID, when any would do.
    pub task_id: Option<String>,
    /// Something that a person should know of it.
    pub note: Option<String>,
}

/// Where parsing finds more than this many bytes, the body is parsed again when its turn comes: that may be ten times
/// its size.
const KEPT_PARSE_BYTES: usize = 1 << 20;

/// Memory for one response that buffers keep for the next; one huge task does not burden the rest.
pub const KEPT_BYTES: usize = 4 << 20;

/// Checks a body; `task_id` is the one asked for, or `None` when any will do.
pub fn check<'b>(
    body: &'b [u8],
    task_id: Option<&str>,
    keep_secrets: bool,
    parser: &mut Parser,
) -> Result<Checked<'b>, Unfit> {
    let (text, note) = as_text(body)?;
    let document = parse(parser, &text, body, note.is_some())?;
    let root = document.root();
    let found = root
        .get("task_id")
        .and_then(|id| id.text())
        .ok_or(Unfit::NoTask)?;
    if task_id.is_some_and(|asked| found != *asked) {
        return Err(Unfit::OtherTask);
    }
    let found = task_id.is_none().then(|| found.to_string());
    let is_final = is_final(root);
    let (body, nodes) = if let Some(redacted) = without_secrets(root, keep_secrets)? {
        (Cow::Owned(redacted), None)
    } else {
        // With white space in it, a compact copy was parsed in its place.
        let is_compact = document.text().len() == text.len();
        let is_kept = is_compact && document.nodes_size() <= KEPT_PARSE_BYTES;
        let nodes = is_kept.then(|| document.nodes());
        (text, nodes)
    };
    Ok(Checked {
        body,
        nodes,
        is_final,
        task_id: found,
        note,
    })
}

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its tasks, each as if it had been asked for by itself.
    pub tasks: Vec<Listed>,
    /// Elements that are no task.
    pub unfit: usize,
    /// Asks for the next page; nothing on the last one.
    pub next_token: Option<String>,
    /// How many tasks the whole list has, where the answer says that.
    pub task_count: Option<u64>,
    /// Something that a person should know of it.
    pub note: Option<String>,
}

/// A task of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its ID.
    pub task_id: String,
    /// Its JSON, redacted if need be.
    pub body: String,
    /// Is it in a state that does not change any more?
    pub is_final: bool,
    /// Equal for tasks with the same status and the same members, of which the same ones are empty.
    pub look: u64,
}

/// Takes a page apart.
pub fn split(body: &[u8], keep_secrets: bool, parser: &mut Parser) -> Result<Page, Unfit> {
    let (text, note) = as_text(body)?;
    let document = parse(parser, &text, body, note.is_some())?;
    let root = document.root();
    let tasks = root
        .get("tasks")
        .filter(|tasks| tasks.kind() == Kind::Array)
        .ok_or(Unfit::NoPage("it has no list `tasks`"))?;
    let next_token = match root.get("next_token") {
        Some(token) if !token.is_null() => {
            let token = token
                .text()
                .ok_or(Unfit::NoPage("its `next_token` is no text"))?;
            Some(token.to_string()).filter(|token| !token.is_empty())
        }
        _ => None,
    };
    let delivery = root.get("delivery");
    let task_count = delivery
        .and_then(|delivery| delivery.get("task_count")?.number()?.to_i64())
        .and_then(|count| u64::try_from(count).ok());
    let mut page = Page {
        next_token,
        task_count,
        note,
        ..Page::default()
    };
    for task in tasks.elements() {
        let Some(task_id) = task.get("task_id").and_then(|id| id.text()) else {
            page.unfit += 1;
            continue;
        };
        page.tasks.push(Listed {
            task_id: task_id.to_string(),
            body: match without_secrets(task, keep_secrets)? {
                Some(redacted) => redacted,
                None => copied(task.raw())?,
            },
            is_final: is_final(task),
            look: look(task),
        });
    }
    Ok(page)
}

/// Where a task belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Belongs {
    /// ID of its project.
    pub project: Option<String>,
    /// ID of its batch.
    pub batch: Option<String>,
}

/// Reads where a task belongs, from a body that was checked.
pub fn belongs(body: &[u8], parser: &mut Parser) -> Belongs {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let Ok(document) = parser.parse(text) else {
        return Belongs::default();
    };
    // Each may be an ID or, expanded, an object.
    let id = |key| {
        let value = document.root().get(key)?;
        let id = if value.is_object() {
            value.get("id")?
        } else {
            value
        };
        Some(id.text()?.to_string()).filter(|id| !id.is_empty())
    };
    Belongs {
        project: id("project"),
        batch: id("batch"),
    }
}

/// A checksum of a checked body without its white space: two that have the same give the same tables.
pub fn fingerprint(body: &[u8], parser: &mut Parser) -> [u8; 32] {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match parser.parse(text) {
        Ok(document) => Sha256::digest(document.text()).into(),
        Err(_) => Sha256::digest(body).into(),
    }
}

/// The body as text, and what a person should know of that.
fn as_text(body: &[u8]) -> Result<(Cow<'_, str>, Option<String>), Unfit> {
    match std::str::from_utf8(body) {
        // A byte order mark is no part of JSON, and nobody's data.
        Ok(text) => Ok(match text.strip_prefix('\u{feff}') {
            Some(text) => (Cow::Owned(text.to_owned()), None),
            None => (Cow::Borrowed(text), None),
        }),
        Err(error) => {
            let at = error.valid_up_to();
            let note = format!(
                "the body is not UTF-8, first at byte {at}; such bytes are kept as \\udc80 to \\udcff"
            );
            let text = escape_invalid(body)?.ok_or(Unfit::NotUtf8(at))?;
            Ok((Cow::Owned(text), Some(note)))
        }
    }
}

/// Parses; where bytes had to be escaped, they are what is wrong.
fn parse<'d>(
    parser: &'d mut Parser,
    text: &'d str,
    body: &[u8],
    is_escaped: bool,
) -> Result<Document<'d>, Unfit> {
    parser.parse(text).map_err(|error| match error.kind {
        JsonErrorKind::Memory => Unfit::NoMemory,
        JsonErrorKind::Limit => Unfit::TooLarge(error),
        JsonErrorKind::Syntax if is_escaped => {
            let first = body.utf8_chunks().next();
            Unfit::NotUtf8(first.map_or(0, |chunk| chunk.valid().len()))
        }
        JsonErrorKind::Syntax => Unfit::NotJson(error),
    })
}

/// Is the task in a state that does not change any more?
fn is_final(task: Value<'_>) -> bool {
    let status = task.get("status").and_then(|status| status.text());
    status.is_some_and(|status| FINAL_STATUSES.iter().any(|known| status == **known))
}

/// The task's text with its secrets replaced; nothing when there are none.
fn without_secrets(task: Value<'_>, keep_secrets: bool) -> Result<Option<String>, TryReserveError> {
    let secrets = if keep_secrets {
        Vec::new()
    } else {
        secrets(task)
    };
    if secrets.is_empty() {
        return Ok(None);
    }
    replace(task.raw(), &secrets).map(Some)
}

fn copied(text: &str) -> Result<String, TryReserveError> {
    let mut copy = memory::text(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// Writes each byte that is not UTF-8 as half a surrogate pair, `\udc80` to `\udcff`, as Python's
/// `surrogateescape` does: the value is kept like any that no Unicode string can hold, and its bytes can
/// be had back. Nothing when an escape would mean something else where it stands.
fn escape_invalid(body: &[u8]) -> Result<Option<String>, Unfit> {
    use std::fmt::Write as _;
    /// Bytes of `\udc80`.
    const ESCAPE_BYTES: usize = 6;
    let mut out = memory::text(body.len())?;
    for chunk in body.utf8_chunks() {
        let bytes = chunk.valid().len() + ESCAPE_BYTES * chunk.invalid().len();
        out.try_reserve(bytes)?;
        out.push_str(chunk.valid());
        for (index, byte) in chunk.invalid().iter().enumerate() {
            if index == 0 && changes_meaning(&out) {
                return Ok(None);
            }
            // Writing to a String cannot fail.
            let _ = write!(out, "\\udc{byte:02x}");
        }
    }
    Ok(Some(out))
}

/// Would an escape of a low surrogate change meaning behind this text? Behind a backslash it would be none,
/// and behind a high surrogate the other half of a pair.
fn changes_meaning(before: &str) -> bool {
    /// Bytes of `ud83d`.
    const DIGITS_OF_ESCAPE: usize = 5;
    let is_escape = |text: &str| {
        let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\');
        backslashes.count() % 2 == 1
    };
    // What stands before `ud83d`, if that is what stands last.
    let split = before
        .len()
        .checked_sub(DIGITS_OF_ESCAPE)
        .and_then(|at| before.split_at_checked(at));
    let is_high = split.is_some_and(|(start, digits)| {
        let digits = digits.to_ascii_lowercase();
        let high = ["ud8", "ud9", "uda", "udb"];
        high.iter().any(|high| digits.starts_with(high)) && is_escape(start)
    });
    is_escape(before) || is_high
}

/// May a body that is no task be kept as it is? Not if a live credential may stand in it, which cannot be
/// replaced where nobody knows where it ends.
pub fn may_be_kept(body: &[u8], keep_secrets: bool) -> bool {
    if keep_secrets {
        return true;
    }
    // In another encoding it would not be seen, and JSON has no such bytes in UTF-8.
    if body.contains(&0) {
        return false;
    }
    // The key may be written with escapes.
    let text = String::from_utf8_lossy(body);
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\\u00");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or(("", part));
        plain.extend(u8::from_str_radix(digits, 16).map(char::from));
        plain.push_str(rest);
    }
    !plain.contains(SECRET_KEY)
}

/// Where secrets stand in the task's text.
fn secrets(task: Value<'_>) -> Vec<Range<usize>> {
    let text = task.raw();
    // A key may be written with escapes; without any, and without the word, there is nothing.
    if memchr::memmem::find(text.as_bytes(), SECRET_KEY.as_bytes()).is_none()
        && !text.contains("\\u")
    {
        return Vec::new();
    }
    let start = task.offset();
    let mut found = Vec::new();
    let mut open = vec![task];
    while let Some(value) = open.pop() {
        for (key, member) in value.members() {
            if key.is(SECRET_KEY) && !member.is_null() {
                let from = member.offset() - start;
                found.push(from..from + member.raw().len());
            } else {
                open.push(member);
            }
        }
        open.extend(value.elements());
    }
    found.sort_unstable_by_key(|range| range.start);
    found
}

fn replace(text: &str, ranges: &[Range<usize>]) -> Result<String, TryReserveError> {
    let replaced: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let mut out = memory::text(text.len() - replaced + ranges.len() * REDACTED.len())?;
    let mut from = 0;
    for range in ranges {
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(REDACTED);
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(body: &str, keep_secrets: bool) -> Result<(String, bool), Unfit> {
        let mut parser = Parser::default();
        check(body.as_bytes(), Some("t1"), keep_secrets, &mut parser)
            .map(|checked| (checked.body.into_owned(), checked.is_final))
    }

    #[test]
    fn a_body_without_secrets_is_kept_byte_for_byte() {
        let body = "{ \"task_id\": \"t1\",\n \"status\": \"completed\" }";
        assert_eq!(checked(body, false), Ok((body.to_owned(), true)));
        let body = r#"{"task_id":"t\u0031","status":"in_review"}"#;
        assert_eq!(checked(body, false), Ok((body.to_owned(), false)));
    }

    #[test]
    fn what_parsing_found_goes_along_only_with_the_text_that_was_parsed() {
        let mut parser = Parser::default();
        let many = format!(r#"{{"task_id":"t1","a":[{}1]}}"#, "1,".repeat(200_000));
        for (body, is_kept) in [
            (r#"{"task_id":"t1","a":["\u00e9",{}]}"#, true),
            (r#"{"task_id": "t1"}"#, false),
            (r#"{"task_id":"t1","workspace_token":"x"}"#, false),
            ("\u{feff}{\"task_id\":\"t1\"}", true),
            (many.as_str(), false),
        ] {
            let checked = check(body.as_bytes(), Some("t1"), false, &mut parser).unwrap();
            assert_eq!(checked.nodes.is_some(), is_kept, "{body:.60}");
            let Some(nodes) = checked.nodes else { continue };
            let again = parser.parse(&checked.body).unwrap();
            assert_eq!(again.nodes(), nodes);
            let document = Document::of(&checked.body, &nodes).unwrap();
            assert_eq!(document.root().raw(), checked.body);
            assert!(Document::of(&checked.body[1..], &nodes).is_none());
        }
    }

    #[test]
    fn secrets_go_at_any_depth_under_any_type_and_spelling() {
        let body = r#"{"task_id":"t1","a":[{"workspace_token":"s1"}],"workspace_token":{"x":["s2"]},"b":{"workspace\u005ftoken":3,"c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        let expected = r#"{"task_id":"t1","a":[{"workspace_token":"[redacted]"}],"workspace_token":"[redacted]","b":{"workspace\u005ftoken":"[redacted]","c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        assert_eq!(checked(body, false).unwrap().0, expected);
        assert_eq!(checked(body, true).unwrap().0, body);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_task() {
        let checked = checked("\u{feff}{\"task_id\":\"t1\"}", false).unwrap();
        assert_eq!(checked.0, "{\"task_id\":\"t1\"}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_as_escapes() {
        let body =
            b"{\"task_id\":\"t1\",\"a\":\"caf\xe9 \xf0\x9f\x98 \\\\\xff\",\"b\":\"caf\xc3\xa9\"}";
        let mut parser = Parser::default();
        let checked = check(body, Some("t1"), false, &mut parser).unwrap();
        let expected = r#"{"task_id":"t1","a":"caf\udce9 \udcf0\udc9f\udc98 \\\udcff","b":"café"}"#;
        assert_eq!(checked.body, expected);
        let document = parser.parse(&checked.body).unwrap();
        assert!(document.root().get("a").unwrap().text().is_none());
        let secret = b"{\"task_id\":\"t1\",\"workspace_token\":\"\xff\"}";
        let checked = check(secret, Some("t1"), false, &mut parser).unwrap();
        assert_eq!(
            checked.body,
            r#"{"task_id":"t1","workspace_token":"[redacted]"}"#
        );
    }

    #[test]
    fn escapes_keep_their_meaning_or_there_are_none() {
        for (before, changes) in [
            (r"a", false),
            ("\\", true),
            (r"\\", false),
            (r"\ud83d", true),
            (r"\\ud83d", false),
            (r"\\\uDBFF", true),
            (r"\udc00", false),
            (r"ud83d", false),
            ("é", false),
        ] {
            assert_eq!(changes_meaning(before), changes, "{before}");
        }
    }

    #[test]
    fn a_body_that_may_hold_a_credential_is_not_kept() {
        for (body, keep_secrets, kept) in [
            (&b"<html>"[..], false, true),
            (b"{\"workspace_token\":\"live\"", false, false),
            (b"{\"workspace\\u005ftoken\":\"live\"", false, false),
            (b"{\"workspace\\u005Ftoken\":\"live\"\xff", false, false),
            (b"{\"workspace_token\":\"live\"", true, true),
            (b"\xff\xfew\0o\0r\0k\0", false, false),
        ] {
            assert_eq!(may_be_kept(body, keep_secrets), kept);
        }
    }

    #[test]
    fn what_is_not_the_task_is_refused() {
        let mut parser = Parser::default();
        let mut refused = |body: &[u8]| check(body, Some("t1"), false, &mut parser).unwrap_err();
        assert_eq!(refused(b"{\"task_id\":\"t2\"}"), Unfit::OtherTask);
        assert_eq!(refused(b"{\"task_id\":1}"), Unfit::NoTask);
        assert_eq!(refused(b"[]"), Unfit::NoTask);
        assert_eq!(refused(b"{\"task_id\":\"t1\xff\"}"), Unfit::NoTask);
        assert_eq!(refused(b"{\"task_id\":\"t1\"\xff}"), Unfit::NotUtf8(15));
        assert_eq!(
            refused(b"{\"task_id\":\"t1\",\"a\":\"\\\xff\"}"),
            Unfit::NotUtf8(22)
        );
        assert_eq!(
            refused(b"{\"task_id\":\"t1\",\"a\":\"\\ud83d\xff\"}"),
            Unfit::NotUtf8(27)
        );
        assert!(matches!(refused(b"<html>"), Unfit::NotJson(_)));
        assert!(matches!(refused(b"{\"task_id\":\"t1\""), Unfit::NotJson(_)));
    }

    #[test]
    fn a_page_gives_each_task_as_if_it_had_come_by_itself() {
        let body = r#"{"tasks": [ {"task_id":"t1", "status":"completed","workspace_token":"x"},
            {"task_id":"t2","status":"pending"}, {"id":"t3"}, 7, {"task_id":"t1"}], "next_token":"a\u002fb"}"#;
        let mut parser = Parser::default();
        let page = split(body.as_bytes(), false, &mut parser).unwrap();
        let tasks: Vec<(&str, &str, bool)> = page
            .tasks
            .iter()
            .map(|task| (&*task.task_id, &*task.body, task.is_final))
            .collect();
        let first = r#"{"task_id":"t1","status":"completed","workspace_token":"[redacted]"}"#;
        assert_eq!(
            tasks,
            [
                ("t1", first, true),
                ("t2", r#"{"task_id":"t2","status":"pending"}"#, false),
                ("t1", r#"{"task_id":"t1"}"#, false)
            ]
        );
        assert_eq!((page.unfit, page.next_token.as_deref()), (2, Some("a/b")));
        let last = split(
            br#"{"delivery":{"task_count":3},"tasks":[],"next_token":""}"#,
            false,
            &mut parser,
        );
        let last = last.unwrap();
        assert_eq!((last.next_token, last.task_count), (None, Some(3)));
        for bad in [
            r#"{"tasks":{}}"#,
            "{}",
            "[]",
            r#"{"tasks":[],"next_token":7}"#,
        ] {
            let refused = split(bad.as_bytes(), false, &mut parser);
            assert!(matches!(refused, Err(Unfit::NoPage(_))), "{bad}");
        }
    }

    #[test]
    fn a_task_belongs_where_it_says_expanded_or_not() {
        let mut parser = Parser::default();
        let mut read = |body: &str| belongs(body.as_bytes(), &mut parser);
        let some = |id: &str| Some(id.to_owned());
        let both = Belongs {
            project: some("p"),
            batch: some("b"),
        };
        assert_eq!(
            read(r#"{"project":"p","batch":{"id":"b","name":"n"}}"#),
            both
        );
        let project = Belongs {
            project: some("p"),
            batch: None,
        };
        assert_eq!(read(r#"{"project":{"id":"p"},"batch":null}"#), project);
        assert_eq!(read(r#"{"project":7,"batch":""}"#), Belongs::default());
    }

    #[test]
    fn only_white_space_may_differ() {
        let of = |text: &str| fingerprint(text.as_bytes(), &mut Parser::default());
        assert_eq!(of("{ \"a\": 1 }"), of("{\"a\":1}"));
        assert_ne!(of("{\"a\":1}"), of("{\"a\":1.0}"));
        assert_ne!(of("{\"a\":1,\"b\":2}"), of("{\"b\":2,\"a\":1}"));
    }
}
