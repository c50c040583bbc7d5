//! The steps that change the file system. What must survive a crash goes through here and nowhere else (a test checks
//! it), so that tests can die at each step, let it fail, or record all of them (`failpoint`). Callers name in their own
//! errors what they tried.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::durable_fs::access::{Access, STATE_MODE};
#[cfg(debug_assertions)]
use crate::durable_fs::failpoint;
use crate::durable_fs::ownership;
use crate::durable_fs::ownership::{careful, name_link, refuse_file, refused};
use crate::durable_fs::step::Step;

/// Ends the name of a copy until it is whole.
const COPY_SUFFIX: &str = ".copy";

#[cfg(debug_assertions)]
fn announce(step: Step<'_>) -> io::Result<()> {
    failpoint::reach(step)
}

#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "as where tests look at steps")]
fn announce(_: Step<'_>) -> io::Result<()> {
    Ok(())
}

/// Begins a file, in place of what may be there: that loses this name and stays as it is under any other.
pub(crate) fn create(path: &Path, access: Access) -> io::Result<File> {
    remove(path)?;
    announce(Step::Create(path))?;
    ownership::create_new(path, access)
}

/// Opens a file of this user's own to change it; begins it if it is not there.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    announce(Step::Open(path))?;
    open_own(path, access)
}

/// Opens a file to change it, as it is or new. One that has a second name, as in a copy made of hard links, becomes a
/// file of its own first.
fn open_own(path: &Path, access: Access) -> io::Result<File> {
    let mut options = access.options();
    options.custom_flags(careful());
    let open = || options.open(path).map_err(|error| name_link(path, error));
    let file = open()?;
    if refuse_file(&file)?.nlink() == 1 {
        return Ok(file);
    }
    copy(&file, path, access)?;
    let file = open()?;
    if refuse_file(&file)?.nlink() == 1 {
        return Ok(file);
    }
    Err(refused("it has a second name"))
}

/// Puts a copy in the place of a file.
fn copy(mut file: &File, path: &Path, access: Access) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(COPY_SUFFIX);
    let new = path.with_file_name(name);
    let mut written = create(&new, access)?;
    io::copy(&mut file, &mut written)?;
    written.sync_all()?;
    rename(&new, path)
}

/// Opens a directory of this user's own, to be locked.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    ownership::refuse(&fs::symlink_metadata(path)?)?;
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
