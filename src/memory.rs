//! Buffers whose size depends on input: running out of memory is an error, not an abort.

use std::collections::TryReserveError;
use std::io::{self, BufRead};

/// The cause, for an error message.
pub(crate) const NO_MEMORY: &str = "there is not enough memory for it";

/// The hint for this error.
pub(crate) const NO_MEMORY_HINT: &str =
    "raise the memory limit of the process, or run it on a machine with more memory";

/// An empty buffer with room for `bytes`.
pub(crate) fn buffer(bytes: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes)?;
    Ok(buffer)
}

/// An empty text with room for `bytes`.
pub(crate) fn text(bytes: usize) -> Result<String, TryReserveError> {
    let mut text = String::new();
    text.try_reserve_exact(bytes)?;
    Ok(text)
}

/// Appends to a buffer.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TryReserveError> {
    buffer.try_reserve(bytes.len())?;
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// Like [`append_line`], after `line` is cleared.
pub(crate) fn read_line(
    reader: &mut dyn BufRead,
    max_bytes: u64,
    line: &mut Vec<u8>,
) -> io::Result<usize> {
    line.clear();
    append_line(reader, max_bytes, line)
}

/// Reads a line with its line end to the end of `lines`. Of a line with more than `max_bytes`, it reads `max_bytes` and one byte
/// more. Returns the number of bytes; 0 at the end.
pub(crate) fn append_line(
    reader: &mut dyn BufRead,
    max_bytes: u64,
    lines: &mut Vec<u8>,
) -> io::Result<usize> {
    let most = usize::try_from(max_bytes.saturating_add(1)).unwrap_or(usize::MAX);
    let mut read = 0;
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            filled => filled?,
        };
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let part = part.get(..most - read).unwrap_or(part);
        append(lines, part)?;
        let used = part.len();
        reader.consume(used);
        read += used;
        if used == 0 || (read > 0 && lines.ends_with(b"\n")) || read == most {
            return Ok(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_read_whole_or_up_to_the_limit() {
        let text = b"one\n\ntwo and more\nlast";
        for capacity in [1, 3, 100] {
            let mut reader = BufReader::with_capacity(capacity, &text[..]);
            let mut lines = Vec::new();
            let mut line = Vec::new();
            while read_line(&mut reader, 6, &mut line).unwrap() > 0 {
                lines.push(String::from_utf8(line.clone()).unwrap());
            }
            let expected = ["one\n", "\n", "two and", " more\n", "last"];
            assert_eq!(lines, expected, "{capacity}");
        }
    }

    #[test]
    fn too_large_an_allocation_is_an_error() {
        assert!(buffer(isize::MAX.unsigned_abs()).is_err());
        assert!(text(isize::MAX.unsigned_abs()).is_err());
        let error = io::Error::from(buffer(isize::MAX.unsigned_abs()).unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
