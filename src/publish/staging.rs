//! The files of one publication, under temporary names until the commit.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable_fs;
use crate::durable_fs::{Access, FileRef, StagedFile, is_temporary, temporary_path};
use crate::output_error::OutputError;
use crate::publish::commit;
use crate::state::lock::Lock;
use crate::state::paths::is_in_state;

/// The users who may read a file of an export. Files of the state are for their owner only, also under their temporary
/// names.
pub(crate) fn access_of(name: &str) -> Access {
    if is_in_state(Path::new(name)) {
        Access::Owner
    } else {
        Access::Everyone
    }
}

/// The files of one publication.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    lock: Arc<Lock>,
}

impl Staging {
    /// Starts a publication in a directory without temporary files.
    pub(crate) fn begin(directory: &Path, lock: &Arc<Lock>) -> Self {
        Self {
            directory: directory.to_owned(),
            lock: Arc::clone(lock),
        }
    }

    /// The output directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes of all temporary files in a directory.
    pub fn bytes(directory: &Path) -> u64 {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let temporary = entries.filter(|entry| is_temporary(&entry.file_name()));
        let sizes = temporary.filter_map(|entry| Some(entry.metadata().ok()?.len()));
        sizes.sum()
    }

    /// The temporary path of `name`, for a file that other code writes.
    pub fn place(&self, name: &str) -> PathBuf {
        temporary_path(&self.directory, name)
    }

    /// Creates a temporary file.
    pub(crate) fn create(&self, name: &str) -> Result<StagedFile, OutputError> {
        StagedFile::create(&self.directory, name, access_of(name))
    }

    /// Writes a small file at once.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<FileRef, OutputError> {
        self.write_with(name, |file| file.write_all(content))
    }

    /// Writes a file with a closure. Writes are buffered, so a large file need not be in memory.
    pub fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<FileRef, OutputError> {
        let mut file = self.create(name)?;
        let path = file.path().to_owned();
        write(&mut file).map_err(OutputError::io("write", &path))?;
        file.finish()
    }

    /// Gives a complete file another name to be published under.
    pub(crate) fn rename(&self, name: &str, new_name: &str) -> Result<(), OutputError> {
        let path = self.place(name);
        durable_fs::rename(&path, &self.place(new_name)).map_err(OutputError::io("rename", &path))
    }

    /// Removes a temporary file that is not needed.
    pub fn discard(&self, name: &str) -> Result<(), OutputError> {
        let path = self.place(name);
        durable_fs::remove(&path).map_err(OutputError::io("remove", &path))
    }

    /// Commits: all files, complete and synced, take their names, the manifest last, or none does. Then removes
    /// `obsolete`, files of the previous export that this one does not have. Fails if the lock was lost.
    pub fn publish<'n>(
        self,
        names: impl IntoIterator<Item = &'n str>,
        manifest: &'n str,
        obsolete: &[String],
    ) -> Result<(), OutputError> {
        // Just before the first rename: the lock file may have been replaced while the tables were written.
        self.lock.refuse_lost()?;
        commit::commit(&self.directory, names, manifest, obsolete)
    }
}
