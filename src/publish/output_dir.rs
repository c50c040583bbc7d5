//! The output directory: whether it may be used, and who uses it now. Depends on `manifest`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;

use crate::durable_fs;
use crate::durable_fs::remove_temporary_files;
use crate::encode::format::Selection;
use crate::output_error::OutputError;
use crate::publish::checksum::has_sha256;
use crate::publish::commit::{Recovered, is_pending, recover};
use crate::publish::earlier_files::{EarlierExport, earlier_files};
use crate::publish::file_names::{DISPENSABLE, FAILURES, LOAD_SQL, MANIFEST};
use crate::publish::manifest::Manifest;
use crate::publish::staging::Staging;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// An output directory that is ours to write to.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    state: StateDir,
    /// Files that the previous export published, with their checksums.
    earlier: BTreeMap<String, String>,
    /// Of the names that an export can do without, those that a user's own file has.
    taken: Vec<&'static str>,
    recovered: Option<Recovered>,
    /// Why the manifest makes no sense, if it is there and makes none.
    damage: Option<String>,
    lock: Arc<Lock>,
}

impl OutputDirectory {
    /// Creates the directory if need be, takes its lock, and looks at what is there.
    ///
    /// A file is ours when the manifest names it; where the state is gone, its checksum has to be right as well. Any
    /// other file under a name that this run publishes is an error, unless `force`. The exceptions are `load.sql` and
    /// `README.md`: they are ours only while their checksums are right, and what is not ours is left alone, like files
    /// under other names.
    pub fn open(path: &Path, selection: Selection, force: bool) -> Result<Self, OutputError> {
        durable_fs::create_directories(path).map_err(OutputError::io("create", path))?;
        // After a crash within the renames of a first publication, names are there that no manifest has yet.
        if !force && !is_pending(path) {
            refuse_taken_names(path, selection)?;
        }
        let state = StateDir::of_output(path);
        durable_fs::create_state_directory(state.path())
            .map_err(OutputError::io("create", state.path()))?;
        each_of_state(state.path(), "protect", durable_fs::protect)?;
        refuse_other_file_system(path, state.path())?;
        let lock = Arc::new(Lock::take(path, &state)?);
        let recovered = recover(path)?;
        remove_temporary_files(path)?;
        let (earlier, damage) = match earlier_files(path)? {
            EarlierExport::Nothing => (None, None),
            EarlierExport::Files { files, damage } => (Some(files), damage),
            EarlierExport::Damaged(cause) => (None, Some(cause)),
        };
        let is_ours = |name: &str| match &earlier {
            Some(earlier) => earlier
                .get(name)
                .is_some_and(|sha256| has_sha256(path, name, sha256)),
            None => is_generated(path, name),
        };
        let is_taken = |name: &&str| !force && exists(path, name) && !is_ours(name);
        Ok(Self {
            path: path.to_owned(),
            state,
            taken: DISPENSABLE.into_iter().filter(is_taken).collect(),
            earlier: earlier.unwrap_or_default(),
            recovered,
            damage,
            lock,
        })
    }

    /// Refuses what [`open`](Self::open) refuses, without writing anything: names of others' files, a state that is not
    /// ours, a manifest of a newer version, a place that cannot be written to, and a run that is at work.
    pub fn check(path: &Path, selection: Selection, force: bool) -> Result<(), OutputError> {
        let state = StateDir::of_output(path);
        for directory in [path, state.path()] {
            refuse_unwritable(directory)?;
        }
        if !force && !is_pending(path) {
            refuse_taken_names(path, selection)?;
        }
        if state.path().symlink_metadata().is_ok() {
            each_of_state(state.path(), "use", durable_fs::refuse_foreign)?;
            refuse_other_file_system(path, state.path())?;
        }
        earlier_files(path)?;
        Lock::refuse_held(path, &state)
    }

