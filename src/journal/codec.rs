//! Compression of record bodies. The zstd contexts are kept from one body to the next: making one takes longer than
//! compressing a small body with it.

use std::fmt;
use std::io::{self, Cursor, Read as _};

use zstd::bulk;
use zstd::stream::read::Decoder;
use zstd::zstd_safe::{DCtx, compress_bound};

/// Shorter bodies are stored uncompressed: compression would gain nothing.
const MIN_COMPRESSED_BYTES: usize = 64;

/// Compression level. The journal is written while tasks are fetched, so speed counts more than size.
/// `docs/performance.md` has the other levels and codecs, measured.
const ZSTD_LEVEL: i32 = 1;

/// Bytes that are reserved at most for a body before any of it is decompressed: a damaged record may state any size.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// How a record's body is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain = 0,
    Zstd = 1,
}

/// Compresses bodies.
#[derive(Default)]
pub struct Compressor {
    context: Option<bulk::Compressor<'static>>,
}

impl Compressor {
    /// Appends a body, compressed unless the body itself is shorter.
    pub(crate) fn append(&mut self, body: &[u8], out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        if body.len() >= MIN_COMPRESSED_BYTES
            && self.compress(body, out).is_ok()
            && out.len() - start < body.len()
        {
            return Codec::Zstd;
        }
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
    io::Error::other(zstd::zstd_safe::get_error_name(code))
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}
