//! Keeps encoded rows until they are appended to a file: in memory up to a bound, then in a temporary file.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, Bytes};
use thiserror::Error;

use crate::encode::input::Input;
use crate::encode::spill::{Spill, SpillPlace};

/// Default maximum of the bytes in memory. A range of tasks takes more, so most of it waits in the file.
const MEMORY_BYTES: usize = 1 << 20;

/// Keeps pages and CSV records. They share one bound and one temporary file, which is freed with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct BytesStore {
    spill: Arc<Spill>,
    /// Bytes in memory.
    resident: Arc<AtomicUsize>,
    max_resident: usize,
}

impl BytesStore {
    /// Bytes that exceed the bound go to a file: see [`Spill::new`].
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

    /// Keeps bytes.
    pub(crate) fn keep(&self, kept: Vec<u8>) -> io::Result<KeptBytes> {
        let bytes = kept.len();
        let before = self.resident.fetch_add(bytes, Ordering::Relaxed);
        let place = if before + bytes <= self.max_resident {
            Place::Memory(kept.into())
        } else {
            self.resident.fetch_sub(bytes, Ordering::Relaxed);
            Place::File(Arc::clone(&self.spill), self.spill.put(&kept)?)
        };
        Ok(KeptBytes {
            place,
            resident: Arc::clone(&self.resident),
        })
    }
}

/// Why bytes of an existing file could not be copied: the error of a write names the new file.
#[derive(Debug, Error)]
#[error("the rows to copy could not be read from the published file: {0}")]
struct UnreadableSource(#[source] io::Error);

/// Where bytes are.
#[derive(Debug, Clone)]
enum Place {
    Memory(Bytes),
    File(Arc<Spill>, SpillPlace),
    /// In an existing file: the offset, and the number of bytes.
    Existing(Input, u64, u64),
}

/// A page with its header, or some CSV records.
#[derive(Debug)]
pub(crate) struct KeptBytes {
    place: Place,
    resident: Arc<AtomicUsize>,
}

impl KeptBytes {
    /// Bytes of an existing file. They are read into memory at once.
    pub(crate) fn existing(input: Input, offset: u64, bytes: u64) -> Self {
        Self {
            place: Place::Existing(input, offset, bytes),
            resident: Arc::default(),
        }
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        if let Place::Memory(bytes) = &self.place {
            self.resident.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
    }
}

/// Reads kept bytes one after the other.
#[derive(Debug)]
pub(crate) struct KeptBytesReader {
    rest: std::vec::IntoIter<Place>,
    current: Bytes,
}

impl KeptBytesReader {
    pub(crate) fn new<'p>(kept: impl Iterator<Item = &'p KeptBytes>) -> Self {
        let places: Vec<Place> = kept.map(|bytes| bytes.place.clone()).collect();
        Self {
            rest: places.into_iter(),
            current: Bytes::new(),
        }
    }
}

impl Read for KeptBytesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            self.current = match self.rest.next() {
                Some(Place::Memory(bytes)) => bytes,
                Some(Place::File(spill, region)) => spill.get(region)?,
                Some(Place::Existing(input, offset, bytes)) => {
                    let read = input.read_at(offset, bytes);
                    read.map_err(|error| io::Error::new(error.kind(), UnreadableSource(error)))?
                }
                None => return Ok(0),
            };
        }
        let length = buffer.len().min(self.current.len());
        self.current.split_to(length).reader().read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_their_order_and_an_error_names_the_published_file() {
        let store = BytesStore::with_bound(None, 4);
        let kept = ["in ", "a temporary", " file"].map(|part| store.keep(part.into()).unwrap());
        let input = || Input::Bytes(Bytes::from_static(b"published"));
        let existing = KeptBytes::existing(input(), 3, 6);
        let mut text = String::new();
        let all = kept.iter().chain([&existing]);
        KeptBytesReader::new(all).read_to_string(&mut text).unwrap();
        assert_eq!(text, "in a temporary filelished");
        let too_long = KeptBytes::existing(input(), 3, 7);
        let mut reader = KeptBytesReader::new([&too_long].into_iter());
        let error = reader.read_to_string(&mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("the published file"), "{error}");
    }
}
