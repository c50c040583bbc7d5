//! Keeps compressed pages until they are appended to a file: in memory up to a bound, then in a temporary file.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, Bytes};

use crate::encode::parquet::write::spill::{Region, Spill};

/// Default maximum of the bytes of pages in memory.
const MEMORY_BYTES: usize = 512 << 10;

/// Keeps the pages of column chunks. They share one bound and one temporary file, which is freed with the last of
/// them.
#[derive(Debug, Clone)]
pub(crate) struct PageStore {
    spill: Arc<Spill>,
    /// Bytes in memory.
    resident: Arc<AtomicUsize>,
    max_resident: usize,
}

impl PageStore {
    /// Pages that exceed the bound go to a file: see [`Spill::new`].
    pub(crate) fn new(spill: Option<&Path>) -> Self {
        Self::with_bound(spill, MEMORY_BYTES)
    }

    /// Keeps at most so many bytes in memory.
    pub(crate) fn with_bound(spill: Option<&Path>, max_resident: usize) -> Self {
        Self {
            spill: Arc::new(Spill::new(spill)),
            resident: Arc::default(),
            max_resident,
        }
    }

    /// Keeps a page.
    pub(crate) fn keep(&self, page: Vec<u8>) -> io::Result<KeptPage> {
        let bytes = page.len();
        let before = self.resident.fetch_add(bytes, Ordering::Relaxed);
        let place = if before + bytes <= self.max_resident {
            PagePlace::Memory(page.into())
        } else {
            self.resident.fetch_sub(bytes, Ordering::Relaxed);
            PagePlace::File(Arc::clone(&self.spill), self.spill.put(&page)?)
        };
        Ok(KeptPage {
            place,
            resident: Arc::clone(&self.resident),
        })
    }
}

/// Where the bytes of a page are.
#[derive(Debug, Clone)]
enum PagePlace {
    Memory(Bytes),
    File(Arc<Spill>, Region),
}

/// A page with its header.
#[derive(Debug)]
pub(crate) struct KeptPage {
    place: PagePlace,
    resident: Arc<AtomicUsize>,
}

impl Drop for KeptPage {
    fn drop(&mut self) {
        if let PagePlace::Memory(bytes) = &self.place {
            self.resident.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
    }
}

/// Reads pages one after the other.
#[derive(Debug)]
pub(crate) struct KeptPagesReader {
    rest: std::vec::IntoIter<PagePlace>,
    current: Bytes,
}

impl KeptPagesReader {
    pub(crate) fn new<'p>(pages: impl Iterator<Item = &'p KeptPage>) -> Self {
        let places: Vec<PagePlace> = pages.map(|page| page.place.clone()).collect();
        Self {
            rest: places.into_iter(),
            current: Bytes::new(),
        }
    }
}

impl Read for KeptPagesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            self.current = match self.rest.next() {
                Some(PagePlace::Memory(bytes)) => bytes,
                Some(PagePlace::File(spill, region)) => spill.get(region)?,
                None => return Ok(0),
            };
        }
        let length = buffer.len().min(self.current.len());
        self.current.split_to(length).reader().read(buffer)
    }
}
