//! What every error has: a hint and an exit code.
//!
//! Each module has its own `thiserror` enum. Its messages name the operation, the path or ID, and the cause.
//! [`Explain`] adds what the command line needs.

use std::io;
use std::process::ExitCode;

/// The exit code of a run. Schedulers rely on the numbers; `docs/exit_codes.md` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Every ID was exported.
    Success = 0,
    /// Any other error.
    Failure = 1,
    /// Wrong usage, or an input file that cannot be read.
    Usage = 2,
    /// Published, but some IDs failed.
    SomeFailed = 3,
    /// The API refused the key.
    Refused = 4,
    /// Gave up on the network or the rate limit. What was fetched is kept.
    GaveUp = 5,
    /// The output could not be written.
    Output = 6,
    /// `verify` found a mismatch.
    Mismatch = 7,
    /// Not published: the new export would be empty, or much smaller than the existing one.
    NotPublished = 8,
    /// Interrupted by SIGHUP (128 + 1).
    HungUp = 129,
    /// Interrupted by SIGINT (128 + 2).
    Interrupted = 130,
    /// Interrupted by SIGTERM (128 + 15).
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// ENFILE and EMFILE. The standard library has no kind for them.
const FILE_LIMITS: [i32; 2] = [23, 24];

/// Whether too many files are open.
pub(crate) fn is_file_limit(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| FILE_LIMITS.contains(&code))
}

/// The hint for an error of the file system.
pub(crate) fn disk_hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free disk space and run the same command again; fetched tasks are kept"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a writable directory with --out, or run as the owner of this one"
        }
        io::ErrorKind::CrossesDevices => {
            "`.scale-export` must be on the same file system as the output directory"
        }
        io::ErrorKind::IsADirectory => {
            "a directory exists where a file must be written; move it away"
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "a file exists where a directory is needed; choose another directory with --out"
        }
        io::ErrorKind::NotFound => {
            "if the directory was removed, its contents are lost; run the same command again"
        }
        _ if is_file_limit(error) => {
            "too many files are open: raise the limit (`ulimit -n`), or export with a lower --concurrency"
        }
        _ => "check the disk and run the same command again; fetched tasks are kept",
    }
    .to_owned()
}

/// What an error tells the user in addition to its message.
///
/// The `Display` text of an implementor completes the sentence "error: …" and reads "could not OPERATION `SUBJECT`:
/// CAUSE".
pub trait Explain: std::error::Error {
    /// What the user can do, as a sentence fragment without a period.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The exit code of a run that ends with this error.
    fn exit(&self) -> Exit;
}
