//! The lock of an output directory: one run writes, or several commands read.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::event::{Event, Events};
use crate::output_error::OutputError;
use crate::state::paths::StateDir;

/// Bytes of the lock file that are read at most. Its one line is far shorter.
const MAX_HOLDER_BYTES: u64 = 4 << 10;

/// Characters of the line that are shown. They have room for a process, a host name of 64 characters, and a time.
const SHOWN_CHARS: usize = 120;

/// Shown for a process that has not written its line yet.
const UNKNOWN: &str = "unknown";

/// Whether a process holds the lock of an output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeldLock {
    /// No process does.
    Free,
    /// A process does, described as in messages.
    Held(String),
    /// Only the owner of the export can find out.
    Unknown,
}

/// How long a run that starts waits for commands that test the lock, without reporting it.
const MAX_TEST: Duration = Duration::from_millis(500);

/// How long a run that starts waits for commands that read the export, such as `verify`. It bounds the wait for a command
/// that hangs.
const MAX_READING: Duration = Duration::from_mins(10);

/// Time between two attempts to take the lock meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// What happens while a run waits for commands that read the export.
#[derive(Debug, Clone, Copy)]
pub struct LockWait<'w> {
    /// The wait is reported here.
    pub events: &'w Events,
    /// Ends the wait.
    pub cancel: &'w CancellationToken,
}

/// A lock of an output directory. The system releases it when the process ends, even if it is killed.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    /// The state directory is locked too: it keeps other runs out if the lock file is removed.
    _state: Option<File>,
}

impl Lock {
    /// Takes a shared lock for reading: no run writes while it is held. Fails while a run waits for earlier readers. `None` if
    /// no run ever wrote to the directory.
    pub fn share(directory: &Path, state: &StateDir) -> Result<Option<Self>, OutputError> {
        let path = state.lock();
        let file = match durable_fs::open_to_read(&path) {
            Ok(file) => file,
            // Only the owner may open the state. The files that other users can read need no lock.
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
        if is_directory_locked(state) {
            return Err(OutputError::Locked {
                path: directory.to_owned(),
                holder: holder_of(&file),
            });
        }
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

    /// Fails if a run is writing. Does not keep the lock.
    pub(crate) fn refuse_held(directory: &Path, state: &StateDir) -> Result<(), OutputError> {
        Self::share(directory, state).map(drop)
    }

    /// Tests whether a process holds the lock. Where the list of locks of the system does not tell, the test takes a shared
    /// lock for an instant, which [`take`](Self::take) waits for.
    pub(crate) fn holder(directory: &Path, state: &StateDir) -> Result<HeldLock, OutputError> {
        if is_free_by_the_system(&state.lock()) {
            return Ok(HeldLock::Free);
        }
        let is_locked_away = || {
            let entries = state.path().read_dir();
            entries.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        };
        match Self::share(directory, state) {
            Ok(None) if is_locked_away() => Ok(HeldLock::Unknown),
            Ok(_) => Ok(HeldLock::Free),
            Err(OutputError::Locked { holder, .. }) => Ok(HeldLock::Held(holder)),
            Err(error) => Err(error),
        }
    }

    /// Takes the exclusive lock for writing. Waits for commands that read the export: they must not make a nightly run fail.
    pub(crate) fn take(
        directory: &Path,
        state: &StateDir,
        wait: LockWait<'_>,
    ) -> Result<Self, OutputError> {
        let path = state.lock();
        let opened = durable_fs::open(&path, Access::Owner);
        let file = opened.map_err(|error| refused(&path, error))?;
        // From here on, other runs and new readers are refused. Without it, readers that overlap could keep a run waiting.
        let locked_state = lock_directory(directory, state, wait)?;
        if locked_state.is_some() {
            write_holder(&file, &path)?;
        }
        match lock_after_readers(&file, &path, MAX_READING, wait) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(directory, &file)),
            Err(TryLockError::Error(source)) => return Err(OutputError::Lock { path, source }),
        }
        if locked_state.is_none() {
            write_holder(&file, &path)?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            path,
            file,
            _state: locked_state,
        })
    }

    /// Whether the lock file is still the one that is locked. A lock on a removed file does not keep other runs out.
    pub(crate) fn is_in_place(&self) -> bool {
        durable_fs::is_in_place(&self.file, &self.path)
    }

    /// Fails if the lock file was replaced, since another run may be writing.
    pub(crate) fn refuse_lost(&self) -> Result<(), OutputError> {
        if self.is_in_place() {
            return Ok(());
        }
        Err(OutputError::LockLost {
            path: self.directory.clone(),
        })
    }
}

/// The locks of all files, on Linux: see proc(5).
const SYSTEM_LOCKS: &str = "/proc/locks";

/// Whether the list of locks of the system tells that no run holds the lock. The list lacks the locks of other containers,
/// so it counts only for the host that the last run names.
fn is_free_by_the_system(path: &Path) -> bool {
    let Ok(file) = durable_fs::open_to_read(path) else {
        return false;
    };
    let host = rustix::system::uname();
    let host = format!(" on {},", host.nodename().to_string_lossy());
    let Some(inode) = file.metadata().ok().map(|metadata| metadata.ino()) else {
        return false;
    };
    let locks = std::fs::read_to_string(SYSTEM_LOCKS);
    locks.is_ok_and(|locks| !is_locked(&locks, inode)) && holder_of(&file).contains(&host)
}