    /// Whether a user's own file has this name, and is left alone.
    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&name)
    }

    /// Whether an export has all that it can have in this directory: nothing has become possible since.
    pub fn is_complete(&self, manifest: &Manifest) -> bool {
        let paths = manifest.paths();
        let mut names = DISPENSABLE.into_iter();
        names.all(|name| self.is_taken(name) || paths.contains(name))
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
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// The lock that is held.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Why the manifest that is there makes no sense, if it makes none. The next publication replaces it.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Begins a publication.
    pub fn stage(&self) -> Staging {
        Staging::begin(&self.path, &self.lock)
    }

    /// Removes temporary files that a run has left, except those that the next run publishes first of all.
    pub fn remove_temporary_files(&self) {
        // Without the lock, they may be another run's.
        if self.lock.is_in_place() && !is_pending(&self.path) {
            // The next run removes what cannot be removed now.
            let _ = remove_temporary_files(&self.path);
        }
    }

    /// What is published, if this tool can read it.
    pub fn manifest(&self) -> Option<Manifest> {
        if self.damage.is_some() {
            return None;
        }
        Manifest::sound(&self.path)
    }

    /// Is there a complete export?
    pub fn has_export(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Whether this file was published by the previous export, and still has its content.
    pub fn has(&self, name: &str, sha256: &str) -> bool {
        self.earlier
            .get(name)
            .is_some_and(|earlier| earlier == sha256)
            && has_sha256(&self.path, name, sha256)
    }

    /// Files of the previous export that a new one does not have.
    pub fn obsolete(&self, published: &BTreeSet<String>) -> Vec<String> {
        let earlier = self.earlier.keys();
        earlier
            .filter(|name| !published.contains(*name) && !self.is_taken(name))
            .cloned()
            .collect()
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

/// Refuses a directory in which nothing can be written; one that is not there is made in the nearest one that is.
fn refuse_unwritable(directory: &Path) -> Result<(), OutputError> {
    let is_there = |above: &&Path| above.symlink_metadata().is_ok();
    let nearest = directory.ancestors().find(is_there);
    // A relative path stands in the current directory.
    let nearest = nearest.unwrap_or(Path::new("."));
    durable_fs::refuse_unwritable(nearest).map_err(OutputError::io("write to", directory))
}

/// Does something with the state directory and everything in it; what others have put there is refused.
fn each_of_state(
    state: &Path,
    operation: &'static str,
    act: fn(&Path) -> std::io::Result<()>,
) -> Result<(), OutputError> {
    let act = |path: &Path| {
        act(path).map_err(|source| match source.kind() {
            ErrorKind::InvalidInput => OutputError::Foreign {
                path: path.to_owned(),
                source,
            },
            _ => OutputError::io(operation, path)(source),
        })
    };
    act(state)?;
    let entries = fs::read_dir(state).map_err(OutputError::io("list", state))?;
    for entry in entries {
        act(&entry.map_err(OutputError::io("list", state))?.path())?;
    }
    Ok(())
}

/// Whether anything has this name, a broken link included.
fn exists(directory: &Path, name: &str) -> bool {
    directory.join(name).symlink_metadata().is_ok()
}

fn refuse_taken_names(path: &Path, selection: Selection) -> Result<(), OutputError> {
    let state = StateDir::of_output(path);
    let was_published = state.ids().is_file();
    let ours = match earlier_files(path)? {
        // With the state of a publication, a manifest that is damaged or not there was lost, and the files under our
        // names are ours. Without it, one that makes no sense is a file of the user's.
        EarlierExport::Nothing | EarlierExport::Damaged(_) if was_published => return Ok(()),
        EarlierExport::Nothing | EarlierExport::Damaged(_) => None,
        EarlierExport::Files { files, .. } => Some(files),
    };
    let has_state = state.path().is_dir();
    let is_ours = |name: &str| {
        let Some(ours) = &ours else {
            return false;
        };
        // The manifest names the other files, not itself.
        let named = ours.get(name);
        name == MANIFEST || named.is_some_and(|sha256| has_state || has_sha256(path, name, sha256))
    };
    let mut names = selection
        .file_names()
        .chain([FAILURES, MANIFEST].map(str::to_owned));
    let taken = names.find(|name| exists(path, name) && !is_ours(name));
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
        LOAD_SQL => crate::publish::load_sql::MARK,
        _ => crate::publish::export_readme::MARK,
    };
    let mut beginning = Vec::new();
    let path = directory.join(name);
    // Opening a pipe waits for a writer.
    if !path.is_file() {
        return false;
    }
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
    read.is_ok() && memmem::find(&beginning, mark.as_bytes()).is_some()
}
