//! Errors of the journal.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::{Exit, Explain, FileRole};
use crate::memory::{NO_MEMORY, NO_MEMORY_HINT};

/// Why the journal could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system returned an error.
    #[error("could not {operation} the journal `{}`: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        operation: &'static str,
        /// The journal.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The name of the journal belongs to a directory, a pipe or a device.
    #[error("could not read the journal `{}`: it is not a regular file", path.display())]
    NoFile {
        /// The journal.
        path: PathBuf,
    },
    /// A newer version of scale-export wrote it.
    #[error("could not read the journal `{}`: its format version {version} is newer than this version of scale-export supports", path.display())]
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
        /// The reason.
        #[source]
        cause: HeaderDamage,
    },
    /// It was written with other options.
    #[error("could not continue the journal `{}`: it was written with {option} `{before}`, not `{now}`", path.display())]
    Options {
        /// The journal.
        path: PathBuf,
        /// The option.
        option: String,
        /// Its value then.
        before: String,
        /// Its value now.
        now: String,
    },
    /// It holds copies of responses that another export fetched.
    #[error("could not continue the journal `{}`: `scale-export flatten` created it", path.display())]
    Copied {
        /// The journal.
        path: PathBuf,
    },
    /// The caller stopped the scan. Jobs end with `JobEnd::Stopped` instead.
    #[doc(hidden)]
    #[error("could not read the journal `{}`: interrupted", path.display())]
    Interrupted {
        /// The journal.
        path: PathBuf,
    },
    /// There is not enough memory for a record.
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
        /// The reason.
        #[source]
        cause: RecordDamage,
    },
}

/// What is wrong with the header of a journal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeaderDamage {
    /// The file is not a journal.
    #[error("it does not begin with the signature of a journal")]
    Signature,
    /// The file ends within the header.
    #[error("its header is cut off")]
    CutOff,
    /// The checksum does not match, or the version does not exist.
    #[error("its header is damaged")]
    Damaged,
    /// The options are not valid.
    #[error("{0}")]
    Options(serde_json::Error),
}

/// What is wrong with a record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordDamage {
    /// The file ends within the record.
    #[error("it is cut off")]
    CutOff,
    /// Its head is not valid.
    #[error("its header is damaged")]
    Head,
    /// Its checksum does not match, or it is that of another task.
    #[error("its checksum does not match")]
    Checksum,
    /// Its body cannot be decompressed.
    #[error("{0}")]
    Body(io::Error),
    /// It is not a valid failure.
    #[error("{0}")]
    Failure(serde_json::Error),
}

impl JournalError {
    /// A record of a task that cannot be read back.
    pub(crate) fn record(path: &Path, task_id: &str, cause: RecordDamage) -> Self {
        Self::Record {
            path: path.to_owned(),
            task_id: task_id.to_owned(),
            cause,
        }
    }

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
            Self::Io { source, .. } => FileRole::Output.hint(source).into(),
            Self::NoFile { .. } => "check what it is, and move it away".into(),
            Self::Newer { .. } => {
                "use the version of scale-export that wrote it, or export to an empty directory; if no newer version was used, the file is damaged: restore it from a backup".into()
            }
            Self::Header { .. } => {
                "restore it from a backup, or move it away and run the export again, which fetches all tasks again".into()
            }
            Self::Options { .. } => {
                "use the same options as before, or export to an empty directory".into()
            }
            Self::Copied { .. } => "export to another directory".into(),
            Self::Interrupted { .. } => "run the same command again".into(),
            Self::NoMemory { .. } => NO_MEMORY_HINT.into(),
            Self::Record { .. } => {
                "run the same command again, which fetches the lost responses again".into()
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } => FileRole::Output.exit(source),
            Self::Record { .. } => Exit::Output,
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
