//! Every step that changes the file system: creating, writing, syncing, renaming, removing.
//!
//! What must survive a crash goes through here and nowhere else (a test says so), so that tests can
//! die at each step, let it fail, or write down all of them; see [`failpoint`]. Callers say in their own
//! errors what they tried. Depends on nothing.

#[cfg(debug_assertions)]
mod failpoint;
mod guard;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

pub(crate) use guard::{
    is_in_place, open_to_read, protect, read_small, refuse_foreign, refuse_unwritable,
};

/// Only its owner looks into state: it holds the raw responses.
const STATE_MODE: u32 = 0o700;
const STATE_FILE_MODE: u32 = 0o600;

/// One step, before it is done.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(debug_assertions),
    expect(dead_code, reason = "only tests look at steps")
)]
enum Step<'s> {
    /// Empty, in place of what may be there.
    Create(&'s Path),
    /// As it is, or empty.
    Open(&'s Path),
    Write(&'s File, &'s Path, &'s [u8], u64),
    SetLength(&'s Path, u64),
    Sync(&'s Path),
    Rename(&'s Path, &'s Path),
    Link(&'s Path, &'s Path),
    Remove(&'s Path),
    CreateDirectory(&'s Path),
    RemoveDirectory(&'s Path),
    SyncDirectory(&'s Path),
    Lock(&'s Path),
}

#[cfg(debug_assertions)]
fn announce(step: Step<'_>) -> io::Result<()> {
    failpoint::reach(step)
}

#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "as where tests look at steps")]
fn announce(_: Step<'_>) -> io::Result<()> {
    Ok(())
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever the process lets read its files.
    Everyone,
    /// Its owner only, for the state.
    Owner,
}

impl Access {
    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        if self == Self::Owner {
            options.mode(STATE_FILE_MODE);
        }
        options
    }
}

/// Begins a file, in place of what may be there: that loses this name and stays as it is under any other.
pub(crate) fn create(path: &Path, access: Access) -> io::Result<File> {
    remove(path)?;
    announce(Step::Create(path))?;
    guard::create_new(path, access)
}

/// Opens a file of this user's own to change it; begins it if it is not there.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    announce(Step::Open(path))?;
    guard::open_own(path, access)
}

/// Opens a directory of this user's own, to be locked.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    guard::refuse(&fs::symlink_metadata(path)?)?;
    File::open(path)
}

/// Writes all bytes at an offset. After an error, any part of them may stand there.
pub(crate) fn write_all_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
    announce(Step::Write(file, path, bytes, offset))?;
    file.write_all_at(bytes, offset)
}

/// Cuts a file off.
pub(crate) fn set_length(file: &File, path: &Path, bytes: u64) -> io::Result<()> {
    announce(Step::SetLength(path, bytes))?;
    file.set_len(bytes)
}

/// Makes a file's content survive a power loss; its name does after [`sync_directory`].
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    announce(Step::Sync(path))?;
    file.sync_data()
}

/// Gives a file another name, in place of whatever has that name.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    announce(Step::Rename(from, to))?;
    fs::rename(from, to)
}

/// Gives a file a second name.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    announce(Step::Link(from, to))?;
    fs::hard_link(from, to)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    announce(Step::Remove(path))?;
    fs::remove_file(path)
}

/// Removes an empty directory.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    announce(Step::RemoveDirectory(path))?;
    fs::remove_dir(path)
}

/// Creates a directory, and those above it; they survive a power loss. One that is there is well.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    make_directory(path, &DirBuilder::new())
}

/// The same for one that only its owner looks into.
pub(crate) fn create_state_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(STATE_MODE);
    make_directory(path, &builder)
}

fn make_directory(path: &Path, builder: &DirBuilder) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    create_directories(above)?;
    announce(Step::CreateDirectory(path))?;
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another run was faster, or something else stands there.
            if !path.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        created => created?,
    }
    sync_directory(above)
}

/// Makes the names in a directory survive a power loss. Some network file systems cannot, and say that
/// the request makes no sense: there is nothing to be done about it.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    announce(Step::SyncDirectory(path))?;
    match File::open(path)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// Takes a file's lock for writing, or says at once that somebody has it. It ends with the process.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), TryLockError> {
    announce(Step::Lock(path)).map_err(TryLockError::Error)?;
    file.try_lock()
}
