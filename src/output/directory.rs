//! The output directory: whether it may be used, and who uses it now. Depends on `manifest`.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::manifest::{Manifest, earlier_files};
use super::publication::{Recovered, is_pending, recover};
use super::writer::{Format, Selection};
use super::{FAILURES, IDS, LOAD_SQL, MANIFEST, OutputError, README, remove_temporary_files};
use crate::disk::{self, Access};
use crate::tables::definition::TABLES;

/// Where state is kept, inside the output directory.
pub const STATE_DIRECTORY: &str = ".scale-export";

/// An output directory that is ours to write to.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    earlier: BTreeSet<String>,
    /// Of the names that an export can do without, those that a user's own file has.
    taken: Vec<&'static str>,
    recovered: Option<Recovered>,
    _lock: Lock,
}

impl OutputDirectory {
    /// Creates the directory if need be, takes its lock, and looks at what is there.
    ///
    /// A file is ours when the manifest names it. Any other file under a name that this run publishes is an error,
    /// unless `force`; except for `load.sql` and `README.md`, in whose place none is written. Files under other names
    /// are left alone.
    pub fn open(path: &Path, selection: Selection<'_>, force: bool) -> Result<Self, OutputError> {
        disk::create_directories(path).map_err(OutputError::io("create", path))?;
        // After a crash within the renames of a first publication, names are there that no manifest has yet.
        if !force && !is_pending(path) {
            refuse_taken_names(path, selection)?;
        }
        let state = path.join(STATE_DIRECTORY);
        disk::create_state_directory(&state).map_err(OutputError::io("create", &state))?;
        refuse_other_file_system(path, &state)?;
        protect(&state)?;
        let lock = Lock::take(path, &state)?;
        let recovered = recover(path)?;
        remove_temporary_files(path)?;
        let earlier = earlier_files(path)?;
        let is_ours = |name: &str| match &earlier {
            Some(earlier) => earlier.contains(name),
            None => is_generated(path, name),
        };
        let is_taken = |name: &&str| !force && exists(path, name) && !is_ours(name);
        Ok(Self {
            path: path.to_owned(),
            taken: DISPENSABLE.into_iter().filter(is_taken).collect(),
            earlier: earlier.unwrap_or_default(),
            recovered,
            _lock: lock,
        })
    }

    /// Whether a user's own file has this name, and is left alone.
    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&name)
    }

    /// The names under which nothing is published, since a user's own files have them.
    pub fn taken(&self) -> &[&'static str] {
        &self.taken
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

/// Names that an export can do without.
const DISPENSABLE: [&str; 2] = [LOAD_SQL, README];

/// Whether anything has this name, a broken link included.
fn exists(directory: &Path, name: &str) -> bool {
    directory.join(name).symlink_metadata().is_ok()
}

fn refuse_taken_names(path: &Path, selection: Selection<'_>) -> Result<(), OutputError> {
    let was_published = path.join(IDS).is_file();
    let ours = match earlier_files(path) {
        // Without the state of a publication, a manifest that makes no sense is a file of the user's.
        Err(_) if !was_published => BTreeSet::new(),
        // With it, a manifest that is not there was lost, and the files under our names are ours.
        Ok(None) if was_published => return Ok(()),
        Ok(None) => BTreeSet::new(),
        // The manifest names the other files, not itself.
        ours => ours?
            .into_iter()
            .flatten()
            .chain([MANIFEST.to_owned()])
            .collect(),
    };
    let tables = selection.tables();
    let tables = tables.map(|table| selection.format.file_name(table.name));
    let mut names = tables.chain([FAILURES, MANIFEST].map(str::to_owned));
    let taken = names.find(|name| exists(path, name) && !ours.contains(name));
    taken.map_or(Ok(()), |name| {
        Err(OutputError::Taken {
            path: path.to_owned(),
            name,
        })
    })
}

/// Whether a file is one that scale-export writes, by its content. That decides where no manifest does.
fn is_generated(directory: &Path, name: &str) -> bool {
    /// Bytes within which it says so.
    const BEGINNING: u64 = 16 << 10;
    let mark = match name {
        LOAD_SQL => super::load_sql::MARK,
        _ => super::export_readme::MARK,
    };
    let mut beginning = Vec::new();
    let read = File::open(directory.join(name))
        .and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
    read.is_ok() && memmem::find(&beginning, mark.as_bytes()).is_some()
}

/// Is this a name that this tool gives to a published file?
pub fn is_published_name(name: &str) -> bool {
    let formats = [Format::Parquet, Format::Csv];
    name == MANIFEST
        || DISPENSABLE.contains(&name)
        || name == FAILURES
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
