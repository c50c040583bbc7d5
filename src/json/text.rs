//! Strings of JSON texts: borrowed, and decoded only where they are written.

use std::borrow::Cow;
use std::fmt::{self, Write};

use memchr::memchr;

use crate::json::plain_run::plain_run;

/// Plain text, or the inside of a valid JSON string without lone surrogates.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// Text that stands for itself.
    pub fn plain(text: &'a str) -> Self {
        Self {
            raw: text,
            escaped: false,
        }
    }

    /// The inside of a valid JSON string.
    pub(crate) fn from_json(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The text, if there is nothing to decode.
    pub(crate) fn as_plain(&self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }

    /// An upper bound of the decoded length, in bytes.
    pub fn size(&self) -> usize {
        self.raw.len()
    }

    /// Writes the decoded text.
    pub fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        if !self.escaped {
            return out.write_str(self.raw);
        }
        let mut rest = self.raw;
        while let Some((plain, escape)) =
            memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at))
        {
            out.write_str(plain)?;
            let (decoded, behind) = decode_escape(escape.get(1..).unwrap_or_default());
            out.write_char(decoded)?;
            rest = behind;
        }
        out.write_str(rest)
    }

    /// The decoded text; borrowed if there is nothing to decode.
    pub fn decode(&self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        // No escape is shorter than the character that it stands for.
        let mut out = String::with_capacity(self.raw.len());
        // Writing to a String cannot fail.
        let _ = self.write_to(&mut out);
        Cow::Owned(out)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.escaped {
            self.decode() == other
        } else {
            self.raw == other
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        // The same text can be written with different escapes.
        if self.escaped || other.escaped {
            self.decode() == other.decode()
        } else {
            self.raw == other.raw
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Decodes what follows a backslash. Returns the character and the rest of the text.
fn decode_escape(escape: &str) -> (char, &str) {
    let mut chars = escape.chars();
    let decoded = match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return decode_unicode(chars.as_str()),
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    };
    (decoded, chars.as_str())
}

/// Decodes what follows `\u`: four digits, or those of a surrogate pair.
fn decode_unicode(digits: &str) -> (char, &str) {
    let (first, rest) = unit(digits);
    if let Some(decoded) = char::from_u32(first) {
        return (decoded, rest);
    }
    // The lexer has checked that a low surrogate follows, so the defaults only avoid a panic.
    let (second, rest) = unit(rest.strip_prefix("\\u").unwrap_or_default());
    let high = first.wrapping_sub(0xD800) << 10;
    let low = second.wrapping_sub(0xDC00);
    let decoded = char::from_u32(0x1_0000_u32.wrapping_add(high | low));
    (decoded.unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn unit(digits: &str) -> (u32, &str) {
    let (hex, rest) = digits.split_at_checked(4).unwrap_or_default();
    (u32::from_str_radix(hex, 16).unwrap_or_default(), rest)
}

/// Writes a JSON string with its quotes and with only the escapes that JSON requires.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        // What ends a run is ASCII, so it is at a character boundary.
        let (plain, after) = rest
            .split_at_checked(plain_run(rest.as_bytes()))
            .unwrap_or((rest, ""));
        out.push_str(plain);
        let Some(special) = after.bytes().next() else {
            break;
        };
        match special {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            control => drop(write!(out, "\\u{control:04x}")),
        }
        rest = after.get(1..).unwrap_or_default();
    }
    out.push('"');
}

/// Appends `/token` to a JSON Pointer (RFC 6901).
pub fn push_pointer_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
