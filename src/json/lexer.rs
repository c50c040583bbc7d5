//! The tokens of RFC 8259: strings, numbers, literals and white space.

use thiserror::Error;

use crate::json::plain_run::plain_run;

/// Why a text could not be parsed, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem} at byte {offset}")]
pub struct JsonError {
    /// What is wrong.
    pub problem: &'static str,
    /// The position in the text, in bytes.
    pub offset: usize,
    /// The kind of problem.
    pub kind: JsonErrorKind,
}

/// The kind of reason for which a text could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text is not JSON.
    Syntax,
    /// The text is over a limit of the parser: too long, too many values, or nested too deeply.
    Limit,
    /// There is not enough memory.
    Memory,
}

/// The position of a string without its quotes, and what decoding it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StringSpan {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) escaped: bool,
    pub(crate) lone_surrogate: bool,
}

/// Reads a text, byte by byte.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
    /// Whether there was white space between tokens.
    pub(crate) spaced: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            spaced: false,
        }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn error<T>(&self, problem: &'static str) -> Result<T, JsonError> {
        self.fail(JsonErrorKind::Syntax, problem)
    }

    pub(crate) fn fail<T>(
        &self,
        kind: JsonErrorKind,
        problem: &'static str,
    ) -> Result<T, JsonError> {
        Err(JsonError {
            problem,
            offset: self.at,
            kind,
        })
    }

    /// Fails with this problem, or because the text ends here.
    pub(crate) fn unexpected<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        self.error(if self.at >= self.bytes.len() {
            "the text ends too early"
        } else {
            expected
        })
    }

    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
            self.spaced = true;
        }
    }

    pub(crate) fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            self.at += word.len();
            Ok(())
        } else {
            self.unexpected("expected a value")
        }
    }

    /// Reads a number; `at` is on its first byte.
    pub(crate) fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            // JSON has no leading zeros: a point or an exponent may follow, and no digit.
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.unexpected("expected a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        let before = self.at;
        self.digits();
        if self.at == before {
            self.unexpected("expected a digit")
        } else {
            Ok(())
        }
    }

    /// Reads a string; `at` is on its opening quote.
    pub(crate) fn string(&mut self) -> Result<StringSpan, JsonError> {
        self.at += 1;
        let mut span = StringSpan {
            start: self.at,
            end: self.at,
            escaped: false,
            lone_surrogate: false,
        };
        loop {
            self.skip_plain_run();
            match self.peek() {
                Some(b'"') => {
                    span.end = self.at;
                    self.at += 1;
                    return Ok(span);
                }
                Some(b'\\') => {
                    span.escaped = true;
                    span.lone_surrogate |= self.escape()?;
                }
                Some(0..0x20) => return self.error("a string contains a control character"),
                Some(_) => self.at += 1,
                None => return self.error("the text ends inside a string"),
            }
        }
    }

    /// Skips bytes that need no attention.
    fn skip_plain_run(&mut self) {
        self.at += plain_run(self.bytes.get(self.at..).unwrap_or_default());
    }

    /// Reads one escape, or both of a surrogate pair. Returns whether it is half of a pair.
    fn escape(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(false)
            }
            Some(b'u') => {
                self.at += 1;
                match self.hex4()? {
                    0xD800..=0xDBFF => self.low_surrogate().map(|found| !found),
                    0xDC00..=0xDFFF => Ok(true),
                    _ => Ok(false),
                }
            }
            _ => self.unexpected("unknown escape"),
        }
    }

    /// Reads a low surrogate after a high one, if there is one.
    fn low_surrogate(&mut self) -> Result<bool, JsonError> {
        let before = self.at;
        if self.bytes.get(before..before + 2) == Some(b"\\u") {
            self.at += 2;
            if let 0xDC00..=0xDFFF = self.hex4()? {
                return Ok(true);
            }
            // It is another escape, which is read separately.
            self.at = before;
        }
        Ok(false)
    }

    fn hex4(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = match self.peek() {
                Some(byte @ b'0'..=b'9') => byte - b'0',
                Some(byte @ b'a'..=b'f') => byte - b'a' + 10,
                Some(byte @ b'A'..=b'F') => byte - b'A' + 10,
                _ => return self.unexpected("expected four hexadecimal digits"),
            };
            unit = unit << 4 | u16::from(digit);
            self.at += 1;
        }
        Ok(unit)
    }
}
