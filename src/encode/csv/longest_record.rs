//! The longest record of a CSV file. The views of `load.sql` state it, since DuckDB needs a limit beforehand.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use memchr::memchr2_iter;

use crate::output_error::OutputError;

/// Measures the longest record while the bytes of a CSV file pass through.
#[derive(Debug, Default)]
pub struct LongestRecord {
    longest: usize,
    current: usize,
    is_quoted: bool,
}

impl LongestRecord {
    /// Takes the next bytes of the file.
    pub fn see(&mut self, bytes: &[u8]) {
        let mut counted = 0;
        for at in memchr2_iter(b'"', b'\n', bytes) {
            if bytes.get(at) == Some(&b'"') {
                self.is_quoted = !self.is_quoted;
            } else if !self.is_quoted {
                self.current += at + 1 - counted;
                counted = at + 1;
                self.longest = self.longest.max(self.current);
                self.current = 0;
            }
        }
        self.current += bytes.len() - counted;
    }

    /// Bytes of the longest record so far, with its line break.
    pub fn bytes(&self) -> usize {
        self.longest.max(self.current)
    }
}

/// Bytes of the longest record, with its line break, of a file that scale-export wrote.
pub fn longest_record(path: &Path) -> Result<usize, OutputError> {
    let read = || -> io::Result<usize> {
        let mut file = BufReader::new(File::open(path)?);
        let mut records = LongestRecord::default();
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(records.bytes());
            }
            records.see(bytes);
            let seen = bytes.len();
            file.consume(seen);
        }
    };
    read().map_err(OutputError::io("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_is_found_however_the_bytes_come() {
        let text = b"a,b\n1,\"two\nlines, and \"\"quotes\"\"\"\n\"\n\n\",\n3,4";
        let longest = b"1,\"two\nlines, and \"\"quotes\"\"\"\n".len();
        for step in 1..text.len() {
            let mut records = LongestRecord::default();
            text.chunks(step).for_each(|bytes| records.see(bytes));
            assert_eq!(records.bytes(), longest, "{step} bytes at a time");
        }
        let mut records = LongestRecord::default();
        records.see(b"an end without a line feed");
        assert_eq!(records.bytes(), 26);
    }
}
