//! A received body as text: what is not UTF-8 is kept as escapes.

use std::sync::Arc;

use bytes::Bytes;

use crate::api::body_error::BodyError;
use crate::memory;

/// A received body as text. This is the only check of its encoding: a task keeps the text.
#[derive(Debug)]
pub struct BodyText {
    /// The text, without a byte order mark, and with escapes for what is not UTF-8.
    pub(crate) text: Arc<String>,
    /// The body, where it is not the text.
    received: Option<Bytes>,
    /// What to report about the encoding, if anything.
    pub(crate) note: Option<String>,
}

impl BodyText {
    /// Reads a body. It is copied only if it is not the text, or if it is shared.
    ///
    /// # Errors
    ///
    /// The body with its error if it cannot be text.
    pub fn read(body: Bytes) -> Result<Self, (Bytes, BodyError)> {
        // Both steps move the bytes of a body that is not shared.
        let body = match String::from_utf8(Vec::from(body)) {
            Ok(text) => return Ok(Self::of_text(text)),
            Err(error) => error,
        };
        let at = body.utf8_error().valid_up_to();
        let received = Bytes::from(body.into_bytes());
        match escape_invalid(&received) {
            Ok(Some(text)) => Ok(Self {
                text: Arc::new(text),
                received: Some(received),
                note: Some(format!(
                    "the body is not UTF-8, first at byte {at}; such bytes are kept as \\udc80 to \\udcff"
                )),
            }),
            Ok(None) => Err((received, BodyError::NotUtf8(at))),
            Err(error) => Err((received, error)),
        }
    }

    /// Reads a body out of a buffer that is used again. UTF-8 is checked before it is copied: this check is several
    /// times as fast as that of `String`, but says nothing about errors.
    pub(crate) fn copy(body: &[u8]) -> Result<Self, BodyError> {
        if let Ok(text) = simdutf8::basic::from_utf8(body) {
            let mut copy = memory::text(text.len())?;
            copy.push_str(text);
            return Ok(Self::of_text(copy));
        }
        let mut copy = memory::buffer(body.len())?;
        copy.extend_from_slice(body);
        Self::read(Bytes::from(copy)).map_err(|(_, error)| error)
    }

    fn of_text(text: String) -> Self {
        // A byte order mark is part of neither JSON nor the task.
        let without_mark = text.strip_prefix('\u{feff}').map(str::to_owned);
        let (text, received) = match without_mark {
            Some(without_mark) => (without_mark, Some(Bytes::from(text))),
            None => (text, None),
        };
        Self {
            text: Arc::new(text),
            received,
            note: None,
        }
    }

    /// The body as it was received. It is not copied unless a task keeps the text.
    pub(crate) fn into_received(self) -> Bytes {
        let text = || Bytes::from(Arc::unwrap_or_clone(self.text));
        self.received.unwrap_or_else(text)
    }

    /// The body as it was received.
    pub(crate) fn received(&self) -> &[u8] {
        let received = self.received.as_deref();
        received.unwrap_or(self.text.as_bytes())
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
        // An escape is six times as long as its byte, so a body that is not text could exhaust the memory.
        out.try_reserve(bytes)?;
        out.push_str(chunk.valid());
        for (index, byte) in chunk.invalid().iter().enumerate() {
            // Only the first byte follows text that was received. The others follow an escape, which is complete.
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
    fn a_copy_is_read_like_the_body() {
        for body in [
            &b""[..],
            b"{\"a\":\"\xc3\xa9\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xc3\"}",
            b"{\"a\":\"\\\xff\"}",
        ] {
            let read = BodyText::read(Bytes::copy_from_slice(body));
            let read = read.map_err(|(_, error)| error);
            match (read, BodyText::copy(body)) {
                (Ok(read), Ok(copy)) => {
                    assert_eq!((&copy.text, &copy.note), (&read.text, &read.note));
                    assert_eq!((copy.received(), read.received()), (body, body));
                }
                (Err(read), Err(copy)) => assert_eq!(copy, read),
                (read, copy) => panic!("{read:?}, {copy:?}"),
            }
        }
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
}
