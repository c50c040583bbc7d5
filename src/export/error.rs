//! What can end an export: the errors of its parts. Depends on `error`.

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::fetch::FetchError;
use crate::journal::JournalError;
use crate::output::OutputError;

/// Why an export ended without being published.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The network side.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The network runtime could not be made.
    #[error("could not start the network runtime: {0}")]
    Runtime(std::io::Error),
    /// A batch could not be made or written for a reason that is none of the above.
    #[error("could not build the tables: {0}")]
    Tables(crate::tables::SinkError),
}

impl From<crate::tables::SinkError> for ExportError {
    fn from(error: crate::tables::SinkError) -> Self {
        match error.downcast::<OutputError>() {
            Ok(error) => Self::Output(*error),
            Err(error) => Self::Tables(error),
        }
    }
}

impl Explain for ExportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            Self::Output(error) => error.hint(),
            Self::Runtime(_) | Self::Tables(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Journal(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Runtime(_) | Self::Tables(_) => Exit::Failure,
        }
    }
}
