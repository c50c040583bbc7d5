//! Why an export could not be verified.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain, FileRole};
use crate::jobs::shards::shard_error::ShardError;
use crate::journal::error::JournalError;
use crate::memory::{NO_MEMORY, NO_MEMORY_HINT};
use crate::output_error::OutputError;
use crate::tables::row_sink::SinkError;
use crate::tables::table::SCHEMA_VERSION;

/// Why an export could not be verified.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no export.
    #[error("could not verify `{}`: {cause}", path.display())]
    NoExport {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        cause: &'static str,
    },
    /// Another version wrote it.
    #[error("could not verify `{}`: version {theirs} created it, and this is version {} (schema {SCHEMA_VERSION})", path.display(), env!("CARGO_PKG_VERSION"))]
    Version {
        /// The directory.
        path: PathBuf,
        /// The version that wrote it.
        theirs: String,
    },
    /// A run published a new export meanwhile.
    #[error("could not verify `{}`: a run published a new export during the verification", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("could not read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The output directory, such as its lock.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The shards could not be read, or are not those of the export.
    #[error(transparent)]
    Shards(#[from] ShardError),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(JournalError),
    /// The user stopped the job. Only its parts return it: the job itself ends with `JobEnd::Stopped`.
    #[doc(hidden)]
    #[error("could not complete the verification: interrupted")]
    Interrupted,
    /// There is not enough memory for a task.
    #[error("could not parse task `{task_id}`: {NO_MEMORY}")]
    NoMemory {
        /// The task.
        task_id: String,
    },
    /// A task could not be flattened to compare its rows.
    #[error("could not flatten a task to compare its rows: {0}")]
    Tables(#[from] SinkError),
}

impl From<JournalError> for VerifyError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Interrupted { .. } => Self::Interrupted,
            error => Self::Journal(error),
        }
    }
}

impl Explain for VerifyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoExport { .. } => {
                Some("name the directory that was passed to --out; an export that was never published has no manifest yet".into())
            }
            Self::Version { .. } => Some(
                "rebuild the tables with scale-export flatten, or run the export again".into(),
            ),
            Self::Changed { .. } | Self::Interrupted => Some("run the same command again".into()),
            Self::Io { source, .. } => Some(FileRole::Verified.hint(source).into()),
            Self::Output(error) => error.hint(),
            Self::Shards(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            Self::NoMemory { .. } => Some(NO_MEMORY_HINT.into()),
            Self::Tables(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Journal(error @ JournalError::NoMemory { .. }) => error.exit(),
            Self::NoExport { .. }
            | Self::Version { .. }
            | Self::Changed { .. }
            | Self::Output(_)
            | Self::Journal(_) => Exit::Usage,
            Self::Shards(error) => error.exit(),
            Self::Io { source, .. } => FileRole::Verified.exit(source),
            Self::Tables(_) | Self::NoMemory { .. } => Exit::Failure,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}
