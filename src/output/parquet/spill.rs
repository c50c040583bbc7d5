//! What waits for the end of a row group and has no room in memory: a file for each table.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::disk::{self, Access};

/// Part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    offset: u64,
    bytes: usize,
}

/// A file for one row group, which begins when it is needed.
#[derive(Debug)]
pub(super) struct Spill {
    path: Option<PathBuf>,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

impl Spill {
    /// Nothing yet. The file will have a name for a moment, at a path where no file is; without a path, it is where the
    /// system has its temporary files.
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            file: Mutex::new(None),
            end: AtomicU64::new(0),
        }
    }

    /// Writes bytes to the file.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<Region> {
        let file = self.file()?;
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let path = self
            .path
            .as_deref()
            .unwrap_or(Path::new("a temporary file"));
        disk::write_all_at(&file, path, bytes, offset)?;
        Ok(Region {
            offset,
            bytes: bytes.len(),
        })
    }

    /// Reads bytes that were written.
    pub(super) fn get(&self, region: Region) -> io::Result<Bytes> {
        let mut bytes = vec![0; region.bytes];
        self.file()?.read_exact_at(&mut bytes, region.offset)?;
        Ok(bytes.into())
    }

    /// Gives the space back: the row group is written.
    pub(super) fn clear(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.end.store(0, Ordering::Relaxed);
    }

    /// The file, which has no name: whatever happens to the process, it is gone with it.
    fn file(&self) -> io::Result<Arc<File>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let created = match &self.path {
            Some(path) => {
                let created = disk::create(path, Access::Owner)?;
                disk::remove(path)?;
                created
            }
            None => tempfile::tempfile()?,
        };
        Ok(Arc::clone(file.insert(Arc::new(created))))
    }
}
