//! Temporary files and their publication: write, hash, sync, rename, sync the directory.
//! Depends on nothing but the file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{OutputError, STATE_DIRECTORY, state_file_options};

/// Temporary files begin with this, so that readers' globs pass them over and a later run knows
/// them for its own.
pub(super) const TEMPORARY_PREFIX: &str = ".scale-export-tmp-";

/// Bytes that gather before they are hashed and written.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that will be published under `name`.
#[derive(Debug)]
pub(super) struct StagedFile {
    name: String,
    temporary: PathBuf,
    file: BufWriter<HashingFile>,
}

#[derive(Debug)]
struct HashingFile {
    file: File,
    sha256: Sha256,
    bytes: u64,
}

impl Write for HashingFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.sha256.update(data.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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
    temporary: PathBuf,
}

impl StagedFile {
    fn create(directory: &Path, name: &str) -> Result<Self, OutputError> {
        let temporary = directory.join(format!("{TEMPORARY_PREFIX}{}", name.replace('/', "-")));
        // What goes into the state is for its owner only, also under its temporary name.
        let is_state = Path::new(name).starts_with(STATE_DIRECTORY);
        let mut options = if is_state {
            state_file_options()
        } else {
            OpenOptions::new()
        };
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(OutputError::io("create", &temporary))?;
        let file = HashingFile {
            file,
            sha256: Sha256::new(),
            bytes: 0,
        };
        Ok(Self {
            name: name.to_owned(),
            temporary,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Writes what is buffered and syncs. Nothing is visible to readers yet.
    pub(super) fn finish(self) -> Result<Published, OutputError> {
        let Self {
            name,
            temporary,
            file,
        } = self;
        let HashingFile {
            file,
            sha256,
            bytes,
        } = file
            .into_inner()
            .map_err(|error| OutputError::io("write", &temporary)(error.into_error()))?;
        file.sync_all()
            .map_err(OutputError::io("sync", &temporary))?;
        Ok(Published {
            path: name,
            bytes,
            sha256: crate::hex::encode(&sha256.finalize()),
            temporary,
        })
    }
}

/// The files of one publication.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    published: bool,
}

impl Staging {
    /// Begins; removes temporary files that dead runs left.
    pub fn begin(directory: &Path) -> Result<Self, OutputError> {
        remove_temporary_files(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            published: false,
        })
    }

    /// Begins a file.
    pub(super) fn create(&self, name: &str) -> Result<StagedFile, OutputError> {
        StagedFile::create(&self.directory, name)
    }

    /// Writes a whole small file.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<Published, OutputError> {
        let mut file = self.create(name)?;
        file.write_all(content)
            .map_err(OutputError::io("write", &file.temporary))?;
        file.finish()
    }

    /// The commit point: renames all files, in order, the manifest last, and syncs the directory
    /// before and after it. Then removes `obsolete`, files of the previous export that this one does
    /// not have.
    pub fn publish(
        mut self,
        files: &[Published],
        manifest: &Published,
        obsolete: &[String],
    ) -> Result<(), OutputError> {
        for file in files {
            self.rename(file)?;
        }
        sync_directory(&self.directory.join(STATE_DIRECTORY))?;
        sync_directory(&self.directory)?;
        self.rename(manifest)?;
        sync_directory(&self.directory)?;
        self.published = true;
        for name in obsolete {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(OutputError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        sync_directory(&self.directory)
    }

    fn rename(&self, file: &Published) -> Result<(), OutputError> {
        let target = self.directory.join(&file.path);
        fs::rename(&file.temporary, &target).map_err(OutputError::io("publish", &target))
    }
}

impl Drop for Staging {
    /// A run that fails leaves no temporary files behind; after a kill the next run removes them.
    fn drop(&mut self) {
        if !self.published {
            let _ = remove_temporary_files(&self.directory);
        }
    }
}

fn remove_temporary_files(directory: &Path) -> Result<(), OutputError> {
    let entries = fs::read_dir(directory).map_err(OutputError::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(OutputError::io("list", directory))?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(TEMPORARY_PREFIX)
        {
            fs::remove_file(entry.path()).map_err(OutputError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Makes renames in a directory survive a power loss.
pub(super) fn sync_directory(directory: &Path) -> Result<(), OutputError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(OutputError::io("sync", directory))
}
