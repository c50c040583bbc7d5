//! The commit: all files of an export take their names, or none does, even if the process or the machine stops in
//! between.
//!
//! ```text
//! link previous files   .scale-export/previous/      the way back
//! write the record      .scale-export/publication    from here on, the next run completes what a crash interrupts
//! rename all files, the manifest last; move obsolete files to the previous files
//! remove previous files, the record
//! ```
//!
//! After a crash during the renames, the record is still there: the next run first completes the publication from it.
//! An error during the renames gives the record another name, which needs no disk space, and restores the previous
//! export. Every step may be repeated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable_fs;
use crate::durable_fs::temporary_name;
use crate::output_error::OutputError;
use crate::publish::file_names::is_published_name;
use crate::state::paths::{IDS, JOURNAL, RANGES, StateDir, digests_id};
use crate::state::replace::{Durability, replace};

/// Maximum bytes of the record. It names about forty files.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// The files of a publication, in the order of the renames.
#[derive(Debug, Serialize, Deserialize)]
struct CommitRecord {
    /// The manifest is the last.
    files: Vec<Renaming>,
    /// Files of the previous export that the new one does not have.
    obsolete: Vec<String>,
}

/// One file that takes its name.
#[derive(Debug, Serialize, Deserialize)]
struct Renaming {
    /// Its name in the output directory, and thereby its temporary one.
    name: String,
    before: PreviousFile,
}

/// The file that had the name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PreviousFile {
    Nothing,
    /// A file with a hard link in `previous`, named by its index in the record.
    Linked,
    /// A file that cannot have a hard link, because of its file system or its owner. It is moved to `previous` just
    /// before the new file takes its name.
    Moved,
}

/// Whether the renames happen for the first time, or again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RenamePass {
    First,
    Again,
}

/// The result of recovering from an interrupted publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// The new export is complete.
    Forward,
    /// The previous export is restored.
    Back,
}

/// Whether a publication was interrupted and is not recovered yet.
pub fn is_pending(directory: &Path) -> bool {
    let state = StateDir::of_output(directory);
    state.publication().exists() || state.rollback().exists()
}

/// Publishes files that are complete and synced under their temporary names. After an error, the previous export is
/// restored, unless restoring fails too.
pub(crate) fn commit<'n>(
    directory: &Path,
    names: impl IntoIterator<Item = &'n str>,
    manifest: &'n str,
    obsolete: &[String],
) -> Result<(), OutputError> {
    let paths = CommitPaths::of(directory);
    // Leftovers of an earlier run would have the names of the new links.
    paths.remove_previous()?;
    durable_fs::create_state_directory(&paths.previous)
        .map_err(OutputError::io("create", &paths.previous))?;
    let mut files = Vec::new();
    for name in names.into_iter().chain([manifest]) {
        files.push(Renaming {
            name: name.to_owned(),
            before: paths.keep(files.len(), name)?,
        });
    }
    let record = CommitRecord {
        files,
        obsolete: obsolete.to_vec(),
    };
    // The links and the temporary names must survive a power loss before the record does, since a recovery needs them.
    sync(&paths.previous)?;
    sync(&paths.directory)?;
    paths.write(&record)?;
    match paths.rename_all(&record, RenamePass::First) {
        Ok(()) => paths.finish(&paths.state.publication()),
        Err(error) => {
            // The first error is the cause. If restoring fails too, its record stays, and the next run restores the
            // export.
            let _ = paths.begin_rollback(&record);
            Err(error)
        }
    }
}

/// Completes or undoes an interrupted publication. Returns which, or `None` if there was none.
pub(crate) fn recover(directory: &Path) -> Result<Option<Recovered>, OutputError> {
    let paths = CommitPaths::of(directory);
    // A rollback that has begun is completed: some of the new files are gone already.
    if let Some(record) = read(&paths.state.rollback())? {
        paths.roll_back(&record)?;
        return Ok(Some(Recovered::Back));
    }
    if let Some(record) = read(&paths.state.publication())? {
        if let Err(error) = paths.rename_all(&record, RenamePass::Again) {
            // A publication that cannot be completed is undone: otherwise it would make every later run fail.
            return match paths.begin_rollback(&record) {
                Ok(()) => Ok(Some(Recovered::Back)),
                Err(_) => Err(error),
            };
        }
        paths.finish(&paths.state.publication())?;
        return Ok(Some(Recovered::Forward));
    }
    // Only incomplete or damaged records are left.
    let state = &paths.state;
    for left in [
        state.new_publication(),
        state.publication(),
        state.rollback(),
    ] {
        remove(&left)?;
    }
    paths.remove_previous()?;
    Ok(None)
}

impl CommitRecord {
    /// Whether the record names published files only. Any other record is damaged, or another user prepared it.
    fn is_sound(&self) -> bool {
        let is_digests = |name: &str| digests_id(name).is_some();
        let is_state = |name: &str| [IDS, JOURNAL, RANGES].contains(&name) || is_digests(name);
        let is_known = |name: &str| is_published_name(name) || is_state(name);
        let is_obsolete = |name: &str| is_published_name(name) || is_digests(name);
        self.files.iter().all(|file| is_known(&file.name))
            && self.obsolete.iter().all(|name| is_obsolete(name))
    }
}

