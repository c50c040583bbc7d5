//! The lock of an output directory.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::output_error::OutputError;
use crate::state::paths::StateDir;

/// Bytes of the file that are read. Its one line is far shorter.
const MAX_HOLDER_BYTES: u64 = 4 << 10;

/// Characters of the line that are shown: a process ID, a host name of up to 64 characters, and a time.
const SHOWN_CHARS: usize = 120;

/// The name of a holder that has not written one.
const UNKNOWN: &str = "unknown";

/// A lock that is held. The system releases it when the process ends, also after a kill.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    /// The state directory, which is locked too: that keeps other runs out when the lock file is removed.
    _state: Option<File>,
}

impl Lock {
    /// Shares the lock for reading: no run writes while it is held. `None` when there is no lock file, or this user may
    /// not read it.
    pub fn share(directory: &Path, state: &StateDir) -> Result<Option<Self>, OutputError> {
        let path = state.lock();
        let file = match durable_fs::open_to_read(&path) {
            Ok(file) => file,
            // The state is for its owner only. What other users may read needs no lock.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(refused(&path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self {
                directory: directory.to_owned(),
                path,
                file,
                _state: None,
            })),
            Err(TryLockError::WouldBlock) => Err(locked(directory, &file)),
            Err(TryLockError::Error(source)) => Err(OutputError::Lock { path, source }),
        }
    }

    /// Fails when a run holds the lock; does not take it.
    pub(crate) fn refuse_held(directory: &Path, state: &StateDir) -> Result<(), OutputError> {
        Self::share(directory, state).map(drop)
    }

    /// Takes the lock for writing.
    pub(crate) fn take(directory: &Path, state: &StateDir) -> Result<Self, OutputError> {
        let path = state.lock();
        let opened = durable_fs::open(&path, Access::Owner);
        let file = opened.map_err(|error| refused(&path, error))?;
        match durable_fs::lock(&file, &path) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(directory, &file)),
            Err(TryLockError::Error(source)) => return Err(OutputError::Lock { path, source }),
        }
        let locked_state = lock_directory(directory, state)?;
        let holder = format!(
            "pid {} on {}, since {}\n",
            std::process::id(),
            rustix::system::uname().nodename().to_string_lossy(),
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        );
        // The end of a longer line must not remain.
        durable_fs::set_length(&file, &path, 0)
            .and_then(|()| durable_fs::write_all_at(&file, &path, holder.as_bytes(), 0))
            .map_err(OutputError::io("write", &path))?;
        Ok(Self {
            directory: directory.to_owned(),
            path,
            file,
            _state: locked_state,
        })
    }

    /// Whether the lock file is still the one that is held. Another file would not keep other runs out.
    pub(crate) fn is_in_place(&self) -> bool {
        durable_fs::is_in_place(&self.file, &self.path)
    }

    /// Fails when another run may have taken a new lock.
    pub(crate) fn refuse_lost(&self) -> Result<(), OutputError> {
        if self.is_in_place() {
            return Ok(());
        }
        Err(OutputError::LockLost {
            path: self.directory.clone(),
        })
    }
}

fn refused(path: &Path, source: std::io::Error) -> OutputError {
    match source.kind() {
        ErrorKind::InvalidInput => OutputError::Foreign {
            path: path.to_owned(),
            source,
        },
        _ => OutputError::io("open", path)(source),
    }
}

/// Errors of network file systems that can lock files but not directories.
const NO_DIRECTORY_LOCKS: [Errno; 5] = [
    Errno::BADF,
    Errno::INVAL,
    Errno::NOLCK,
    Errno::NOSYS,
    Errno::OPNOTSUPP,
];

/// Locks the state directory itself, where the file system supports that.
fn lock_directory(directory: &Path, state: &StateDir) -> Result<Option<File>, OutputError> {
    let path = state.path();
    let opened = durable_fs::open_directory(path).map_err(|error| refused(path, error))?;
    match durable_fs::lock(&opened, path) {
        Ok(()) => Ok(Some(opened)),
        Err(TryLockError::WouldBlock) => {
            let holder = durable_fs::open_to_read(&state.lock());
            let holder = holder.map_or_else(|_| UNKNOWN.to_owned(), |file| holder_of(&file));
            Err(OutputError::Locked {
                path: directory.to_owned(),
                holder,
            })
        }
        Err(TryLockError::Error(source)) => {
            let errno = Errno::from_io_error(&source);
            if errno.is_some_and(|errno| NO_DIRECTORY_LOCKS.contains(&errno)) {
                return Ok(None);
            }
            Err(OutputError::Lock {
                path: path.to_owned(),
                source,
            })
        }
    }
}

/// The error for a lock that another process holds.
fn locked(directory: &Path, file: &File) -> OutputError {
    let holder = if file.try_lock_shared().is_ok() {
        // Readers write no name; the name in the file is that of an earlier run.
        "a reader, such as verify".to_owned()
    } else {
        holder_of(file)
    };
    OutputError::Locked {
        path: directory.to_owned(),
        holder,
    }
}

/// The line in the lock file, as far as it is printable.
fn holder_of(file: &File) -> String {
    let mut text = Vec::new();
    // The holder may be writing it: an error leaves a shorter text.
    let _ = file.take(MAX_HOLDER_BYTES).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let is_shown = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let line = text.lines().next().unwrap_or_default();
    let shown: String = line.chars().filter(is_shown).take(SHOWN_CHARS).collect();
    let shown = shown.trim();
    if shown.is_empty() {
        UNKNOWN.to_owned()
    } else {
        shown.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_shown_in_a_few_printable_words() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("lock");
        let shown = |text: &str| {
            std::fs::write(&path, text).unwrap();
            holder_of(&File::open(&path).unwrap())
        };
        assert_eq!(shown("pid 1 on host\n"), "pid 1 on host");
        assert_eq!(shown("pid \u{1b}[31m1\u{202e} on\nhost"), "pid [31m1 on");
        assert_eq!(shown(" \n"), "unknown");
        assert_eq!(shown(&"x".repeat(1 << 20)).len(), SHOWN_CHARS);
    }
}
