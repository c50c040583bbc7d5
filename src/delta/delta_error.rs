//! Errors of Delta tables.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::bucket::error::{BucketError, StoreFault};
use crate::error::{Exit, Explain};
use crate::ids::shard::Shard;
use crate::output_error::OutputError;
use crate::plural::plural;

/// Why tables could not be committed to Delta tables.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The place of the tables.
    #[error(transparent)]
    Place(#[from] BucketError),
    /// The tables of the export are not Parquet files.
    #[error(
        "could not use `{url}`: Delta tables have Parquet files, and this export has CSV files"
    )]
    Format {
        /// The place of the tables.
        url: String,
    },
    /// One of the place and the output directory is in the other, or they are the same.
    #[error(
        "could not use `{url}`: Delta tables and the output directory must not be in each other"
    )]
    InsideOutput {
        /// The place of the tables.
        url: String,
    },
    /// The export is one shard of a list.
    #[error(
        "could not use `{url}`: this export is shard {shard} of a list, and would replace the others"
    )]
    IsShard {
        /// The place of the tables.
        url: String,
        /// The shard.
        shard: Shard,
    },
    /// The local directory, or the one that it would be created in, cannot be written to.
    #[error("could not write to `{}`: {source}", directory.display())]
    Unwritable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too many tasks of the table would disappear.
    #[error("could not commit to `{url}`: {missing} of its {} would disappear", plural(*before, "task"))]
    Shrunk {
        /// The table.
        url: String,
        /// Tasks that it has.
        before: u64,
        /// Tasks that it would have less.
        missing: u64,
    },
    /// The log does not have the number of rows, so the guard cannot compare it.
    #[error("could not commit to `{url}`: its log does not have the number of its rows")]
    UnknownRows {
        /// The table.
        url: String,
    },
    /// The place has a table, or files, of others.
    #[error("could not use `{url}`: it has {what} that scale-export did not create")]
    Taken {
        /// The table.
        url: String,
        /// What it has.
        what: &'static str,
    },
    /// A column has another type, or is required but not in the export.
    #[error("could not use the Delta table `{url}`: {cause}")]
    Columns {
        /// The table.
        url: String,
        /// Which column, and why.
        cause: String,
    },
    /// Another writer committed to a table after this run had read it.
    #[error(
        "could not commit to `{url}`: another writer has committed to it since this run started"
    )]
    Overtaken {
        /// The table.
        url: String,
    },
    /// A request of the library failed, after all retries.
    #[error("could not {operation} `{url}`: {cause}")]
    Store {
        /// The operation, as a verb.
        operation: &'static str,
        /// The table.
        url: String,
        /// What the store responded, or why it did not.
        cause: String,
        /// What decides the hint.
        fault: StoreFault,
    },
    /// The log of the table cannot be read or written.
    #[error("could not {operation} `{url}`: {cause}")]
    Log {
        /// The operation, as a verb.
        operation: &'static str,
        /// The table.
        url: String,
        /// Why.
        cause: String,
    },
    /// The user stopped the job.
    #[error("could not complete the commit: interrupted")]
    Interrupted,
    /// A local file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Explain for DeltaError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Place(error) => return error.hint(),
            Self::Format { .. } => "leave out --format csv, or leave out --delta",
            Self::InsideOutput { .. } => "choose separate directories for --out and --delta",
            Self::IsShard { .. } => {
                "leave out --delta, and commit all shards: scale-export combine SHARD… --out DIR --delta URL"
            }
            Self::Unwritable { .. } => "choose a writable directory with --delta",
            Self::Shrunk { .. } => {
                "check that --delta is the right place, or allow it with --max-shrink; the export in --out is published"
            }
            Self::UnknownRows { .. } => {
                "if the table may shrink, allow it with --max-shrink 100%; the export in --out is published"
            }
            Self::Taken { .. } => {
                "choose another directory with --delta, or take the table over with --force"
            }
            Self::Columns { .. } => "choose another directory with --delta, or change the table",
            Self::Overtaken { .. } => {
                "let only one run at a time commit to a table; the next run commits what this one has built"
            }
            Self::Store { fault, .. } => fault.hint(),
            Self::Log { .. } => {
                "check the table with another reader of Delta tables, or choose another directory with --delta"
            }
            Self::Interrupted => "run the same command again",
            Self::Output(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Place(error) => error.exit(),
            Self::Format { .. }
            | Self::InsideOutput { .. }
            | Self::IsShard { .. }
            | Self::Taken { .. }
            | Self::Columns { .. }
            | Self::Overtaken { .. } => Exit::Usage,
            Self::Unwritable { .. } | Self::Store { .. } | Self::Log { .. } => Exit::Output,
            Self::Interrupted => Exit::Interrupted,
            Self::Shrunk { .. } | Self::UnknownRows { .. } => Exit::NotPublished,
            Self::Output(error) => error.exit(),
        }
    }
}
