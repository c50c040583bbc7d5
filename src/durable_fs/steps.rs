//! Functions that change the file system. Clippy forbids the ones of `std` elsewhere, so that tests can kill the
//! process at each step, make it fail, or record it (see `failpoint`). Callers put the operation and path into their
//! own errors.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::durable_fs::access::{Access, STATE_MODE};
#[cfg(debug_assertions)]
use crate::durable_fs::failpoint;
use crate::durable_fs::ownership;
use crate::durable_fs::ownership::{link_error, refuse_file, refused, safe_open_flags};
use crate::durable_fs::step::Step;

/// Suffix of a copy until it is complete.
const COPY_SUFFIX: &str = ".copy";

#[cfg(debug_assertions)]
fn announce(step: Step<'_>) -> io::Result<()> {
    failpoint::reach(step)
}

#[cfg(not(debug_assertions))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "same signature as with failpoints"
)]
fn announce(_: Step<'_>) -> io::Result<()> {
    Ok(())
}

/// Creates a file. An existing file loses this name, and keeps its content under other names.
pub(crate) fn create(path: &Path, access: Access) -> io::Result<File> {
    // The existing file may have another name, under which it must not change.
    remove(path)?;
    announce(Step::Create(path))?;
    ownership::create_new(path, access)
}

/// Opens a file of this user for writing. Creates it if it does not exist.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    announce(Step::Open(path))?;
    open_own(path, access)
}

/// Opens or creates a file. A file with several hard links, as in a backup made with `cp -al`, is first replaced by a
/// copy, so that the backup does not change.
fn open_own(path: &Path, access: Access) -> io::Result<File> {
    let mut options = access.options();
    options.custom_flags(safe_open_flags());
    let open = || options.open(path).map_err(|error| link_error(path, error));
    let file = open()?;
    if refuse_file(&file)?.nlink() == 1 {
        return Ok(file);
    }
    copy(&file, path, access)?;
    let file = open()?;
    if refuse_file(&file)?.nlink() == 1 {
        return Ok(file);
    }
    Err(refused("it has more than one hard link"))
}

/// Replaces a file by a copy of itself.
fn copy(mut file: &File, path: &Path, access: Access) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(COPY_SUFFIX);
    let new = path.with_file_name(name);
    // Written under another name first, so that a crash leaves the original.
    let mut written = create(&new, access)?;
    io::copy(&mut file, &mut written)?;
    // Without the sync, a power loss could keep the rename and lose the content.
    written.sync_all()?;
    rename(&new, path)
}

/// Opens a directory of this user to lock it.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    ownership::refuse(&fs::symlink_metadata(path)?)?;
    File::open(path)
}

/// Writes all bytes at an offset. After an error, any part of them may be written.
pub(crate) fn write_all_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
    announce(Step::Write(file, path, bytes, offset))?;
    file.write_all_at(bytes, offset)
}

/// Sets the length of a file.
pub(crate) fn set_length(file: &File, path: &Path, bytes: u64) -> io::Result<()> {
    announce(Step::SetLength(path, bytes))?;
    file.set_len(bytes)
}

/// Makes the content of a file survive a power loss. Its name survives after [`sync_directory`].
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    announce(Step::Sync(path))?;
    file.sync_data()
}

/// Renames a file, and replaces a file that has the new name.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    announce(Step::Rename(from, to))?;
    fs::rename(from, to)
}

/// Creates a hard link.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    announce(Step::Link(from, to))?;
    fs::hard_link(from, to)
}

/// Removes a file if it exists.
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

/// Creates a directory and its parents, and syncs them. An existing directory is not an error.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    make_directory(path, &DirBuilder::new())
}

/// Creates a directory that only its owner may read.
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
    // Parents get the default mode: only the state directory is private.
    create_directories(above)?;
    announce(Step::CreateDirectory(path))?;
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another run created it in the meantime, or a file has this name.
            if !path.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        created => created?,
    }
    // The name of a directory survives a power loss only if its parent is synced.
    sync_directory(above)
}

/// Makes the names in a directory survive a power loss. Some network file systems report that they cannot sync a
/// directory. That error is ignored, since there is no other way.
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

/// Takes an exclusive lock without waiting. The lock ends with the process.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), TryLockError> {
    announce(Step::Lock(path)).map_err(TryLockError::Error)?;
    file.try_lock()
}
