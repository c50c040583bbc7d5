//! A temporary file for rows and pages that exceed the memory bound of their row group.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use crate::durable_fs::Access;
use crate::{durable_fs, threads};

/// Bytes of small pieces that are written with one call.
const WRITTEN_BYTES: usize = 64 << 10;

/// A part of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region {
    offset: u64,
    bytes: usize,
}

/// The temporary file of one table, for one row group at a time. It is created when it is needed.
#[derive(Debug)]
pub(crate) struct Spill {
    path: Option<PathBuf>,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

impl Spill {
    /// A spill without a file. The file will have a name for a moment, at a `path` where no file exists, or in the
    /// directory of temporary files if there is no path.
    pub(crate) fn new(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            file: Mutex::new(None),
            end: AtomicU64::new(0),
        }
    }

    /// Writes bytes to the file.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<Region> {
        let file = self.file()?;
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let path = self
            .path
            .as_deref()
            .unwrap_or(Path::new("a temporary file"));
        durable_fs::write_all_at(&file, path, bytes, offset)?;
        Ok(Region {
            offset,
            bytes: bytes.len(),
        })
    }

    /// Reads a part of the file.
    pub(crate) fn get(&self, region: Region) -> io::Result<Bytes> {
        let file = self.file()?;
        let mut bytes = Vec::with_capacity(region.bytes);
        while bytes.len() < region.bytes {
            let offset = region.offset + bytes.len() as u64;
            match pread(&file, spare_capacity(&mut bytes), offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The buffer may be longer than requested.
        bytes.truncate(region.bytes);
        Ok(bytes.into())
    }

    /// Starts to write small pieces one after the other. Nothing else may be written until the appender is finished.
    pub(crate) fn append(&self) -> Appender<'_> {
        Appender {
            spill: self,
            begin: self.end.load(Ordering::Relaxed),
            buffer: Vec::with_capacity(WRITTEN_BYTES),
        }
    }

    /// Frees the disk space after the row group is written.
    pub(crate) fn clear(&self) {
        *threads::lock(&self.file) = None;
        self.end.store(0, Ordering::Relaxed);
    }

    /// The file. It has no name, so that it disappears with the process, however that ends.
    fn file(&self) -> io::Result<Arc<File>> {
        let mut file = threads::lock(&self.file);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let created = match &self.path {
            Some(path) => {
                let created = durable_fs::create(path, Access::Owner)?;
                durable_fs::remove(path)?;
                created
            }
            None => tempfile::tempfile()?,
        };
        Ok(Arc::clone(file.insert(Arc::new(created))))
    }
}

/// Collects small pieces and writes many of them with one call.
#[derive(Debug)]
pub(crate) struct Appender<'s> {
    spill: &'s Spill,
    /// Offset of the buffer in the file.
    begin: u64,
    buffer: Vec<u8>,
}

impl Appender<'_> {
    /// Offset of the next byte in the file.
    pub(crate) fn position(&self) -> u64 {
        self.begin + self.buffer.len() as u64
    }

    /// The part that was written since an offset.
    pub(crate) fn region_from(&self, offset: u64) -> Region {
        Region {
            offset,
            bytes: usize::try_from(self.position() - offset).unwrap_or(usize::MAX),
        }
    }
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > WRITTEN_BYTES {
            self.flush()?;
        }
        if bytes.len() < WRITTEN_BYTES {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.spill.put(bytes)?;
            self.begin += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.spill.put(&self.buffer)?;
            self.begin += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_pieces_are_read_back() {
        let spill = Spill::new(None);
        let first = spill.put(b"first").unwrap();
        let mut file = spill.append();
        let mut regions = Vec::new();
        let sizes = [0, 1, WRITTEN_BYTES - 2, WRITTEN_BYTES, 3 * WRITTEN_BYTES, 7];
        for (number, size) in (0..).zip(sizes) {
            let begin = file.position();
            file.write_all(&vec![number; size]).unwrap();
            regions.push(file.region_from(begin));
        }
        file.flush().unwrap();
        let last = spill.put(b"last").unwrap();
        assert_eq!(spill.get(first).unwrap(), "first");
        assert_eq!(spill.get(last).unwrap(), "last");
        for ((number, size), region) in (0..).zip(sizes).zip(regions) {
            assert!(spill.get(region).unwrap() == vec![number; size]);
        }
        spill.clear();
        assert!(spill.get(first).is_err());
    }
}
