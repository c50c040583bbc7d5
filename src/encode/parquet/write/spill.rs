//! What waits for the end of a row group and has no room in memory: a file for each table.

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

/// Bytes of small things that are written to the file at once.
const WRITTEN_BYTES: usize = 64 << 10;

/// Part of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region {
    offset: u64,
    bytes: usize,
}

/// A file for one row group, which begins when it is needed.
#[derive(Debug)]
pub(crate) struct Spill {
    path: Option<PathBuf>,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

impl Spill {
    /// Nothing yet. The file will have a name for a moment, at a path where no file is; without a path, it is where the
    /// system has its temporary files.
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

    /// Reads bytes that were written.
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
        // There may be room for more than was asked for.
        bytes.truncate(region.bytes);
        Ok(bytes.into())
    }

    /// Writes small things one behind the other; nothing else may be written until that is finished.
    pub(crate) fn append(&self) -> Appender<'_> {
        Appender {
            spill: self,
            begin: self.end.load(Ordering::Relaxed),
            buffer: Vec::with_capacity(WRITTEN_BYTES),
        }
    }

    /// Gives the space back: the row group is written.
    pub(crate) fn clear(&self) {
        *threads::lock(&self.file) = None;
        self.end.store(0, Ordering::Relaxed);
    }

    /// The file, which has no name: whatever happens to the process, it is gone with it.
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

/// Small things on their way to the file, many with one call.
#[derive(Debug)]
pub(crate) struct Appender<'s> {
    spill: &'s Spill,
    /// Where in the file the buffer's bytes will stand.
    begin: u64,
    buffer: Vec<u8>,
}

impl Appender<'_> {
    /// Where in the file the next byte will stand.
    pub(crate) fn position(&self) -> u64 {
        self.begin + self.buffer.len() as u64
    }

    /// What was written from a position on.
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
    fn what_is_put_and_appended_comes_back() {
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
