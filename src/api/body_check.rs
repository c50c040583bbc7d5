//! The check of a body: whether it is the requested task or a page of tasks, with its credentials redacted.

use std::collections::TryReserveError;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::api::body_error::BodyError;
use crate::api::body_text::BodyText;
use crate::api::credentials::{may_be_kept, without_secrets};
use crate::api::json_shape::shape;
use crate::api::redaction::without_key;
use crate::api::reply::AttemptError;
use crate::api::task_response::{TaskBody, TaskResponse};
use crate::json::document::Document;
use crate::json::kind::JsonKind;
use crate::json::lexer::JsonErrorKind;
use crate::json::parser::Parser;
use crate::json::value::Value;
use crate::{memory, threads};

/// Statuses in which a task no longer changes.
const FINAL_STATUSES: [&str; 4] = ["completed", "canceled", "error", "deleted"];

/// A parser that has read a larger body is not kept.
const MAX_KEPT_PARSER_BYTES: usize = 1 << 20;

/// If parsing a body takes more than this many bytes of nodes, they are not kept, and the body is parsed again for the
/// tables. Nodes can take ten times the size of the body.
const MAX_KEPT_NODES_BYTES: usize = 1 << 20;

/// Bytes of memory that buffers keep for the next response, so that one huge task does not raise the memory of the
/// rest.
pub const KEPT_BYTES: usize = 4 << 20;

/// Checks the bodies of responses. It reuses parsers, and with them their memory.
#[derive(Debug)]
pub struct BodyCheck {
    keep_secrets: bool,
    key: SecretString,
    parsers: Mutex<Vec<Parser>>,
}

impl BodyCheck {
    /// Redacts `key` in all bodies, and the credentials of tasks unless `keep_secrets`.
    pub fn new(keep_secrets: bool, key: SecretString) -> Self {
        Self {
            keep_secrets,
            key,
            parsers: Mutex::default(),
        }
    }

    /// Reads the body of the task with this ID.
    pub(crate) fn task(&self, task_id: &str, body: Bytes) -> Result<TaskResponse, AttemptError> {
        self.read(body, |body, parser| {
            check_task(body, Some(task_id), self.keep_secrets, parser)
        })
    }

    /// Reads the body of a page of a list.
    pub(crate) fn page(&self, body: Bytes) -> Result<TaskPage, AttemptError> {
        self.read(body, |body, parser| {
            split_page(body, self.keep_secrets, parser)
        })
    }

    /// Reads a body after the key in it is redacted.
    fn read<T>(
        &self,
        body: Bytes,
        read: impl FnOnce(&BodyText, &mut Parser) -> Result<T, BodyError>,
    ) -> Result<T, AttemptError> {
        // Before anything else: every later step may keep the body or quote it.
        let body = match without_key(&body, self.key.expose_secret()) {
            Some(body) => Bytes::from(body),
            None => body,
        };
        let refused = |body: Bytes, error: BodyError| {
            let body = may_be_kept(&body, self.keep_secrets).then_some(body);
            error.into_attempt_error(body)
        };
        let body = BodyText::read(body).map_err(|(body, error)| refused(body, error))?;
        let mut parser = threads::lock(&self.parsers).pop().unwrap_or_default();
        let done = read(&body, &mut parser);
        // A parser keeps the memory that its largest body needed.
        if body.received().len() <= MAX_KEPT_PARSER_BYTES {
            threads::lock(&self.parsers).push(parser);
        }
        done.map_err(|error| refused(body.into_received(), error))
    }
}

