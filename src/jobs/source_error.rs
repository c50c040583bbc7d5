//! Why a source of raw responses cannot be used.

use std::io;

use thiserror::Error;

use crate::error::{Exit, Explain, is_file_limit};
use crate::state::paths::JOURNAL;

/// Why a source of raw responses cannot be used.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It does not exist.
    #[error("there is no such file or directory")]
    Missing,
    /// The directory is not an export, or its journal cannot be read.
    #[error("the directory has no raw responses that can be read ({JOURNAL})")]
    NoJournal,
    /// The export would be written into the source.
    #[error("the output directory is inside it")]
    HoldsOutput,
    /// The system returned an error, or the file could not be decompressed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The hint for a source that is not one.
pub(crate) const SOURCE_HINT: &str =
    "name the directory of an export, or a file with one task per line (.jsonl, .gz, .zst)";

impl Explain for SourceError {
    fn hint(&self) -> Option<String> {
        let Self::Io(error) = self else {
            return Some(SOURCE_HINT.into());
        };
        let hint = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => SOURCE_HINT,
            io::ErrorKind::PermissionDenied => "make the file readable, or run as its owner",
            // The errors of the decoders.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => {
                "the file is damaged or incomplete: export or copy it again"
            }
            _ if is_file_limit(error) => {
                "too many files are open: raise the limit (`ulimit -n`), and run the same command again"
            }
            _ => "check the disk and run the same command again",
        };
        Some(hint.to_owned())
    }

    fn exit(&self) -> Exit {
        let Self::Io(error) = self else {
            return Exit::Usage;
        };
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => Exit::Usage,
            // Nothing is wrong with the file itself.
            _ => Exit::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_not_a_wrong_source() {
        let of = |code| SourceError::Io(io::Error::from_raw_os_error(code));
        // ENOENT, EACCES; EIO, EMFILE.
        for (code, exit, hint) in [
            (2, Exit::Usage, "name the directory of an export"),
            (13, Exit::Usage, "make the file readable"),
            (5, Exit::Failure, "check the disk"),
            (24, Exit::Failure, "raise the limit"),
        ] {
            let error = of(code);
            assert_eq!(error.exit(), exit, "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
    }
}
