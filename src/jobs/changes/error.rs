//! Errors of `changes`.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::jobs::published_rows::UnreadableTable;
use crate::output_error::OutputError;
use crate::publish::digest_file::DigestError;
use crate::publish::file_names::FAILURES;
use crate::publish::publication_id::PublicationId;
use crate::publish::published_export::UnreadableExport;
use crate::tables::row_sink::SinkError;

/// Why the changes between two publications could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// The export is missing, or cannot be read.
    #[error(transparent)]
    Export(#[from] UnreadableExport),
    /// The digests of a publication cannot be read.
    #[error(transparent)]
    Digests(#[from] DigestError),
    /// A table of the export cannot be read.
    #[error(transparent)]
    Table(#[from] UnreadableTable),
    /// An earlier version of scale-export made the export, and kept no digests.
    #[error("could not list the changes of `{}`: its manifest does not name a publication", path.display())]
    NotRecorded {
        /// The directory.
        path: PathBuf,
    },
    /// The digests of the publication before are not known.
    #[error("could not list the changes of `{}`: the publication before {current} is not known", path.display())]
    UnknownPrevious {
        /// The directory.
        path: PathBuf,
        /// The last publication.
        current: PublicationId,
    },
    /// The last publication does not follow the one that the consumer has.
    #[error(
        "could not list the changes since {since}: the last publication is {current}, {}",
        follows(previous.as_ref())
    )]
    NotPrevious {
        /// What the consumer has.
        since: String,
        /// The last publication.
        current: PublicationId,
        /// The publication before; `None` if there was none.
        previous: Option<PublicationId>,
    },
    /// The two publications have tables of different shapes.
    #[error("could not list the changes from {from} to {to}: they differ in their {what}")]
    OtherShape {
        /// The publication before.
        from: PublicationId,
        /// The last publication.
        to: PublicationId,
        /// The option or version that differs.
        what: &'static str,
    },
    /// The failures of the export are not those that were published.
    #[error("could not list the changes of `{}`: its {FAILURES} or its list of IDs was changed", path.display())]
    ChangedFailures {
        /// The directory.
        path: PathBuf,
    },
    /// The tables lack a task that the publication has.
    #[error("could not copy the rows of changed tasks from `{}`: table `tasks` has {found} of {expected}", path.display())]
    MissingTasks {
        /// The directory.
        path: PathBuf,
        /// Changed tasks in the table.
        found: u64,
        /// Changed tasks.
        expected: u64,
    },
    /// The directory for the feed has files that are not of a feed.
    #[error("could not use `{}` for a feed of changes: it has a `{name}` that is not part of an earlier feed", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The first such file.
        name: String,
    },
    /// The directory for the feed is in an export.
    #[error("could not write changes to `{}`: it is inside of the export `{}`", path.display(), export.display())]
    InsideExport {
        /// The directory.
        path: PathBuf,
        /// The export.
        export: PathBuf,
    },
    /// Another process writes a feed into the directory.
    #[error("could not write changes to `{}`: another process is writing there", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The feed cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Rows could not be encoded.
    #[error("could not build the tables of the feed: {0}")]
    Tables(#[from] SinkError),
    /// The user stopped the job. Only its parts return it: the job itself ends with `JobEnd::Stopped`.
    #[doc(hidden)]
    #[error("could not complete the list of changes: interrupted")]
    Interrupted,
}

fn follows(previous: Option<&PublicationId>) -> String {
    match previous {
        Some(previous) => format!("and the one before is {previous}"),
        None => "which is the first".to_owned(),
    }
}

impl Explain for ChangesError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Export(error) => return error.hint(),
            Self::Digests(error) => return error.hint(),
            Self::Table(error) => return error.hint(),
            Self::Output(error) => return error.hint(),
            Self::NotRecorded { .. } => {
                "run the export again, which records its publication, and load the whole export".to_owned()
            }
            Self::UnknownPrevious { current, .. }
            | Self::NotPrevious { current, .. }
            | Self::OtherShape { to: current, .. } => {
                format!("load the whole export again, and continue with --since {current}")
            }
            Self::ChangedFailures { .. } => "run the export again, which restores them".to_owned(),
            Self::MissingTasks { .. } => {
                "list what is wrong: scale-export verify DIR; rebuild the tables: scale-export flatten DIR --out DIR".to_owned()
            }
            Self::Taken { .. } => {
                "name a new or empty directory with --out, or one that has an earlier feed".to_owned()
            }
            Self::InsideExport { .. } => "name a directory outside of the export with --out".to_owned(),
            Self::Busy { .. } => "wait for it to end, or name another directory with --out".to_owned(),
            Self::Tables(_) => return None,
            Self::Interrupted => "run the same command again".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Export(_)
            | Self::Digests(_)
            | Self::Table(_)
            | Self::NotRecorded { .. }
            | Self::UnknownPrevious { .. }
            | Self::NotPrevious { .. }
            | Self::OtherShape { .. }
            | Self::ChangedFailures { .. }
            | Self::MissingTasks { .. }
            | Self::Taken { .. }
            | Self::InsideExport { .. }
            | Self::Busy { .. } => Exit::Usage,
            Self::Output(error) => error.exit(),
            Self::Tables(_) => Exit::Failure,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}
