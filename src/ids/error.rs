//! What can be wrong with a list of IDs. Depends on `error`.

use thiserror::Error;

use crate::error::{Exit, Explain};

/// Why the IDs could not be read. Nothing has been asked of the API then.
#[derive(Debug, Error)]
pub enum IdsError {
    /// The file could not be read.
    #[error("could not read IDs from `{file}`: {cause}")]
    Read {
        /// As given; `-` is standard input.
        file: String,
        /// Why.
        cause: String,
    },
    /// A line or record holds something that cannot be an ID.
    #[error("could not read IDs from `{file}`, {what} {number}: {cause}")]
    Line {
        /// As given.
        file: String,
        /// "line" or "row".
        what: &'static str,
        /// From 1.
        number: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no column of IDs.
    #[error("could not read IDs from `{file}`: it has no column `task_id`, only {columns}")]
    Column {
        /// As given.
        file: String,
        /// What there is.
        columns: String,
    },
    /// An `--id` that cannot be one.
    #[error("could not use `--id`: {cause}")]
    Id {
        /// What is wrong with it.
        cause: String,
    },
    /// Not a single ID.
    #[error("could not find any task ID in {given}")]
    Empty {
        /// Where was looked.
        given: String,
    },
}

impl Explain for IdsError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { cause, .. } if cause.contains("UTF-16") => "save the file as UTF-8".into(),
            Self::Read { .. } => "give a readable file, or `-` for standard input".into(),
            Self::Line { .. } => {
                "give one ID a line, or a .csv, .jsonl or .parquet file with a column `task_id`"
                    .into()
            }
            Self::Column { .. } => "name the column of IDs `task_id`".into(),
            Self::Id { .. } => "give one ID with each --id".into(),
            Self::Empty { .. } => {
                "give one ID a line; blank lines and lines that begin with # do not count".into()
            }
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
