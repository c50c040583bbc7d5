//! Writes a file, and keeps the size and a digest of each region of it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use twox_hash::xxhash3_128::Hasher;

/// A region of a file, which begins where the one before it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Region {
    pub(crate) bytes: u64,
    /// XXH3 in hexadecimal. It detects damage at a tenth of the cost of SHA-256, which protects the file as a whole.
    pub(crate) xxh3: String,
}

/// The digest of bytes that come in pieces.
pub(crate) struct RegionHasher {
    hasher: Hasher,
    bytes: u64,
}

impl RegionHasher {
    pub(crate) fn new() -> Self {
        Self {
            hasher: Hasher::new(),
            bytes: 0,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Region {
        Region {
            bytes: self.bytes,
            xxh3: format!("{:032x}", self.hasher.finish_128()),
        }
    }
}

/// Passes bytes to a file.
pub(crate) struct RegionWriter<W> {
    file: W,
    region: RegionHasher,
}

impl<W: Write> RegionWriter<W> {
    pub(crate) fn new(file: W) -> Self {
        Self {
            file,
            region: RegionHasher::new(),
        }
    }

    /// Ends a region. The next one begins.
    pub(crate) fn end_region(&mut self) -> Region {
        std::mem::replace(&mut self.region, RegionHasher::new()).finish()
    }

    /// Returns the file, and its last region.
    pub(crate) fn finish(self) -> (W, Region) {
        (self.file, self.region.finish())
    }
}

impl<W: Write> Write for RegionWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.region.update(data.get(..written).unwrap_or(data));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W> std::fmt::Debug for RegionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionWriter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_region_does_not_depend_on_its_pieces() {
        let mut writer = RegionWriter::new(Vec::new());
        writer.write_all(b"head").unwrap();
        let head = writer.end_region();
        writer.write_all(b"on").unwrap();
        writer.write_all(b"e").unwrap();
        let one = writer.end_region();
        let (file, rest) = writer.finish();
        assert_eq!(file, b"headone");
        assert_eq!((head.bytes, one.bytes, rest.bytes), (4, 3, 0));
        let mut whole = RegionHasher::new();
        whole.update(b"one");
        assert_eq!(whole.finish(), one);
    }
}