/// Checks the body of a task; `task_id` is the requested one, or `None` when any will do.
pub fn check_task(
    body: &BodyText,
    task_id: Option<&str>,
    keep_secrets: bool,
    parser: &mut Parser,
) -> Result<TaskResponse, BodyError> {
    let document = parse(parser, body)?;
    let root = document.root();
    let found = root
        .get("task_id")
        .and_then(|id| id.text())
        .ok_or(BodyError::NoTask)?;
    if task_id.is_some_and(|requested| found != *requested) {
        return Err(BodyError::OtherTask);
    }
    let task_id = found.decode().into_owned();
    let is_final = is_final(root);
    let redacted = without_secrets(root, keep_secrets)?;
    // If the text has white space, the parser parsed a compact copy of it instead.
    let is_parsed = redacted.is_none() && document.text().len() == body.text.len();
    let is_kept = is_parsed && document.nodes_size() <= MAX_KEPT_NODES_BYTES;
    let nodes = is_kept.then(|| document.nodes());
    let text = redacted.map_or_else(|| Arc::clone(&body.text), Arc::new);
    Ok(TaskResponse {
        task_id,
        body: TaskBody::of_text(text),
        nodes,
        digest: None,
        is_final,
        note: body.note.clone(),
    })
}

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TaskPage {
    /// Its tasks, each as if it had been requested alone.
    pub tasks: Vec<ListedTask>,
    /// The number of elements that are not tasks.
    pub unfit: usize,
    /// The token of the next page; `None` on the last page.
    pub next_token: Option<String>,
    /// The number of tasks of the whole list, if the response says that.
    pub task_count: Option<u64>,
    /// What to report about the body, if anything.
    pub note: Option<String>,
}

/// A task of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTask {
    /// The task, as if it had been requested alone.
    pub response: TaskResponse,
    /// Equal for tasks that have the same status and the same members, of which the same ones are empty.
    pub shape: u64,
}

/// Splits a page into its tasks.
pub fn split_page(
    body: &BodyText,
    keep_secrets: bool,
    parser: &mut Parser,
) -> Result<TaskPage, BodyError> {
    let document = parse(parser, body)?;
    let root = document.root();
    let tasks = root
        .get("tasks")
        .filter(|tasks| tasks.kind() == JsonKind::Array)
        .ok_or(BodyError::NoPage("it has no list `tasks`"))?;
    let next_token = match root.get("next_token") {
        Some(token) if !token.is_null() => {
            let token = token
                .text()
                .ok_or(BodyError::NoPage("its `next_token` is not text"))?;
            // An empty token names no page.
            Some(token.to_string()).filter(|token| !token.is_empty())
        }
        _ => None,
    };
    let delivery = root.get("delivery");
    let task_count = delivery
        .and_then(|delivery| delivery.get("task_count")?.number()?.to_i64())
        .and_then(|count| u64::try_from(count).ok());
    let mut page = TaskPage {
        next_token,
        task_count,
        note: body.note.clone(),
        ..TaskPage::default()
    };
    for task in tasks.elements() {
        // One element that is not a task must not cost the other tasks of its page.
        let Some(task_id) = task.get("task_id").and_then(|id| id.text()) else {
            page.unfit += 1;
            continue;
        };
        let body = match without_secrets(task, keep_secrets)? {
            Some(redacted) => redacted,
            // A slice would keep the body of the whole page in memory until its last task is stored.
            None => copied(task.raw())?,
        };
        page.tasks.push(ListedTask {
            response: TaskResponse {
                task_id: task_id.to_string(),
                body: TaskBody::of_text(Arc::new(body)),
                nodes: None,
                digest: None,
                is_final: is_final(task),
                note: None,
            },
            shape: shape(task),
        });
    }
    Ok(page)
}

/// The lists that a task belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TaskLists {
    /// The ID of its project.
    pub project: Option<String>,
    /// The ID of its batch.
    pub batch: Option<String>,
}

