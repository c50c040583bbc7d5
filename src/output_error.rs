//! Errors of the output directory and its files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::{Exit, Explain, FileRole};

/// Why the output could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file system returned an error.
    #[error("could not {operation} `{}`: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A table's file could not be encoded or written.
    #[error("could not write table `{table}` to `{}`: {cause}", path.display())]
    Table {
        /// The table.
        table: &'static str,
        /// Its file.
        path: PathBuf,
        /// The error of the writer.
        cause: String,
    },
    /// The directory has a file that scale-export did not create, under a name that this run publishes.
    #[error("could not use the output directory `{}`: it has a `{name}` that scale-export did not create", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The first such file.
        name: String,
    },
    /// Another process holds the lock of the directory.
    #[error("could not lock the output directory `{}`: another run holds the lock ({holder})", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds the lock, or `unknown`.
        holder: String,
    },
    /// A file of the state is a link, a pipe or a device, or belongs to another user.
    #[error("could not use `{}`: {source}", path.display())]
    UnsafeFile {
        /// The file.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// The lock file was removed or replaced during the run, so another run may be writing.
    #[error("could not publish in `{}`: the lock file was removed or replaced during the run", path.display())]
    LockLost {
        /// The directory.
        path: PathBuf,
    },
    /// The file system does not support locks, or returned an error.
    #[error("could not lock `{}`: {source}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A newer version of scale-export wrote the manifest.
    #[error("could not read the manifest `{}`: its format version {version} is newer than this version of scale-export supports", path.display())]
    NewerManifest {
        /// The manifest.
        path: PathBuf,
        /// Its format version.
        version: u32,
    },
}

impl OutputError {
    /// An error constructor for `map_err` on results of the file system.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

impl Explain for OutputError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => Some(FileRole::Output.hint(source).into()),
            Self::Table { .. } => {
                Some("fetched tasks are kept; run the same command again to continue".into())
            }
            Self::Taken { name, .. } => Some(format!(
                "move `{name}` away, choose another directory with --out, or overwrite it with --force"
            )),
            Self::Locked { .. } => {
                Some("wait for the other run to end, or export to another directory".into())
            }
            Self::UnsafeFile { .. } => Some(
                "check who created it; run as the owner of the export, give its state to this user with `chown -R`, or choose another directory with --out".into(),
            ),
            Self::LockLost { .. } => Some(
                "fetched tasks are kept; do not delete files in `.scale-export` during a run, and run the same command again".into(),
            ),
            Self::Lock { .. } => Some(
                "the file system may not support locks, like some network shares; export to a local disk and copy the files".into(),
            ),
            Self::NewerManifest { .. } => {
                Some("use the version of scale-export that wrote it, or move the export away".into())
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Taken { .. } | Self::Locked { .. } | Self::NewerManifest { .. } => Exit::Usage,
            Self::Io { source, .. } => FileRole::Output.exit(source),
            Self::UnsafeFile { .. }
            | Self::LockLost { .. }
            | Self::Lock { .. }
            | Self::Table { .. } => Exit::Output,
        }
    }
}
