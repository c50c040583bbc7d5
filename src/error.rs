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
fn is_file_limit(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| FILE_LIMITS.contains(&code))
}

/// What a file is to the run. It decides what an error of the system means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileRole {
    /// A file that the run writes: the output directory with its state.
    Output,
    /// A source of raw responses.
    Source,
    /// A file of a published export that is read.
    Verified,
}

/// The hint for a source of raw responses that is not one.
pub(crate) const SOURCE_HINT: &str =
    "name the directory of an export, or a file with one task per line (.jsonl, .gz, .zst)";

impl FileRole {
    /// What the user can do about an error of the system.
    pub(crate) fn hint(self, error: &io::Error) -> &'static str {
        if is_file_limit(error) {
            return match self {
                Self::Source => {
                    "too many files are open: raise the limit (`ulimit -n`), and run the same command again"
                }
                Self::Output | Self::Verified => {
                    "too many files are open: raise the limit (`ulimit -n`), or export with a lower --concurrency"
                }
            };
        }
        match self {
            Self::Output => output_hint(error.kind()),
            Self::Source => source_hint(error.kind()),
            Self::Verified => "make the file readable, or check the disk",
        }
    }

    /// The exit code of a run that ends with an error of the system.
    pub(crate) fn exit(self, error: &io::Error) -> Exit {
        match self {
            Self::Output => Exit::Output,
            Self::Verified => Exit::Usage,
            Self::Source => match error.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof => Exit::Usage,
                // Nothing is wrong with the file itself.
                _ => Exit::Failure,
            },
        }
    }
}

fn output_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
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
        _ => "check the disk and run the same command again; fetched tasks are kept",
    }
}

fn source_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => SOURCE_HINT,
        io::ErrorKind::PermissionDenied => "make the file readable, or run as its owner",
        // The errors of the decoders.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            "the file is damaged or incomplete: export or copy it again"
        }
        _ => "check the disk and run the same command again",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_does_not_make_a_source_invalid() {
        // ENOENT, EACCES; EIO, EMFILE.
        for (code, exit, hint) in [
            (2, Exit::Usage, "name the directory of an export"),
            (13, Exit::Usage, "make the file readable"),
            (5, Exit::Failure, "check the disk"),
            (24, Exit::Failure, "raise the limit"),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(FileRole::Source.exit(&error), exit, "{error}");
            assert!(FileRole::Source.hint(&error).contains(hint), "{error}");
            assert_eq!(FileRole::Output.exit(&error), Exit::Output, "{error}");
        }
    }
}
