//! Compression of the bodies of a block. The zstd context is kept from one block to the next: making one takes longer than
//! compressing a small body with it.

use std::fmt;
use std::io::{self, Cursor};

use zstd::bulk;
use zstd::zstd_safe::compress_bound;

use crate::journal::format::Codec;

/// Shorter bodies are stored uncompressed: compression would gain nothing.
const MIN_COMPRESSED_BYTES: usize = 64;

/// Compression level. The journal is written while tasks are fetched, so speed counts more than size.
/// `docs/performance.md` has the other levels and codecs, measured.
const ZSTD_LEVEL: i32 = 1;

/// Compresses bodies.
#[derive(Default)]
pub struct Compressor {
    context: Option<bulk::Compressor<'static>>,
}

impl Compressor {
    /// Appends a body, compressed unless the body itself is shorter.
    pub(crate) fn append(&mut self, body: &[u8], out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        // If compression fails, such as without memory for its context, the body is stored as it is.
        if body.len() >= MIN_COMPRESSED_BYTES
            && self.compress(body, out).is_ok()
            && out.len() - start < body.len()
        {
            return Codec::Zstd;
        }
        // A compression that failed or gained nothing has left its bytes.
        out.truncate(start);
        out.extend_from_slice(body);
        Codec::Plain
    }

    fn compress(&mut self, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        let end = out.len() as u64;
        // zstd writes into spare room, and does not grow the buffer.
        out.reserve(compress_bound(body.len()));
        let mut behind = Cursor::new(out);
        behind.set_position(end);
        context.compress_to_buffer(body, &mut behind)?;
        Ok(())
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_compressed_only_where_that_makes_it_shorter() {
        // Bytes without a repetition do not compress.
        let unlike: Vec<u8> = (0..=u8::MAX).collect();
        let like = [b'x'; 256];
        let mut compressor = Compressor::default();
        for (body, codec) in [
            (&like[..], Codec::Zstd),
            (&like[..MIN_COMPRESSED_BYTES - 1], Codec::Plain),
            (&unlike[..], Codec::Plain),
            (b"", Codec::Plain),
        ] {
            let mut out = b"head".to_vec();
            assert_eq!(compressor.append(body, &mut out), codec);
            let stored = out.strip_prefix(b"head").unwrap();
            assert_eq!(stored == body, codec == Codec::Plain);
            assert!(stored.len() <= body.len());
        }
    }
}
