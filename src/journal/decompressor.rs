//! Decompression of the bodies of a block. The zstd context is kept from one block to the next.

use std::fmt;
use std::io::{self, Read as _};

use zstd::stream::read::Decoder;
use zstd::zstd_safe::{DCtx, get_error_name};

/// Bytes that are reserved at most for a body before any of it is decompressed: a damaged record may state any size.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// Decompresses bodies.
#[derive(Default)]
pub struct Decompressor {
    context: Option<DCtx<'static>>,
}

impl Decompressor {
    /// Decompresses into an empty buffer, up to one byte more than expected: a damaged record cannot take more memory.
    pub(crate) fn read(
        &mut self,
        stored: &[u8],
        expected: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?),
        };
        let limit = expected.saturating_add(1);
        // Without enough memory this is an error. A plain allocation would abort the process.
        out.try_reserve(limit.min(MAX_RESERVED_BYTES))?;
        if limit <= MAX_RESERVED_BYTES {
            // One call for the whole body needs no separate window.
            let decompressed = context.decompress(out, stored);
            return decompressed.map(|_| ()).map_err(zstd_error);
        }
        // What is left of a body that could not be read whole does not belong to this one.
        context.init().map_err(zstd_error)?;
        Decoder::with_context(stored, context)
            .take(limit as u64)
            .read_to_end(out)?;
        Ok(())
    }
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_longer_than_its_head_says_takes_no_more_memory() {
        let stored = zstd::bulk::compress(&vec![b'x'; 4 * MAX_RESERVED_BYTES], 1).unwrap();
        let mut decompressor = Decompressor::default();
        for expected in [100, MAX_RESERVED_BYTES, 2 * MAX_RESERVED_BYTES] {
            let mut out = Vec::new();
            let read = decompressor.read(&stored, expected, &mut out);
            assert!(read.is_err() || out.len() == expected + 1);
            assert!(out.capacity() <= 2 * expected + MAX_RESERVED_BYTES);
        }
    }

    #[test]
    fn a_body_that_was_not_read_whole_does_not_affect_the_next_one() {
        let body = vec![b'x'; 4 * MAX_RESERVED_BYTES];
        let stored = zstd::bulk::compress(&body, 1).unwrap();
        let mut decompressor = Decompressor::default();
        let cuts = [1, stored.len() / 2, stored.len() - 1].map(|cut| (cut, body.len()));
        for (cut, expected) in cuts.into_iter().chain([(stored.len(), body.len() / 2)]) {
            let mut out = Vec::new();
            let damaged = decompressor.read(&stored[..cut], expected, &mut out);
            assert!(damaged.is_err() || out.len() == expected + 1);
            let mut out = Vec::new();
            decompressor.read(&stored, body.len(), &mut out).unwrap();
            assert!(out == body);
        }
    }
}