/// Reads which lists a task belongs to, from a checked body.
pub(crate) fn lists_of(body: &TaskBody) -> TaskLists {
    let mut parser = Parser::default();
    let text = body.text().unwrap_or_default();
    let Ok(document) = parser.parse(text) else {
        return TaskLists::default();
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
    TaskLists {
        project: id("project"),
        batch: id("batch"),
    }
}

/// A checksum of a checked body without its white space. Two bodies with the same checksum give the same tables.
pub(crate) fn fingerprint(body: &TaskBody) -> [u8; 32] {
    let mut parser = Parser::default();
    let text = body.text().unwrap_or_default();
    match parser.parse(text) {
        Ok(document) => Sha256::digest(document.text()).into(),
        // A checked body always parses, unless memory is short: then the bytes themselves are compared.
        Err(_) => Sha256::digest(&**body).into(),
    }
}

/// Parses a text. If bytes had to be escaped, a syntax error is their fault.
fn parse<'d>(parser: &'d mut Parser, body: &'d BodyText) -> Result<Document<'d>, BodyError> {
    let is_escaped = body.note.is_some();
    parser.parse(&body.text).map_err(|error| match error.kind {
        JsonErrorKind::Memory => BodyError::NoMemory,
        JsonErrorKind::Limit => BodyError::TooLarge(error),
        JsonErrorKind::Syntax if is_escaped => {
            let first = body.received().utf8_chunks().next();
            BodyError::NotUtf8(first.map_or(0, |chunk| chunk.valid().len()))
        }
        JsonErrorKind::Syntax => BodyError::NotJson(error),
    })
}

/// Whether the task is in a status that no longer changes.
fn is_final(task: Value<'_>) -> bool {
    let status = task.get("status").and_then(|status| status.text());
    status.is_some_and(|status| FINAL_STATUSES.iter().any(|known| status == **known))
}

fn copied(text: &str) -> Result<String, TryReserveError> {
    let mut copy = memory::text(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(task: &TaskResponse) -> &str {
        task.body.text().unwrap()
    }

    fn received(body: &[u8]) -> Result<BodyText, BodyError> {
        BodyText::read(Bytes::copy_from_slice(body)).map_err(|(_, error)| error)
    }

    fn checked(body: &str, keep_secrets: bool) -> Result<(String, bool), BodyError> {
        let mut parser = Parser::default();
        check_task(
            &received(body.as_bytes()).unwrap(),
            Some("t1"),
            keep_secrets,
            &mut parser,
        )
        .map(|task| (text(&task).to_owned(), task.is_final))
    }

    #[test]
    fn a_body_without_secrets_is_kept_byte_for_byte() {
        let body = "{ \"task_id\": \"t1\",\n \"status\": \"completed\" }";
        assert_eq!(checked(body, false), Ok((body.to_owned(), true)));
        let body = r#"{"task_id":"t\u0031","status":"in_review"}"#;
        assert_eq!(checked(body, false), Ok((body.to_owned(), false)));
    }

    #[test]
    fn nodes_are_accepted_only_with_the_text_that_they_were_parsed_from() {
        let mut parser = Parser::default();
        let many = format!(r#"{{"task_id":"t1","a":[{}1]}}"#, "1,".repeat(200_000));
        for (body, is_kept) in [
            (r#"{"task_id":"t1","a":["\u00e9",{}]}"#, true),
            (r#"{"task_id": "t1"}"#, false),
            (r#"{"task_id":"t1","workspace_token":"x"}"#, false),
            ("\u{feff}{\"task_id\":\"t1\"}", true),
            (many.as_str(), false),
        ] {
            let checked = check_task(
                &received(body.as_bytes()).unwrap(),
                Some("t1"),
                false,
                &mut parser,
            )
            .unwrap();
            assert_eq!(checked.nodes.is_some(), is_kept, "{body:.60}");
            let Some(nodes) = &checked.nodes else {
                continue;
            };
            let again = parser.parse(text(&checked)).unwrap();
            assert_eq!(&again.nodes(), nodes);
            let document = Document::of(text(&checked), nodes).unwrap();
            assert_eq!(document.root().raw(), text(&checked));
            assert!(Document::of(&text(&checked)[1..], nodes).is_none());
        }
    }

    #[test]
    fn secrets_are_redacted_at_any_depth_of_any_type_in_any_spelling() {
        let body = r#"{"task_id":"t1","a":[{"workspace_token":"s1"}],"workspace_token":{"x":["s2"]},"b":{"workspace\u005ftoken":3,"c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        let expected = r#"{"task_id":"t1","a":[{"workspace_token":"[redacted]"}],"workspace_token":"[redacted]","b":{"workspace\u005ftoken":"[redacted]","c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        assert_eq!(checked(body, false).unwrap().0, expected);
        assert_eq!(checked(body, true).unwrap().0, body);
    }

    #[test]
    fn a_byte_order_mark_is_removed() {
        let checked = checked("\u{feff}{\"task_id\":\"t1\"}", false).unwrap();
        assert_eq!(checked.0, "{\"task_id\":\"t1\"}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_as_escapes() {
        let body =
            b"{\"task_id\":\"t1\",\"a\":\"caf\xe9 \xf0\x9f\x98 \\\\\xff\",\"b\":\"caf\xc3\xa9\"}";
        let mut parser = Parser::default();
        let checked = check_task(&received(body).unwrap(), Some("t1"), false, &mut parser).unwrap();
        let expected = r#"{"task_id":"t1","a":"caf\udce9 \udcf0\udc9f\udc98 \\\udcff","b":"café"}"#;
        assert_eq!(text(&checked), expected);
        let document = parser.parse(text(&checked)).unwrap();
        assert!(document.root().get("a").unwrap().text().is_none());
        let secret = b"{\"task_id\":\"t1\",\"workspace_token\":\"\xff\"}";
        let checked =
            check_task(&received(secret).unwrap(), Some("t1"), false, &mut parser).unwrap();
        assert_eq!(
            text(&checked),
            r#"{"task_id":"t1","workspace_token":"[redacted]"}"#
        );
    }

    #[test]
    fn bodies_of_other_tasks_are_refused() {
        let mut parser = Parser::default();
        let mut refused = |body: &[u8]| {
            received(body)
                .and_then(|body| check_task(&body, Some("t1"), false, &mut parser))
                .unwrap_err()
        };
        assert_eq!(refused(b"{\"task_id\":\"t2\"}"), BodyError::OtherTask);
        assert_eq!(refused(b"{\"task_id\":1}"), BodyError::NoTask);
        assert_eq!(refused(b"[]"), BodyError::NoTask);
        assert_eq!(refused(b"{\"task_id\":\"t1\xff\"}"), BodyError::NoTask);
        assert_eq!(refused(b"{\"task_id\":\"t1\"\xff}"), BodyError::NotUtf8(15));
        assert_eq!(
            refused(b"{\"task_id\":\"t1\",\"a\":\"\\\xff\"}"),
            BodyError::NotUtf8(22)
        );
        assert_eq!(
            refused(b"{\"task_id\":\"t1\",\"a\":\"\\ud83d\xff\"}"),
            BodyError::NotUtf8(27)
        );
        assert!(matches!(refused(b"<html>"), BodyError::NotJson(_)));
        assert!(matches!(
            refused(b"{\"task_id\":\"t1\""),
            BodyError::NotJson(_)
        ));
    }

    #[test]
    fn a_task_of_a_page_equals_the_single_response() {
        let body = r#"{"tasks": [ {"task_id":"t1", "status":"completed","workspace_token":"x"},
            {"task_id":"t2","status":"pending"}, {"id":"t3"}, 7, {"task_id":"t1"}], "next_token":"a\u002fb"}"#;
        let mut parser = Parser::default();
        let page = split_page(&received(body.as_bytes()).unwrap(), false, &mut parser).unwrap();
        let tasks: Vec<(&str, &str, bool)> = page
            .tasks
            .iter()
            .map(|task| {
                (
                    &*task.response.task_id,
                    text(&task.response),
                    task.response.is_final,
                )
            })
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
        let last = split_page(
            &received(br#"{"delivery":{"task_count":3},"tasks":[],"next_token":""}"#).unwrap(),
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
            let refused = split_page(&received(bad.as_bytes()).unwrap(), false, &mut parser);
            assert!(matches!(refused, Err(BodyError::NoPage(_))), "{bad}");
        }
    }

    #[test]
    fn the_lists_of_a_task_are_read_from_ids_and_expanded_objects() {
        let read = |body: &str| lists_of(&TaskBody::of_text(Arc::new(body.to_owned())));
        let some = |id: &str| Some(id.to_owned());
        let both = TaskLists {
            project: some("p"),
            batch: some("b"),
        };
        assert_eq!(
            read(r#"{"project":"p","batch":{"id":"b","name":"n"}}"#),
            both
        );
        let project = TaskLists {
            project: some("p"),
            batch: None,
        };
        assert_eq!(read(r#"{"project":{"id":"p"},"batch":null}"#), project);
        assert_eq!(read(r#"{"project":7,"batch":""}"#), TaskLists::default());
    }

    #[test]
    fn only_white_space_may_differ() {
        let of = |text: &str| fingerprint(&TaskBody::of_text(Arc::new(text.to_owned())));
        assert_eq!(of("{ \"a\": 1 }"), of("{\"a\":1}"));
        assert_ne!(of("{\"a\":1}"), of("{\"a\":1.0}"));
        assert_ne!(of("{\"a\":1,\"b\":2}"), of("{\"b\":2,\"a\":1}"));
    }
}
