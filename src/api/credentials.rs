//! Redacts live credentials in a task, and finds bodies that may contain some.

use std::collections::TryReserveError;
use std::ops::Range;

use crate::json::value::Value;
use crate::memory;

/// The key whose value is a live credential, at any depth (rule 11).
pub(crate) const SECRET_KEY: &str = "workspace_token";

/// What replaces the value.
const REDACTED: &str = "\"[redacted]\"";

/// The task's text with its credentials redacted; `None` if there are none.
pub(crate) fn without_secrets(
    task: Value<'_>,
    keep_secrets: bool,
) -> Result<Option<String>, TryReserveError> {
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

/// Whether a body that is not a task may be kept as it is. It may not if it can contain a live credential, because
/// without valid JSON the end of the value is unknown.
pub(crate) fn may_be_kept(body: &[u8], keep_secrets: bool) -> bool {
    if keep_secrets {
        return true;
    }
    // In another encoding the key would not be found. JSON in UTF-8 has no such bytes.
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

/// The ranges of credentials in the task's text.
fn secrets(task: Value<'_>) -> Vec<Range<usize>> {
    let text = task.raw();
    // The key may be written with escapes. Without escapes and without the plain key, there is no credential.
    if memchr::memmem::find(text.as_bytes(), SECRET_KEY.as_bytes()).is_none()
        && !text.contains("\\u")
    {
        return Vec::new();
    }
    let start = task.offset();
    let mut found = Vec::new();
    // A list instead of recursion: the depth of a task is bounded by the parser only.
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
    // The stack gives values in another order than the text, and replacing goes through the text once.
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
}
