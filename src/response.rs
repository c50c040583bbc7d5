//! A response on its way to the journal: is it the task that was asked for, and without live
//! credentials? Pure. Depends on `json`.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use crate::json::{Document, JsonError, Parser, Value};

/// The key whose value is a live credential, at any depth (rule 11).
const SECRET_KEY: &str = "workspace_token";

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
    NotJson(#[from] JsonError),
    /// JSON, but no object with a string for `task_id`.
    #[error("the body is no task: it has no task_id")]
    NoTask,
    /// Another task.
    #[error("the body is another task")]
    OtherTask,
}

/// A body that is the task.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked<'b> {
    /// The body, redacted if need be.
    pub body: Cow<'b, str>,
    /// Is the task in a state that does not change any more?
    pub is_final: bool,
    /// Its ID, when any would do.
    pub task_id: Option<String>,
}

/// Checks a body; `task_id` is the one asked for, or `None` when any will do.
pub fn check<'b>(
    body: &'b [u8],
    task_id: Option<&str>,
    keep_secrets: bool,
    parser: &mut Parser,
) -> Result<Checked<'b>, Unfit> {
    let text = std::str::from_utf8(body).map_err(|error| Unfit::NotUtf8(error.valid_up_to()))?;
    let document = parser.parse(text)?;
    let root = document.root();
    let found = root
        .get("task_id")
        .and_then(|id| id.text())
        .ok_or(Unfit::NoTask)?;
    if task_id.is_some_and(|asked| found != *asked) {
        return Err(Unfit::OtherTask);
    }
    let found = task_id.is_none().then(|| found.to_string());
    let status = root.get("status").and_then(|status| status.text());
    let is_final =
        status.is_some_and(|status| FINAL_STATUSES.iter().any(|known| status == **known));
    let secrets = if keep_secrets {
        Vec::new()
    } else {
        secrets(&document)
    };
    let body = if secrets.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(replace(document.text(), &secrets))
    };
    Ok(Checked {
        body,
        is_final,
        task_id: found,
    })
}

/// Where secrets stand in the document's text.
fn secrets(document: &Document<'_>) -> Vec<Range<usize>> {
    let text = document.text();
    // A key may be written with escapes; without any, and without the word, there is nothing.
    if memchr::memmem::find(text.as_bytes(), SECRET_KEY.as_bytes()).is_none()
        && !text.contains("\\u")
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut open = vec![document.root()];
    while let Some(value) = open.pop() {
        for (key, member) in value.members() {
            if key.is(SECRET_KEY) && !member.is_null() {
                found.push(range(member));
            } else {
                open.push(member);
            }
        }
        open.extend(value.elements());
    }
    found.sort_unstable_by_key(|range| range.start);
    found
}

fn range(value: Value<'_>) -> Range<usize> {
    value.offset()..value.offset() + value.raw().len()
}

fn replace(text: &str, ranges: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for range in ranges {
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(REDACTED);
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
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
    fn secrets_go_at_any_depth_under_any_type_and_spelling() {
        let body = r#"{"task_id":"t1","a":[{"workspace_token":"s1"}],"workspace_token":{"x":["s2"]},"b":{"workspace\u005ftoken":3,"c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        let expected = r#"{"task_id":"t1","a":[{"workspace_token":"[redacted]"}],"workspace_token":"[redacted]","b":{"workspace\u005ftoken":"[redacted]","c":"workspace_token: s4"},"d":{"workspace_token":null}}"#;
        assert_eq!(checked(body, false).unwrap().0, expected);
        assert_eq!(checked(body, true).unwrap().0, body);
    }

    #[test]
    fn what_is_not_the_task_is_refused() {
        let mut parser = Parser::default();
        let mut refused = |body: &[u8]| check(body, Some("t1"), false, &mut parser).unwrap_err();
        assert_eq!(refused(b"{\"task_id\":\"t2\"}"), Unfit::OtherTask);
        assert_eq!(refused(b"{\"task_id\":1}"), Unfit::NoTask);
        assert_eq!(refused(b"[]"), Unfit::NoTask);
        assert_eq!(refused(b"{\"task_id\":\"t1\xff\"}"), Unfit::NotUtf8(14));
        assert!(matches!(refused(b"<html>"), Unfit::NotJson(_)));
        assert!(matches!(refused(b"{\"task_id\":\"t1\""), Unfit::NotJson(_)));
    }
}
