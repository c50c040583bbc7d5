//! Errors of the journal.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::{Exit, Explain, disk_hint};
use crate::memory::{NO_MEMORY, NO_MEMORY_HINT};

/// Why the journal could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system refused something.
    #[error("could not {operation} the journal `{}`: {source}", path.display())]
    Io {
        /// What failed.
        operation: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something that is not a file has its name.
    #[error("could not read the journal `{}`: it is not a regular file", path.display())]
    NoFile {
        /// The journal.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error("could not read the journal `{}`: its format version {version} is newer than this tool", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is not a journal, or its header is damaged.
    #[error("could not read the journal `{}`: {cause}", path.display())]
    Header {
        /// The journal.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// It was written with other options.
    #[error("could not continue the journal `{}`: it was written with {option} `{before}`, not `{now}`", path.display())]
    Options {
        /// The journal.
        path: PathBuf,
        /// Which option.
        option: String,
        /// Its value then.
        before: String,
        /// Its value now.
        now: String,
    },
    /// It holds copies of responses that another export fetched.
    #[error("could not continue the journal `{}`: it was made by flatten", path.display())]
    Copied {
        /// The journal.
        path: PathBuf,
    },
    /// The caller stopped the scan. Jobs end with `JobEnd::Stopped` instead.
    #[doc(hidden)]
    #[error("could not read the journal `{}` to its end: interrupted", path.display())]
    Interrupted {
        /// The journal.
        path: PathBuf,
    },
    /// The system refused the memory that a record takes.
    #[error("could not read task `{task_id}` from the journal `{}`: {NO_MEMORY}", path.display())]
    NoMemory {
        /// The journal.
        path: PathBuf,
        /// The task.
        task_id: String,
    },
    /// A record cannot be read back.
    #[error("could not read task `{task_id}` from the journal `{}`: {cause}", path.display())]
    Record {
        /// The journal.
        path: PathBuf,
        /// The task.
        task_id: String,
        /// Why.
        cause: String,
    },
}

impl JournalError {
    /// For `map_err` on results of the file system.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

impl Explain for JournalError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } => disk_hint(source),
            Self::NoFile { .. } => "look at what stands there, and move it away".into(),
            Self::Newer { .. } => {
                "use the version of this tool that wrote it, or export to an empty directory; if none was newer, the file is damaged: bring it back from a copy".into()
            }
            Self::Header { .. } => {
                "bring it back from a copy, or move it away and export again, which fetches everything again".into()
            }
            Self::Options { .. } => {
                "use the same options as before, or export to an empty directory".into()
            }
            Self::Copied { .. } => "export to another directory".into(),
            Self::Interrupted { .. } => "run the same command again".into(),
            Self::NoMemory { .. } => NO_MEMORY_HINT.into(),
            Self::Record { .. } => "fetch everything again with --refresh all".into(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } | Self::Record { .. } => Exit::Output,
            Self::NoFile { .. }
            | Self::Newer { .. }
            | Self::Header { .. }
            | Self::Options { .. }
            | Self::Copied { .. } => Exit::Usage,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::NoMemory { .. } => Exit::Failure,
        }
    }
}
