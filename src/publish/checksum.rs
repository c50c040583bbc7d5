//! Checksums of published files.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::hex;

/// Bytes of a file that are hashed per read.
const BUFFER_BYTES: usize = 256 << 10;

/// Whether a file has this checksum, in lower-case hexadecimal. False for a file that cannot be read.
pub fn has_sha256(directory: &Path, name: &str, sha256: &str) -> bool {
    let path = directory.join(name);
    // Opening a pipe would wait for a writer.
    if !path.is_file() {
        return false;
    }
    let hash = || -> std::io::Result<String> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(&path)?);
        let mut hash = Sha256::new();
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(hex::encode(&hash.finalize()));
            }
            hash.update(bytes);
            let hashed = bytes.len();
            file.consume(hashed);
        }
    };
    hash().is_ok_and(|found| found == sha256)
}