/// Whether a list of locks has an exclusive lock of a file with this inode. File systems can show another device than the
/// file has, so the device does not count.
fn is_locked(locks: &str, inode: u64) -> bool {
    let inode = format!(":{inode}");
    let mut lines = locks.lines();
    lines.any(|line| {
        let mut fields = line.split_whitespace();
        fields.any(|field| field == "WRITE") && fields.any(|field| field.ends_with(&inode))
    })
}

/// Writes which process takes the lock.
fn write_holder(file: &File, path: &Path) -> Result<(), OutputError> {
    let holder = format!(
        "pid {} on {}, since {}\n",
        std::process::id(),
        rustix::system::uname().nodename().to_string_lossy(),
        jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    );
    // The file may have a longer line of an earlier run.
    durable_fs::set_length(file, path, 0)
        .and_then(|()| durable_fs::write_all_at(file, path, holder.as_bytes(), 0))
        .map_err(OutputError::io("write", path))
}

/// Takes the exclusive lock. Where readers have it, waits for them at most this long.
fn lock_after_readers(
    file: &File,
    path: &Path,
    most: Duration,
    wait: LockWait<'_>,
) -> Result<(), TryLockError> {
    let started = Instant::now();
    let mut is_reported = false;
    loop {
        let taken = durable_fs::lock(file, path);
        let is_shared = matches!(taken, Err(TryLockError::WouldBlock))
            && file.try_lock_shared().is_ok_and(|()| file.unlock().is_ok());
        let waited = started.elapsed();
        if !is_shared || waited >= most || wait.cancel.is_cancelled() {
            return taken;
        }
        if waited >= MAX_TEST && !is_reported {
            let phase = "waiting for a command that reads the export, such as verify";
            wait.events.send(Event::Phase(phase));
            is_reported = true;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a run has the lock of the state directory. It takes that first, and then waits for readers.
fn is_directory_locked(state: &StateDir) -> bool {
    let opened = durable_fs::open_directory(state.path());
    opened.is_ok_and(|opened| matches!(opened.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn refused(path: &Path, source: std::io::Error) -> OutputError {
    match source.kind() {
        ErrorKind::InvalidInput => OutputError::UnsafeFile {
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

/// Locks the state directory itself, if the file system can do that.
fn lock_directory(
    directory: &Path,
    state: &StateDir,
    wait: LockWait<'_>,
) -> Result<Option<File>, OutputError> {
    let path = state.path();
    let opened = durable_fs::open_directory(path).map_err(|error| refused(path, error))?;
    // Readers only test it.
    match lock_after_readers(&opened, path, MAX_TEST, wait) {
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
            // The lock file alone still keeps other runs out, unless it is removed.
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

/// The error that names the process that holds the lock.
fn locked(directory: &Path, file: &File) -> OutputError {
    // A second shared lock succeeds only if the holder has a shared lock too.
    let holder = if file.try_lock_shared().is_ok() {
        // Readers do not write their name, so the line in the file is that of an earlier run.
        "a command that reads the export, such as verify".to_owned()
    } else {
        holder_of(file)
    };
    OutputError::Locked {
        path: directory.to_owned(),
        holder,
    }
}

/// The line in the lock file, reduced to printable ASCII characters, since it goes to a terminal.
fn holder_of(file: &File) -> String {
    let mut text = Vec::new();
    // The process may not have written its line yet, so an error here is not a failure.
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
    fn a_free_lock_is_known_without_taking_it() {
        let base = tempfile::tempdir().unwrap();
        let state = StateDir::of_output(base.path());
        durable_fs::create_state_directory(state.path()).unwrap();
        assert!(!is_free_by_the_system(&state.lock()));
        let (events, cancel) = (Events::none(), CancellationToken::new());
        let wait = LockWait {
            events: &events,
            cancel: &cancel,
        };
        let lock = Lock::take(base.path(), &state, wait).unwrap();
        assert!(!is_free_by_the_system(&state.lock()));
        let held = Lock::holder(base.path(), &state).unwrap();
        assert!(matches!(held, HeldLock::Held(_)), "{held:?}");
        drop(lock);
        assert_eq!(Lock::holder(base.path(), &state).unwrap(), HeldLock::Free);
        if cfg!(target_os = "linux") {
            assert!(is_free_by_the_system(&state.lock()));
        }
        // The line of another host.
        std::fs::write(state.lock(), "pid 1 on elsewhere, since 2024\n").unwrap();
        assert!(!is_free_by_the_system(&state.lock()));
    }

    #[test]
    fn locks_of_other_files_and_shared_locks_do_not_count() {
        let locks = "1: POSIX  ADVISORY  READ 5 fe:00:123 128 128\n\
                     2: FLOCK  ADVISORY  WRITE 7 fe:00:1234 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 8 fe:00:99 0 EOF\n";
        assert!(is_locked(locks, 1234));
        assert!(!is_locked(locks, 123) && !is_locked(locks, 234));
    }

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
