//! Compresses pages. A zstd context is kept from page to page: making one takes longer than compressing a small page.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

/// Bytes of output whose memory is kept for the next page: enough for a page of the usual size.
const KEPT_BYTES: usize = 2 << 20;

/// The contexts of one thread, by their level.
#[derive(Default)]
pub(crate) struct PageCompressor {
    contexts: BTreeMap<i32, Compressor<'static>>,
    output: Vec<u8>,
}

impl PageCompressor {
    /// The compressed page, until the next one is compressed.
    pub(crate) fn compress(&mut self, level: i32, body: &[u8]) -> io::Result<&[u8]> {
        self.output.clear();
        self.output.shrink_to(KEPT_BYTES);
        self.output.reserve(compress_bound(body.len()));
        let context = match self.contexts.entry(level) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Compressor::new(level)?),
        };
        context.compress_to_buffer(body, &mut self.output)?;
        Ok(&self.output)
    }
}

impl fmt::Debug for PageCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCompressor").finish_non_exhaustive()
    }
}