/// Reads a record, if it is there and sound.
fn read(path: &Path) -> Result<Option<CommitRecord>, OutputError> {
    match durable_fs::read_small(path, MAX_RECORD_BYTES) {
        // The record got its name after it was complete and synced. If it is damaged nevertheless, it is ignored:
        // this run publishes all files that it names.
        Ok(text) => Ok(serde_json::from_slice(&text)
            .ok()
            .filter(CommitRecord::is_sound)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(OutputError::io("read", path)(error)),
    }
}

fn sync(directory: &Path) -> Result<(), OutputError> {
    durable_fs::sync_directory(directory).map_err(OutputError::io("sync", directory))
}

fn remove(path: &Path) -> Result<(), OutputError> {
    durable_fs::remove(path).map_err(OutputError::io("remove", path))
}

/// Renames a file, unless it does not exist: then it was renamed before the crash.
fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match durable_fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// The directories of a commit.
struct CommitPaths {
    directory: PathBuf,
    state: StateDir,
    previous: PathBuf,
}

impl CommitPaths {
    fn of(directory: &Path) -> Self {
        let state = StateDir::of_output(directory);
        Self {
            directory: directory.to_owned(),
            previous: state.previous_files(),
            state,
        }
    }

    fn previous_file(&self, index: usize) -> PathBuf {
        self.previous.join(index.to_string())
    }

    /// Creates a hard link to the file that has this name now.
    fn keep(&self, index: usize, name: &str) -> Result<PreviousFile, OutputError> {
        let target = self.directory.join(name);
        // A rename cannot replace a directory. This error comes before the first rename.
        if target.is_dir() {
            return Err(OutputError::io("replace", &target)(
                io::ErrorKind::IsADirectory.into(),
            ));
        }
        match durable_fs::link(&target, &self.previous_file(index)) {
            Ok(()) => Ok(PreviousFile::Linked),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(PreviousFile::Nothing),
                // The errors of file systems without hard links, and of a file that belongs to another user.
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::TooManyLinks => Ok(PreviousFile::Moved),
                _ => Err(OutputError::io("back up", &target)(error)),
            },
        }
    }

    fn write(&self, record: &CommitRecord) -> Result<(), OutputError> {
        let path = self.state.publication();
        // Strings and plain enums: serialization cannot fail.
        let text = serde_json::to_vec(record).unwrap_or_default();
        // The record gets its name when it is complete and synced, so that a recovery never reads a part of one.
        replace(&path, &text, Durability::Synced).map_err(OutputError::io("write", &path))?;
        sync(self.state.path())
    }

    /// Renames all files and moves obsolete ones away. The manifest is renamed after the others are synced, so that it
    /// never names a file that is not there.
    fn rename_all(&self, record: &CommitRecord, pass: RenamePass) -> Result<(), OutputError> {
        let Some((manifest, others)) = record.files.split_last() else {
            return Ok(());
        };
        for (index, file) in others.iter().enumerate() {
            self.rename(index, file, pass)?;
        }
        sync(self.state.path())?;
        sync(&self.directory)?;
        self.rename(others.len(), manifest, pass)?;
        sync(&self.directory)?;
        // After the manifest, since the one before it names these files.
        for (name, kept) in self.obsolete(record) {
            rename_if_there(&name, &kept).map_err(OutputError::io("remove", &name))?;
        }
        sync(&self.directory)
    }

    fn rename(&self, index: usize, file: &Renaming, pass: RenamePass) -> Result<(), OutputError> {
        let target = self.directory.join(&file.name);
        let temporary = self.directory.join(temporary_name(&file.name));
        // Without its temporary file, the new file has its name already and must not be moved.
        if file.before == PreviousFile::Moved && temporary.exists() {
            rename_if_there(&target, &self.previous_file(index))
                .map_err(OutputError::io("back up", &target))?;
        }
        let renamed = match pass {
            RenamePass::First => durable_fs::rename(&temporary, &target),
            // A missing temporary file was renamed before the crash.
            RenamePass::Again => rename_if_there(&temporary, &target),
        };
        renamed.map_err(OutputError::io("publish", &target))
    }

    /// Obsolete files, and their paths until the commit is finished.
    fn obsolete(&self, record: &CommitRecord) -> Vec<(PathBuf, PathBuf)> {
        let names = record.obsolete.iter().enumerate();
        names
            .map(|(index, name)| {
                let kept = self.previous_file(record.files.len() + index);
                (self.directory.join(name), kept)
            })
            .collect()
    }

    /// Removes the previous files, and then the record, so that an interruption repeats both.
    fn finish(&self, record: &Path) -> Result<(), OutputError> {
        self.remove_previous()?;
        remove(record)?;
        sync(self.state.path())
    }

    fn begin_rollback(&self, record: &CommitRecord) -> Result<(), OutputError> {
        let (forward, back) = (self.state.publication(), self.state.rollback());
        durable_fs::rename(&forward, &back).map_err(OutputError::io("rename", &forward))?;
        sync(self.state.path())?;
        self.roll_back(record)
    }

    fn roll_back(&self, record: &CommitRecord) -> Result<(), OutputError> {
        // The manifest goes back first, so that the new one never names files that are restored already.
        for (index, file) in record.files.iter().enumerate().rev() {
            let target = self.directory.join(&file.name);
            match file.before {
                PreviousFile::Linked | PreviousFile::Moved => {
                    rename_if_there(&self.previous_file(index), &target)
                        .map_err(OutputError::io("restore", &target))?;
                }
                PreviousFile::Nothing => remove(&target)?,
            }
        }
        for (name, kept) in self.obsolete(record) {
            rename_if_there(&kept, &name).map_err(OutputError::io("restore", &name))?;
        }
        sync(self.state.path())?;
        sync(&self.directory)?;
        self.finish(&self.state.rollback())
    }

    /// Removes the hard links to the previous files.
    fn remove_previous(&self) -> Result<(), OutputError> {
        let failed = |error| OutputError::io("remove", &self.previous)(error);
        let entries = match fs::read_dir(&self.previous) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            remove(&entry.map_err(failed)?.path())?;
        }
        durable_fs::remove_directory(&self.previous).map_err(failed)
    }
}
