//! A body as text: what is not UTF-8 is kept as escapes.

use std::borrow::Cow;

use crate::api::body_error::BodyError;
use crate::memory;

/// The body as text, with what to report about it.
pub(crate) fn as_text(body: &[u8]) -> Result<(Cow<'_, str>, Option<String>), BodyError> {
    match std::str::from_utf8(body) {
        // A byte order mark is part of neither JSON nor the task.
        Ok(text) => Ok(match text.strip_prefix('\u{feff}') {
            Some(text) => (Cow::Owned(text.to_owned()), None),
            None => (Cow::Borrowed(text), None),
        }),
        Err(error) => {
            let at = error.valid_up_to();
            let note = format!(
                "the body is not UTF-8, first at byte {at}; such bytes are kept as \\udc80 to \\udcff"
            );
            let text = escape_invalid(body)?.ok_or(BodyError::NotUtf8(at))?;
            Ok((Cow::Owned(text), Some(note)))
        }
    }
}

/// Writes each byte that is not UTF-8 as half a surrogate pair, `\udc80` to `\udcff`, as Python's `surrogateescape`
/// does. The value is then kept like any other that is not a Unicode string, and its bytes can be restored. `None` if
/// an escape would mean something else in its place.
fn escape_invalid(body: &[u8]) -> Result<Option<String>, BodyError> {
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

/// Whether an escape of a low surrogate would change its meaning after this text: after a backslash it is not an
/// escape, and after a high surrogate it completes a pair.
fn changes_meaning(before: &str) -> bool {
    /// Bytes of `ud83d`.
    const DIGITS_OF_ESCAPE: usize = 5;
    let is_escape = |text: &str| {
        let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\');
        backslashes.count() % 2 == 1
    };
    // The characters where `ud83d` would be.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
