//! The output directory: whether a run may write to it, and which of its files earlier exports published.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;
use tokio_util::sync::CancellationToken;

use crate::durable_fs;
use crate::durable_fs::remove_temporary_files;
use crate::encode::format::Selection;
use crate::event::Events;
use crate::output_error::OutputError;
use crate::publish::checksum::has_sha256;
use crate::publish::commit::{Recovered, is_pending, recover};
use crate::publish::earlier_files::{EarlierExport, earlier_files};
use crate::publish::file_names::{DISPENSABLE, FAILURES, LOAD_SQL, MANIFEST};
use crate::publish::manifest::Manifest;
use crate::publish::manifest_fault::ManifestFault;
use crate::publish::staging::Staging;
use crate::state::lock::{Lock, LockWait};
use crate::state::paths::StateDir;

/// An output directory that this run may write to.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    state: StateDir,
    /// Files that the previous export published, with their checksums.
    earlier: BTreeMap<String, String>,
    /// Files that an export can do without, and that are the user's own.
    taken: Vec<&'static str>,
    recovered: Option<Recovered>,
    /// Why the manifest is damaged, if so.
    damage: Option<ManifestFault>,
    lock: Arc<Lock>,
}

impl OutputDirectory {
    /// Creates the directory if necessary, takes its lock, and recovers from an interrupted publication.
    ///
    /// A file belongs to an export if the manifest names it and, without the state directory, if its checksum is right
    /// too. Any other file under a name that this run publishes is an error, unless `force`. The exceptions are
    /// `load.sql` and `README.md`: they belong to an export only while their checksums are right. Files that do not
    /// belong to an export are left alone, like files under other names.
    pub fn open(path: &Path, selection: Selection, force: bool) -> Result<Self, OutputError> {
        let (events, cancel) = (Events::none(), CancellationToken::new());
        let wait = LockWait {
            events: &events,
            cancel: &cancel,
        };
        Self::open_after_readers(path, selection, force, wait)
    }

