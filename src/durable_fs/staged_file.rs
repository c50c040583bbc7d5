//! Files under temporary names: hashed while they are written, then synced.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::durable_fs::access::Access;
use crate::durable_fs::steps;
use crate::hex;
use crate::output_error::OutputError;

/// Prefix of temporary files. Globs of readers skip hidden files, and the next run recognizes the prefix and removes
/// them.
pub(crate) const TEMPORARY_PREFIX: &str = ".scale-export-tmp-";

/// Bytes that are buffered before they are hashed and written.
const BUFFER_BYTES: usize = 64 << 10;

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
        steps::write_all_at(&self.file, &self.path, data, self.bytes)?;
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

/// A complete file of an export: one type from the writer to the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Path in the output directory.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 checksum in lower-case hexadecimal.
    pub sha256: String,
}

impl StagedFile {
    /// Creates the temporary file of `name` in `directory`.
    pub(crate) fn create(
        directory: &Path,
        name: &str,
        access: Access,
    ) -> Result<Self, OutputError> {
        let temporary = temporary_path(directory, name);
        let file =
            steps::create(&temporary, access).map_err(OutputError::io("create", &temporary))?;
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

    /// Writes the buffer and syncs. The file keeps its temporary name until the commit.
    pub(crate) fn finish(self) -> Result<FileRef, OutputError> {
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
        steps::sync(&file, &temporary).map_err(OutputError::io("sync", &temporary))?;
        Ok(FileRef {
            path: name,
            bytes,
            sha256: hex::encode(&sha256.finalize()),
        })
    }
}

/// The temporary path of a file of an output directory.
pub(crate) fn temporary_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(temporary_name(name))
}

pub(crate) fn temporary_name(name: &str) -> String {
    // Temporary files of the state are in the output directory too, where the next run removes all of them.
    format!("{TEMPORARY_PREFIX}{}", name.replace('/', "-"))
}

pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY_PREFIX)
}

/// Removes temporary files of runs that were killed.
pub(crate) fn remove_temporary_files(directory: &Path) -> Result<(), OutputError> {
    let entries = fs::read_dir(directory).map_err(OutputError::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(OutputError::io("list", directory))?;
        // scale-export never creates a directory with this prefix, so a directory belongs to the user.
        if is_temporary(&entry.file_name()) && !entry.path().is_dir() {
            let path = entry.path();
            steps::remove(&path).map_err(OutputError::io("remove", &path))?;
        }
    }
    Ok(())
}
