//! A temporary file for encoded rows that exceed their memory bound.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use crate::durable_fs::Access;
use crate::{durable_fs, threads};

/// A part of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpillPlace {
    offset: u64,
    bytes: usize,
}

/// The temporary file. It is created when it is needed.
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
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<SpillPlace> {
        let file = self.file()?;
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let path = self
            .path
            .as_deref()
            .unwrap_or(Path::new("a temporary file"));
        durable_fs::write_all_at(&file, path, bytes, offset)?;
        Ok(SpillPlace {
            offset,
            bytes: bytes.len(),
        })
    }

    /// Reads a part of the file.
    pub(crate) fn get(&self, region: SpillPlace) -> io::Result<Bytes> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_pieces_are_read_back() {
        let spill = Spill::new(None);
        let pieces = [0, 1, 100_000, 7].map(|size| vec![7; size]);
        let regions = pieces.clone().map(|piece| spill.put(&piece).unwrap());
        for (region, piece) in regions.into_iter().zip(pieces).rev() {
            assert!(spill.get(region).unwrap() == piece);
        }
        let end = SpillPlace {
            offset: 100_000,
            bytes: 9,
        };
        assert!(spill.get(end).is_err());
    }
}
