//! Files that another user of the machine may have prepared: links, pipes, devices, second names of other files. What
//! is not a file of this user's own is refused, before anything is read from it or written to it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::OFlags;

use crate::durable_fs::access::{Access, STATE_FILE_MODE, STATE_MODE};

/// Open flags that follow no link and do not wait for the other end of a pipe.
pub(super) fn careful() -> i32 {
    flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)
}

fn flags(flags: OFlags) -> i32 {
    // The bits are those of a C `int`.
    flags.bits().cast_signed()
}

pub(super) fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}

/// What stands there instead of a file or directory of this user's own, if anything.
pub(crate) fn refuse(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Err(refused("it is a link"));
    }
    if kind.is_fifo() {
        return Err(refused("it is a pipe"));
    }
    if !kind.is_file() && !kind.is_dir() {
        return Err(refused("it is neither a file nor a directory"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    Ok(())
}

/// Refuses a file that is none of this user's own.
pub(super) fn refuse_file(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    refuse(&metadata)?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::ErrorKind::IsADirectory.into())
}

/// A link in place of a file, for which the system has an error of its own.
pub(super) fn name_link(path: &Path, error: io::Error) -> io::Error {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if is_link {
        refused("it is a link")
    } else {
        error
    }
}

/// Begins a file that is not there.
pub(crate) fn create_new(path: &Path, access: Access) -> io::Result<File> {
    let mut options = access.options();
    options.create_new(true).custom_flags(careful());
    options.open(path)
}

/// Opens a file of the state to be read; links and pipes are refused.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(careful())
        .open(path);
    let file = opened.map_err(|error| name_link(path, error))?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(refused("it is not a regular file"))
}

/// Reads a file that is small unless somebody made it large; one of over `max_bytes` is refused, as is what is not a
/// regular file.
pub(crate) fn read_small(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // A link to a file is well outside of the state, and inside there is none.
    let nonblock = flags(OFlags::NONBLOCK);
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path);
    let file = opened?;
    if !file.metadata()?.is_file() {
        return Err(refused("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= max_bytes {
        return Ok(bytes);
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

/// Refuses what [`protect`] refuses; changes nothing.
pub(crate) fn refuse_foreign(path: &Path) -> io::Result<()> {
    refuse(&fs::symlink_metadata(path)?)
}

/// Refuses a directory in which no file can be made, by making one without a name.
pub(crate) fn refuse_unwritable(directory: &Path) -> io::Result<()> {
    tempfile::tempfile_in(directory).map(drop)
}

/// Closes a directory or a file of the state to other users. It must not be a link, nor belong to another user.
pub(crate) fn protect(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    refuse(&metadata)?;
    let mode = if metadata.is_dir() {
        STATE_MODE
    } else if metadata.nlink() > 1 {
        // The mode would change under its other names as well.
        return Ok(());
    } else {
        STATE_FILE_MODE
    };
    if metadata.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(careful())
        .open(path);
    let file = opened.map_err(|error| name_link(path, error))?;
    refuse(&file.metadata()?)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Does a path still name the file that is open?
pub(crate) fn is_in_place(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(path)) => (file.dev(), file.ino()) == (path.dev(), path.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::durable_fs::steps::{create, open};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn links_are_neither_followed_nor_truncated_nor_chmodded() {
        let base = tempfile::tempdir().unwrap();
        let victim = base.path().join("victim");
        fs::write(&victim, "theirs").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
        let name = base.path().join("lock");
        symlink(&victim, &name).unwrap();
        let error = open(&name, Access::Owner).unwrap_err();
        assert_eq!(error.to_string(), "it is a link");
        assert!(open_to_read(&name).is_err());
        assert!(protect(&name).is_err());
        // What is begun in place of a link takes its name.
        drop(create(&name, Access::Owner).unwrap());
        assert!(fs::symlink_metadata(&name).unwrap().is_file());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(mode(&victim), 0o644);
    }

    #[test]
    fn a_file_with_a_second_name_becomes_one_of_its_own() {
        let base = tempfile::tempdir().unwrap();
        let (other, name) = (base.path().join("other"), base.path().join("journal"));
        for begin in [false, true] {
            fs::write(&other, "before").unwrap();
            let _ = fs::remove_file(&name);
            fs::hard_link(&other, &name).unwrap();
            protect(&name).unwrap();
            assert_eq!(mode(&other), mode(&name));
            let file = if begin {
                create(&name, Access::Owner)
            } else {
                open(&name, Access::Owner)
            };
            file.unwrap().write_all(b"AFTER").unwrap();
            assert_eq!(fs::read_to_string(&other).unwrap(), "before");
            let expected = if begin { "AFTER" } else { "AFTERe" };
            assert_eq!(fs::read_to_string(&name).unwrap(), expected);
            assert_eq!(mode(&name), 0o600);
        }
    }

    #[test]
    fn small_files_are_capped() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("pace.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        assert!(read_small(&path, 4).is_err());
        assert!(read_small(Path::new("/dev/zero"), 4).is_err());
    }

    #[test]
    fn a_file_that_was_removed_or_replaced_is_not_in_place() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("lock");
        let file = open(&path, Access::Owner).unwrap();
        assert!(is_in_place(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_in_place(&file, &path));
        fs::write(&path, "").unwrap();
        assert!(!is_in_place(&file, &path));
    }
}
