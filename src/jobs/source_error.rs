//! Why a source of raw responses cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain, FileRole, SOURCE_HINT};
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
    /// The export in a bucket was not published from this state.
    #[error("the state in `{}` has no record of a publication there", .0.display())]
    OtherState(PathBuf),
    /// The directory has no state.
    #[error("`{}` has no state of an export", .0.display())]
    NoState(PathBuf),
    /// The system returned an error, or the file could not be decompressed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Explain for SourceError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io(error) => FileRole::Source.hint(error),
            Self::Missing | Self::NoJournal | Self::HoldsOutput => SOURCE_HINT,
            Self::OtherState(_) | Self::NoState(_) => {
                "name the --state of the runs that publish there: it has the raw responses"
            }
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io(error) => FileRole::Source.exit(error),
            Self::Missing
            | Self::NoJournal
            | Self::HoldsOutput
            | Self::OtherState(_)
            | Self::NoState(_) => Exit::Usage,
        }
    }
}
