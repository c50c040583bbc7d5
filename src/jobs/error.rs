//! Errors that end an export, a dry run or `flatten`.

use std::path::PathBuf;

use thiserror::Error;

use crate::api::error::FetchError;
#[cfg(feature = "buckets")]
use crate::bucket::error::BucketError;
#[cfg(feature = "delta")]
use crate::delta::delta_error::DeltaError;
use crate::error::{Exit, Explain, SOURCE_HINT};
use crate::ids::error::IdsError;
use crate::ids::shard::Shard;
use crate::jobs::report::SavedWork;
use crate::jobs::shards::shard_error::ShardError;
use crate::jobs::source_error::SourceError;
use crate::journal::error::JournalError;
use crate::memory::{NO_MEMORY, NO_MEMORY_HINT};
use crate::output_error::OutputError;
use crate::publish::guard::NotPublished;
use crate::tables::row_sink::SinkError;
use crate::threads::THREAD_HINT;

/// Why an export ended without being published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The network side.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The journal.
    #[error(transparent)]
    Journal(JournalError),
    /// The user stopped the job. Only the parts of a job return it: the job itself ends with `JobEnd::Stopped`.
    #[doc(hidden)]
    #[error("could not complete the run: interrupted")]
    Interrupted(SavedWork),
    /// The output directory.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The list of IDs.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// The export must not replace the published one.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
    /// The shards cannot be combined.
    #[error(transparent)]
    Shards(#[from] ShardError),
    /// The object store.
    #[cfg(feature = "buckets")]
    #[error(transparent)]
    Bucket(BucketError),
    /// The Delta tables.
    #[cfg(feature = "delta")]
    #[error(transparent)]
    Delta(DeltaError),
    /// A source of raw responses.
    #[error("could not read tasks from `{name}`: {cause}")]
    Source {
        /// Its name as given; `-` is standard input.
        name: String,
        /// Why.
        cause: SourceError,
    },
    /// There is not enough memory for a task.
    #[error("could not parse task `{task_id}`: {NO_MEMORY}")]
    NoMemory {
        /// The task.
        task_id: String,
    },
    /// There is not enough memory for a line.
    #[error("could not read line {line} of `{name}`: {NO_MEMORY}")]
    LineMemory {
        /// The name of the source, as given.
        name: String,
        /// The number of the line, from 1.
        line: u64,
    },
    /// The sources have no task.
    #[error("could not find any task in the sources")]
    NoTasks,
    /// The output directory has responses that were fetched into it.
    #[error("could not write to `{}`: it has fetched responses of an export, which would be lost", out.display())]
    Fetched {
        /// The directory.
        out: PathBuf,
    },
    /// The output directory has another shard, or the export of a whole list.
    #[error(
        "could not write to `{}`: it has {}, and this run exports {}", out.display(), shard_text(*.published), shard_text(*.requested)
    )]
    OtherShard {
        /// The directory.
        out: PathBuf,
        /// What it has; none for all IDs of a list.
        published: Option<Shard>,
        /// What the run exports; none for all IDs of a list.
        requested: Option<Shard>,
    },
    /// The limit of open files is too low for any run.
    #[error(
        "could not start: the limit of open files is {allowed}, and at least {least} are needed"
    )]
    OpenFiles {
        /// The hard limit.
        allowed: u64,
        /// The number of files that a run with one request in flight needs.
        least: u64,
    },
    /// A thread could not be started.
    #[error("could not start a thread: {0}")]
    Thread(std::io::Error),
    /// The network runtime could not be started.
    #[error("could not start the network runtime: {0}")]
    Runtime(std::io::Error),
    /// Rows could not be encoded.
    #[error("could not build the tables: {0}")]
    Tables(#[from] SinkError),
}

/// What a directory has, or a run exports.
fn shard_text(shard: Option<Shard>) -> String {
    shard.map_or_else(
        || "the tasks of a whole list".to_owned(),
        |shard| format!("shard {shard}"),
    )
}

impl From<JournalError> for ExportError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Interrupted { .. } => Self::Interrupted(SavedWork::Nothing),
            error => Self::Journal(error),
        }
    }
}

impl ExportError {
    /// For a job that was stopped: what it saved.
    pub(crate) fn with_saved(self, saved: SavedWork) -> Self {
        match self {
            Self::Interrupted(_) => Self::Interrupted(saved),
            error => error,
        }
    }

    /// Whether the run ended by decision, so that later runs request its failed IDs again. After any other error, the next
    /// run resumes with the failures that this one recorded.
    pub(crate) fn is_decision(&self) -> bool {
        match self {
            Self::NotPublished(_) => true,
            Self::Fetch(error) => error.is_decision(),
            _ => false,
        }
    }
}

impl Explain for ExportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Journal(error) => error.hint(),
            Self::Output(error) => error.hint(),
            Self::Ids(error) => error.hint(),
            Self::NotPublished(error) => error.hint(),
            Self::Shards(error) => error.hint(),
            #[cfg(feature = "buckets")]
            Self::Bucket(error) => error.hint(),
            #[cfg(feature = "delta")]
            Self::Delta(error) => error.hint(),
            Self::Source { cause, .. } => cause.hint(),
            Self::NoTasks => Some(SOURCE_HINT.into()),
            Self::NoMemory { .. } | Self::LineMemory { .. } => Some(NO_MEMORY_HINT.into()),
            Self::Fetched { .. } => Some(
                "choose another directory with --out (with --state, if --out is a URL), or name this directory as the only source".into(),
            ),
            Self::OtherShard { published, .. } => Some(match published {
                Some(published) => format!("choose another directory with --out, or continue with --shard {published}"),
                None => "choose another directory with --out: each shard has its own".into(),
            }),
            Self::Thread(_) => Some(THREAD_HINT.into()),
            Self::OpenFiles { .. } => Some("raise the hard limit of open files (`ulimit -Hn`)".into()),
            Self::Interrupted(_) => Some("run the same command again".into()),
            Self::Runtime(_) | Self::Tables(_) => Some(
                "run the same command again; if the error persists, report it with the message above".into(),
            ),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fetch(error) => error.exit(),
            Self::Journal(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Ids(error) => error.exit(),
            Self::NotPublished(error) => error.exit(),
            Self::Shards(error) => error.exit(),
            #[cfg(feature = "buckets")]
            Self::Bucket(error) => error.exit(),
            #[cfg(feature = "delta")]
            Self::Delta(error) => error.exit(),
            Self::Source { cause, .. } => cause.exit(),
            Self::NoTasks
            | Self::Fetched { .. }
            | Self::OtherShard { .. }
            | Self::OpenFiles { .. } => Exit::Usage,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Thread(_)
            | Self::Runtime(_)
            | Self::Tables(_)
            | Self::NoMemory { .. }
            | Self::LineMemory { .. } => Exit::Failure,
        }
    }
}
