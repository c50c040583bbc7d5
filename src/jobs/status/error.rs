//! Why there is no status of a directory.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::journal::error::JournalError;
use crate::output_error::OutputError;

/// Why there is no status. The status names damaged parts of an export itself.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// There is no export.
    #[error("could not find an export in `{}`: {cause}", path.display())]
    NoExport {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        cause: String,
    },
    /// A newer version of scale-export wrote the manifest, or it cannot be read.
    #[error(transparent)]
    Manifest(#[from] OutputError),
    /// A newer version of scale-export wrote the journal.
    #[error(transparent)]
    Journal(JournalError),
    /// The user stopped the job. Only its parts return it: the job itself ends with `JobEnd::Stopped`.
    #[doc(hidden)]
    #[error("could not complete the status: interrupted")]
    Interrupted,
}

impl Explain for StatusError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoExport { .. } => Some("name the directory that was passed to --out".to_owned()),
            Self::Manifest(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            Self::Interrupted => Some("run the same command again".to_owned()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoExport { .. } | Self::Manifest(_) | Self::Journal(_) => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}
