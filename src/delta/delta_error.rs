//! Errors of Delta tables.

use thiserror::Error;

use crate::bucket::error::{BucketError, StoreFault};
use crate::error::{Exit, Explain};
use crate::output_error::OutputError;
use crate::publish::guard::NotPublished;

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
    /// The place is the output directory, or inside of it.
    #[error("could not use `{url}`: it is in the output directory")]
    InsideOutput {
        /// The place of the tables.
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
    /// The export must not replace the tables.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
    /// A local file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Explain for DeltaError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Place(error) => return error.hint(),
            Self::Format { .. } => "leave out --format csv, or leave out --delta",
            Self::InsideOutput { .. } => "choose a directory outside of --out",
            Self::Taken { .. } => {
                "choose another directory with --delta, or take the table over with --force"
            }
            Self::Columns { .. } => {
                "choose another directory with --delta, or change the column back"
            }
            Self::Overtaken { .. } => {
                "let only one run at a time commit to a table; the next run commits what this one has built"
            }
            Self::Store { fault, .. } => fault.hint(),
            Self::Log { .. } => {
                "check the table with another reader of Delta tables, or choose another directory with --delta"
            }
            Self::Interrupted => "run the same command again",
            Self::NotPublished(error) => return error.hint(),
            Self::Output(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Place(error) => error.exit(),
            Self::Format { .. }
            | Self::InsideOutput { .. }
            | Self::Taken { .. }
            | Self::Columns { .. }
            | Self::Overtaken { .. } => Exit::Usage,
            Self::Store { .. } | Self::Log { .. } => Exit::Output,
            Self::Interrupted => Exit::Interrupted,
            Self::NotPublished(error) => error.exit(),
            Self::Output(error) => error.exit(),
        }
    }
}