    /// Like [`open`](Self::open). `wait` reports and ends a wait for commands that read the export.
    pub(crate) fn open_after_readers(
        path: &Path,
        selection: Selection,
        force: bool,
        wait: LockWait<'_>,
    ) -> Result<Self, OutputError> {
        durable_fs::create_directories(path).map_err(OutputError::io("create", path))?;
        // After a crash during the renames of a first publication, files have their names and no manifest names them
        // yet.
        if !force && !is_pending(path) {
            refuse_taken_names(path, selection)?;
        }
        let state = StateDir::of_output(path);
        durable_fs::create_state_directory(state.path())
            .map_err(OutputError::io("create", state.path()))?;
        check_state(state.path(), "protect", durable_fs::protect)?;
        refuse_other_file_system(path, state.path())?;
        let lock = Arc::new(Lock::take(path, &state, wait)?);
        let recovered = recover(path)?;
        // After the recovery, which needs the temporary files of an interrupted publication.
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

    /// Fails where [`open`](Self::open) fails, without writing anything: user's files under published names, a state of
    /// another user, a manifest of a newer version, a directory that is not writable, and a run that is writing.
    pub fn check(path: &Path, selection: Selection, force: bool) -> Result<(), OutputError> {
        Self::check_files(path, selection, force)?;
        Lock::refuse_held(path, &StateDir::of_output(path))
    }

    /// Like [`check`](Self::check), without the lock.
    pub(crate) fn check_files(
        path: &Path,
        selection: Selection,
        force: bool,
    ) -> Result<(), OutputError> {
        let state = StateDir::of_output(path);
        for directory in [path, state.path()] {
            refuse_unwritable(directory)?;
        }
        if !force && !is_pending(path) {
            refuse_taken_names(path, selection)?;
        }
        if state.path().symlink_metadata().is_ok() {
            check_state(state.path(), "use", durable_fs::refuse_foreign)?;
            refuse_other_file_system(path, state.path())?;
        }
        earlier_files(path).map(drop)
    }

    /// Whether a user's own file has this name, so that nothing is published under it.
    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&name)
    }

    /// Whether an export has all files that it can have. A file is missing if a user's own file had its name and was
    /// removed since.
    pub fn is_complete(&self, manifest: &Manifest) -> bool {
        let paths = manifest.paths();
        let mut names = DISPENSABLE.into_iter();
        names.all(|name| self.is_taken(name) || paths.contains(name))
    }

    /// Names under which nothing is published, since user's own files have them.
    pub fn taken(&self) -> &[&'static str] {
        &self.taken
    }

    /// How an interrupted publication was recovered, if there was one.
    pub fn recovered(&self) -> Option<Recovered> {
        self.recovered
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state directory.
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// The lock that this run holds.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Why the manifest is damaged, if so. The next publication replaces it.
    pub fn damage(&self) -> Option<&ManifestFault> {
        self.damage.as_ref()
    }

    /// Starts a publication.
    pub fn stage(&self) -> Staging {
        Staging::begin(&self.path, &self.lock)
    }

    /// Removes temporary files of this run, unless the next run completes their publication.
    pub fn remove_temporary_files(&self) {
        // Without the lock, the files may belong to another run.
        if self.lock.is_in_place() && !is_pending(&self.path) {
            // The next run tries again, so an error is ignored.
            let _ = remove_temporary_files(&self.path);
        }
    }

    /// The manifest of the published export, if it can be read.
    pub fn manifest(&self) -> Option<Manifest> {
        if self.damage.is_some() {
            return None;
        }
        Manifest::sound(&self.path)
    }

    /// Whether the directory has an export.
    pub fn has_export(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Whether the previous export published this file, and its content is still the same.
    pub fn has(&self, name: &str, sha256: &str) -> bool {
        self.earlier
            .get(name)
            .is_some_and(|earlier| earlier == sha256)
            && has_sha256(&self.path, name, sha256)
    }

    /// Files of the previous export that the new one does not have.
    pub fn obsolete(&self, published: &BTreeSet<String>) -> Vec<String> {
        let earlier = self.earlier.keys();
        earlier
            .filter(|name| !published.contains(*name) && !self.is_taken(name))
            .cloned()
            .collect()
    }
}

/// Fails if the state is on another file system: files are published by renames, which work within one file system.
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

/// Fails if the directory is not writable. For one that does not exist, checks the nearest parent that does.
fn refuse_unwritable(directory: &Path) -> Result<(), OutputError> {
    let nearest = nearest_existing(directory);
    durable_fs::refuse_unwritable(nearest).map_err(OutputError::io("write to", directory))
}

/// The path itself, or its nearest parent that exists.
pub(crate) fn nearest_existing(path: &Path) -> &Path {
    let is_there = |above: &&Path| above.symlink_metadata().is_ok();
    let nearest = path.ancestors().find(is_there);
    // The parent of a relative path without directories is the current directory.
    nearest.unwrap_or(Path::new("."))
}

/// Whether a path, which may not exist yet, is below a directory. Links are resolved.
pub(crate) fn is_below(path: &Path, directory: &Path) -> bool {
    let nearest = nearest_existing(path);
    let (Ok(place), Ok(directory)) = (nearest.canonicalize(), directory.canonicalize()) else {
        return false;
    };
    place.starts_with(&directory) && (place != directory || nearest != path)
}

/// Applies a check to the state directory and everything in it. The error names the file that was refused.
fn check_state(
    state: &Path,
    operation: &'static str,
    act: fn(&Path) -> std::io::Result<()>,
) -> Result<(), OutputError> {
    let act = |path: &Path| {
        act(path).map_err(|source| match source.kind() {
            ErrorKind::InvalidInput => OutputError::UnsafeFile {
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

/// Whether a file, a directory or even a broken link has this name.
fn exists(directory: &Path, name: &str) -> bool {
    directory.join(name).symlink_metadata().is_ok()
}

fn refuse_taken_names(path: &Path, selection: Selection) -> Result<(), OutputError> {
    let state = StateDir::of_output(path);
    let was_published = state.ids().is_file();
    let ours = match earlier_files(path)? {
        // If the state has a list of IDs, an export was published here and its manifest was damaged or removed, so
        // files under published names belong to it. Otherwise, a damaged manifest is a user's file.
        EarlierExport::Nothing | EarlierExport::Damaged(_) if was_published => return Ok(()),
        EarlierExport::Nothing | EarlierExport::Damaged(_) => None,
        EarlierExport::Files { files, .. } => Some(files),
    };
    let has_state = state.path().is_dir();
    let is_ours = |name: &str| {
        let Some(ours) = &ours else {
            return false;
        };
        // A manifest does not name itself.
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

/// Whether scale-export wrote a file, by its content. Used without a manifest.
fn is_generated(directory: &Path, name: &str) -> bool {
    /// Bytes of the beginning that are searched for the mark.
    const BEGINNING: u64 = 16 << 10;
    let mark = match name {
        LOAD_SQL => crate::publish::load_sql::MARK,
        _ => crate::publish::export_readme::MARK,
    };
    let mut beginning = Vec::new();
    let path = directory.join(name);
    // Opening a pipe would wait for a writer.
    if !path.is_file() {
        return false;
    }
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
    read.is_ok() && memmem::find(&beginning, mark.as_bytes()).is_some()
}
