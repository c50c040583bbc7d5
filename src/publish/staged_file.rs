//! Files under temporary names: written, hashed on the way, synced. Depends on `disk` and `publication`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::output_error::OutputError;
use crate::publish::commit;
use crate::publish::output_dir::{OutputDirectory, STATE_DIRECTORY};
use crate::state::lock::Lock;

/// Temporary files begin with this, so that readers' globs pass them over and a later run knows
/// them for its own.
pub(crate) const TEMPORARY_PREFIX: &str = ".scale-export-tmp-";

/// Bytes that gather before they are hashed and written.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that will be published under `name`.
#[derive(Debug)]
pub(crate) struct StagedFile {
    name: String,
    temporary: PathBuf,
    file: BufWriter<HashingFile>,
}

#[derive(Debug)]
struct HashingFile {
    file: File,
    path: PathBuf,
    sha256: Sha256,
    bytes: u64,
}

impl Write for HashingFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        durable_fs::write_all_at(&self.file, &self.path, data, self.bytes)?;
        self.sha256.update(data);
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for StagedFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is complete and synced under its temporary name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its path in the output directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl StagedFile {
    fn create(directory: &Path, name: &str) -> Result<Self, OutputError> {
        let temporary = temporary(directory, name);
        // What goes into the state is for its owner only, also under its temporary name.
        let access = if Path::new(name).starts_with(STATE_DIRECTORY) {
            Access::Owner
        } else {
            Access::Everyone
        };
        let file = durable_fs::create(&temporary, access)
            .map_err(OutputError::io("create", &temporary))?;
        let file = HashingFile {
            file,
            path: temporary.clone(),
            sha256: Sha256::new(),
            bytes: 0,
        };
        Ok(Self {
            name: name.to_owned(),
            temporary,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Writes what is buffered and syncs. Nothing is visible to readers yet.
    pub(crate) fn finish(self) -> Result<Published, OutputError> {
        let Self {
            name,
            temporary,
            file,
        } = self;
        let HashingFile {
            file,
            sha256,
            bytes,
            ..
        } = file
            .into_inner()
            .map_err(|error| OutputError::io("write", &temporary)(error.into_error()))?;
        durable_fs::sync(&file, &temporary).map_err(OutputError::io("sync", &temporary))?;
        Ok(Published {
            path: name,
            bytes,
            sha256: crate::hex::encode(&sha256.finalize()),
        })
    }
}

/// Where a file of an output directory stands before it is published.
fn temporary(directory: &Path, name: &str) -> PathBuf {
    directory.join(temporary_name(name))
}

pub(crate) fn temporary_name(name: &str) -> String {
    format!("{TEMPORARY_PREFIX}{}", name.replace('/', "-"))
}

/// The files of one publication.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    lock: Arc<Lock>,
}

impl Staging {
    /// Begins, in a directory without temporary files.
    pub fn begin(directory: &OutputDirectory) -> Self {
        Self {
            directory: directory.path().to_owned(),
            lock: Arc::clone(directory.lock()),
        }
    }

    /// The output directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes under temporary names in a directory.
    pub fn bytes(directory: &Path) -> u64 {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let temporary = entries.filter(|entry| is_temporary(&entry.file_name()));
        let sizes = temporary.filter_map(|entry| Some(entry.metadata().ok()?.len()));
        sizes.sum()
    }

    /// Where a file that is written by others stands until it is published under `name`.
    pub fn place(&self, name: &str) -> PathBuf {
        temporary(&self.directory, name)
    }

    /// Writes a small file that is part of no publication, at once and as a whole.
    pub fn replace(
        directory: &OutputDirectory,
        name: &str,
        content: &[u8],
    ) -> Result<(), OutputError> {
        directory.lock().refuse_lost()?;
        let mut file = StagedFile::create(directory.path(), name)?;
        let temporary = file.temporary.clone();
        file.write_all(content)
            .map_err(OutputError::io("write", &temporary))?;
        file.finish()?;
        let path = directory.path().join(name);
        durable_fs::rename(&temporary, &path).map_err(OutputError::io("write", &path))
    }

    /// Begins a file.
    pub(crate) fn create(&self, name: &str) -> Result<StagedFile, OutputError> {
        StagedFile::create(&self.directory, name)
    }

    /// Writes a whole small file.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<Published, OutputError> {
        self.write_with(name, |file| file.write_all(content))
    }

    /// Writes a whole file, which need not be in memory as one; it is buffered.
    pub fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Published, OutputError> {
        let mut file = self.create(name)?;
        write(&mut file).map_err(OutputError::io("write", &file.temporary))?;
        file.finish()
    }

    /// Removes a file that was written under its temporary name and need not be published.
    pub fn discard(&self, name: &str) -> Result<(), OutputError> {
        let path = self.place(name);
        durable_fs::remove(&path).map_err(OutputError::io("remove", &path))
    }

    /// The commit point: all files, complete and synced, take their names, the manifest last; or none
    /// does. Then removes `obsolete`, files of the previous export that this one does not have.
    pub fn publish<'n>(
        self,
        names: impl IntoIterator<Item = &'n str>,
        manifest: &'n str,
        obsolete: &[String],
    ) -> Result<(), OutputError> {
        self.lock.refuse_lost()?;
        commit::commit(&self.directory, names, manifest, obsolete)
    }
}

impl Drop for Staging {
    /// A run that fails leaves no temporary files behind, but for those that the next run publishes first
    /// of all; after a kill the next run removes them.
    fn drop(&mut self) {
        // Without the lock, they may be another run's.
        if self.lock.is_in_place() && !commit::is_pending(&self.directory) {
            let _ = remove_temporary_files(&self.directory);
        }
    }
}

fn is_temporary(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY_PREFIX)
}

/// Removes what dead runs left.
pub(crate) fn remove_temporary_files(directory: &Path) -> Result<(), OutputError> {
    let entries = fs::read_dir(directory).map_err(OutputError::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(OutputError::io("list", directory))?;
        // This tool makes no directory of such a name.
        if is_temporary(&entry.file_name()) && !entry.path().is_dir() {
            let path = entry.path();
            durable_fs::remove(&path).map_err(OutputError::io("remove", &path))?;
        }
    }
    Ok(())
}
