//! The output directory: whether it may be used, and who uses it now. Depends on `manifest`.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::manifest::{FILE_NAME as MANIFEST, Manifest, earlier_files};
use super::publication::{Recovered, recover};
use super::writer::Format;
use super::{OutputError, remove_temporary_files};
use crate::disk::{self, Access};
use crate::tables::definition::TABLES;

/// Where state is kept, inside the output directory.
pub const STATE_DIRECTORY: &str = ".scale-export";

/// An output directory that is ours to write to.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    earlier: BTreeSet<String>,
    recovered: Option<Recovered>,
    _lock: Lock,
}

impl OutputDirectory {
    /// Creates the directory if need be, takes its lock, and looks at what is there.
    ///
    /// Refused: a directory with files that this tool did not write, unless `force` or they are
    /// `welcome`. Names that begin with a dot are nobody's business.
    pub fn open(path: &Path, force: bool, welcome: &[String]) -> Result<Self, OutputError> {
        disk::create_directories(path).map_err(OutputError::io("create", path))?;
        if !force {
            refuse_foreign_files(path, welcome)?;
        }
        let state = path.join(STATE_DIRECTORY);
        disk::create_state_directory(&state).map_err(OutputError::io("create", &state))?;
        refuse_other_file_system(path, &state)?;
        protect(&state)?;
        let lock = Lock::take(path, &state)?;
        let recovered = recover(path)?;
        remove_temporary_files(path)?;
        let earlier = earlier_files(path)?.unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            earlier,
            recovered,
            _lock: lock,
        })
    }

    /// Was an earlier publication cut short, and how was it brought to its end?
    pub fn recovered(&self) -> Option<Recovered> {
        self.recovered
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where state is kept.
    pub fn state(&self) -> PathBuf {
        self.path.join(STATE_DIRECTORY)
    }

    /// What is published, if this tool can read it.
    pub fn manifest(&self) -> Option<Manifest> {
        Manifest::read(&self.path).ok()??.ok()
    }

    /// Is there a complete export?
    pub fn has_export(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Files of the previous export that a new one does not have.
    pub fn obsolete(&self, published: &BTreeSet<String>) -> Vec<String> {
        self.earlier.difference(published).cloned().collect()
    }
}

/// Files take their names by renames, which cannot go from one file system to another.
fn refuse_other_file_system(path: &Path, state: &Path) -> Result<(), OutputError> {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    let (Ok(own), Ok(other)) = (device(path), device(state)) else {
        return Ok(());
    };
    if own == other {
        return Ok(());
    }
    Err(OutputError::io("use", state)(
        ErrorKind::CrossesDevices.into(),
    ))
}

/// Closes the state and all files in it to others.
fn protect(state: &Path) -> Result<(), OutputError> {
    disk::protect(state).map_err(OutputError::io("protect", state))?;
    let entries = fs::read_dir(state).map_err(OutputError::io("list", state))?;
    for entry in entries {
        let path = entry.map_err(OutputError::io("list", state))?.path();
        if path.exists() {
            disk::protect(&path).map_err(OutputError::io("protect", &path))?;
        }
    }
    Ok(())
}

fn refuse_foreign_files(path: &Path, welcome: &[String]) -> Result<(), OutputError> {
    let earlier = earlier_files(path).ok().flatten().unwrap_or_default();
    let mut foreign = Vec::new();
    for entry in fs::read_dir(path).map_err(OutputError::io("list", path))? {
        let entry = entry.map_err(OutputError::io("list", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_known = name.starts_with('.')
            || earlier.contains(&name)
            || welcome.contains(&name)
            || (is_ours(path, &name) && entry.path().is_file());
        if !is_known {
            foreign.push(name);
        }
    }
    match foreign.into_iter().min() {
        Some(name) => Err(OutputError::Foreign {
            path: path.to_owned(),
            name,
        }),
        None => Ok(()),
    }
}

/// Is this a name that this tool gives, in a directory where it has been? A kill between the renames
/// of a first publication leaves such files and no manifest yet.
fn is_ours(path: &Path, name: &str) -> bool {
    path.join(STATE_DIRECTORY).is_dir() && is_published_name(name)
}

/// Is this a name that this tool gives to a published file?
pub fn is_published_name(name: &str) -> bool {
    let formats = [Format::Parquet, Format::Csv];
    name == MANIFEST
        || super::load_sql::FILE_NAME == name
        || name == crate::output::FAILURES
        || TABLES.iter().any(|table| {
            formats
                .iter()
                .any(|format| format.file_name(table.name) == name)
        })
}

/// Its name in the state directory.
const FILE_NAME: &str = "lock";

/// Held by the process: it ends with it, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes part in a lock for reading: nobody writes while it is held. Nothing when nobody ever wrote
    /// there.
    pub fn share(directory: &Path) -> Result<Option<Self>, OutputError> {
        let path = directory.join(STATE_DIRECTORY).join(FILE_NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            // The state is for its owner only; what others may read there is what they need no lock for.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(OutputError::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(locked(directory, file)),
            Err(TryLockError::Error(source)) => Err(OutputError::Lock { path, source }),
        }
    }

    fn take(directory: &Path, state: &Path) -> Result<Self, OutputError> {
        let path = state.join(FILE_NAME);
        let file = disk::open(&path, Access::Owner).map_err(OutputError::io("open", &path))?;
        match disk::lock(&file, &path) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(directory, file)),
            Err(TryLockError::Error(source)) => return Err(OutputError::Lock { path, source }),
        }
        let holder = format!(
            "pid {} on {}, since {}\n",
            std::process::id(),
            rustix::system::uname().nodename().to_string_lossy(),
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        );
        // The words of a longer line must not be left behind it.
        disk::set_length(&file, &path, 0)
            .and_then(|()| disk::write_all_at(&file, &path, holder.as_bytes(), 0))
            .map_err(OutputError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Says who holds the lock, as far as the file tells.
fn locked(directory: &Path, mut file: File) -> OutputError {
    let mut holder = String::new();
    if file.try_lock_shared().is_ok() {
        // Someone who only reads writes no name; the one that stands there is of an earlier run.
        "a reader, such as verify".clone_into(&mut holder);
    } else {
        // Whoever holds it may be just about to write this.
        let _ = file.read_to_string(&mut holder);
    }
    let holder = Some(holder.trim()).filter(|holder| !holder.is_empty());
    OutputError::Locked {
        path: directory.to_owned(),
        holder: holder.unwrap_or("unknown").to_owned(),
    }
}
