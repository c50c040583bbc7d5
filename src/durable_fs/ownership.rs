//! Refuses files that another user of the machine may have prepared: symbolic links, pipes, devices, hard links to
//! other files. The check comes before anything is read from or written to the file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::OFlags;

use crate::durable_fs::access::{Access, STATE_FILE_MODE, STATE_MODE};

/// Open flags that do not follow a symbolic link and do not wait for the other end of a pipe.
pub(super) fn safe_open_flags() -> i32 {
    flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)
}

fn flags(flags: OFlags) -> i32 {
    // `open` takes a C `int`, and the flags have its bits.
    flags.bits().cast_signed()
}

pub(super) fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}

/// Refuses anything but a regular file or directory of this user. The error names what it is.
pub(crate) fn refuse(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Err(refused("it is a symbolic link"));
    }
    if kind.is_fifo() {
        return Err(refused("it is a pipe"));
    }
    if !kind.is_file() && !kind.is_dir() {
        return Err(refused("it is neither a file nor a directory"));
    }
    // Root is not exempt: another user may have prepared the file.
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    Ok(())
}

/// Refuses anything but a regular file of this user, and returns its metadata.
pub(super) fn refuse_file(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    refuse(&metadata)?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::ErrorKind::IsADirectory.into())
}

/// Replaces the error of opening a symbolic link, which differs between systems, by one that names the link.
pub(super) fn link_error(path: &Path, error: io::Error) -> io::Error {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if is_link {
        refused("it is a symbolic link")
    } else {
        error
    }
}

/// Creates a file that must not exist.
pub(crate) fn create_new(path: &Path, access: Access) -> io::Result<File> {
    let mut options = access.options();
    options.create_new(true).custom_flags(safe_open_flags());
    options.open(path)
}

/// Opens a file of the state for reading. Refuses symbolic links and pipes.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(safe_open_flags())
        .open(path);
    let file = opened.map_err(|error| link_error(path, error))?;
    // The open file is checked, since the name may lead to another file by now.
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(refused("it is not a regular file"))
}

/// Reads a whole file that is normally small. Refuses more than `max_bytes`, and anything but a regular file.
pub(crate) fn read_small(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // Symbolic links are followed: outside of the state they are allowed, and the state has none.
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
    // One more byte shows that the file is too large.
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= max_bytes {
        return Ok(bytes);
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

/// Refuses what [`protect`] refuses, without changing anything.
pub(crate) fn refuse_foreign(path: &Path) -> io::Result<()> {
    refuse(&fs::symlink_metadata(path)?)
}

/// Bytes that are written to find out whether a disk is full: one block of most file systems.
const BLOCK: usize = 4 << 10;

/// Refuses a directory in which no file can be created, or none that holds anything. Writes a block into an unnamed file
/// to find out, which leaves nothing.
pub(crate) fn refuse_unwritable(directory: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&[0; BLOCK])
}

/// Makes a directory or file of the state accessible to its owner only. Refuses a symbolic link and a file of another
/// user.
pub(crate) fn protect(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    refuse(&metadata)?;
    let mode = if metadata.is_dir() {
        STATE_MODE
    } else if metadata.nlink() > 1 {
        // A mode belongs to the file, so it would change under the other names too.
        return Ok(());
    } else {
        STATE_FILE_MODE
    };
    if metadata.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(safe_open_flags())
        .open(path);
    let file = opened.map_err(|error| link_error(path, error))?;
    refuse(&file.metadata()?)?;
    // By the open file, since the name may lead to another file by now.
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Whether a path still names the open file.
pub(crate) fn is_in_place(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(path)) => (file.dev(), file.ino()) == (path.dev(), path.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(error.to_string(), "it is a symbolic link");
        assert!(open_to_read(&name).is_err());
        assert!(protect(&name).is_err());
        // A new file replaces the link, not its target.
        drop(create(&name, Access::Owner).unwrap());
        assert!(fs::symlink_metadata(&name).unwrap().is_file());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(mode(&victim), 0o644);
    }

    #[test]
    fn a_file_with_several_hard_links_is_copied_before_a_change() {
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
