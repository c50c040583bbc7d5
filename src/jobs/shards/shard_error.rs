//! Why shards cannot be combined.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::ids::error::IdsError;
use crate::ids::shard::Shard;
use crate::output_error::OutputError;
use crate::publish::published_export::UnreadableExport;

/// Why shards cannot be combined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShardError {
    /// A directory has no export that this version can read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableExport),
    /// A shard is in use, or its lock cannot be read.
    #[error(transparent)]
    Locked(#[from] OutputError),
    /// The list of IDs of a shard cannot be read.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// A directory has an export of a whole list.
    #[error("could not use `{}` as a shard: it is the export of a whole list", path.display())]
    NoShard {
        /// The directory.
        path: PathBuf,
    },
    /// Another version of the program wrote a shard.
    #[error("could not use shard {shard} in `{}`: version {theirs} wrote it, and this is version {ours}", path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// The shard.
        shard: Shard,
        /// The version that wrote it.
        theirs: String,
        /// This version.
        ours: String,
    },
    /// Two directories have the same shard.
    #[error("could not use the shards: `{}` and `{}` both have shard {shard}", one.display(), other.display())]
    Twice {
        /// The shard.
        shard: Shard,
        /// A directory.
        one: PathBuf,
        /// Another directory.
        other: PathBuf,
    },
    /// A shard is one of another list, or of another number of shards, or was exported with other options.
    #[error("could not use shard {shard} in `{}` with shard {first} in `{}`: their {difference} differ", path.display(), first_path.display())]
    Incompatible {
        /// The directory.
        path: PathBuf,
        /// The shard.
        shard: Shard,
        /// The directory of the first shard.
        first_path: PathBuf,
        /// The first shard.
        first: Shard,
        /// What differs.
        difference: &'static str,
    },
    /// The export that is verified was combined from other shards.
    #[error("could not verify the export with these shards: their {0} are others")]
    OtherExport(&'static str),
    /// Shards are missing.
    #[error("could not use the shards: {} missing", missing_text(missing, *more))]
    Missing {
        /// The first missing shards.
        missing: Vec<Shard>,
        /// How many more are missing.
        more: u64,
    },
    /// A file of the state of a shard is missing, or cannot be read.
    #[error("could not use shard {shard} in `{}`: {name}: {cause}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// The shard.
        shard: Shard,
        /// The file, as a path in the directory.
        name: &'static str,
        /// The error of the system.
        cause: io::Error,
    },
    /// The raw responses of a shard are damaged, or not those of its tables.
    #[error("could not use shard {shard} in `{}`: {cause}", path.display())]
    Unpublished {
        /// The directory.
        path: PathBuf,
        /// The shard.
        shard: Shard,
        /// What is wrong.
        cause: &'static str,
    },
    /// The combined tables have other rows than the shards.
    #[error(
        "could not combine the shards: `{table}` has {found} rows, and in the shards {published}"
    )]
    OtherRows {
        /// The table.
        table: &'static str,
        /// Rows by the manifests of the shards.
        published: u64,
        /// Rows by the state of the shards.
        found: u64,
    },
    /// The output directory has responses that were fetched into it.
    #[error("could not write to `{}`: it has responses that an export fetched, which would be lost", out.display())]
    OutHasResponses {
        /// The output directory.
        out: PathBuf,
    },
    /// The output directory is a shard, or inside one.
    #[error("could not write to `{}`: it is the directory of a shard, or inside one", out.display())]
    OutIsShard {
        /// The output directory.
        out: PathBuf,
    },
}

/// Missing shards in words, with the verb.
fn missing_text(missing: &[Shard], more: u64) -> String {
    let shown: Vec<String> = missing.iter().map(Shard::to_string).collect();
    match (shown.as_slice(), more) {
        ([only], 0) => format!("shard {only} is"),
        ([others @ .., last], 0) => format!("shards {} and {last} are", others.join(", ")),
        (all, more) => format!("shards {} and {more} more are", all.join(", ")),
    }
}

impl Explain for ShardError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable(error) => return error.hint(),
            Self::Locked(OutputError::Locked { .. }) => {
                "wait until the run of the shard ends".to_owned()
            }
            Self::Locked(error) => return error.hint(),
            Self::Ids(error) => return error.hint(),
            Self::NoShard { .. } => {
                "name the output directories of runs with --shard 0/N, 1/N and so on".to_owned()
            }
            Self::Version { .. } => {
                "run all shards with this version: tables that are current stay as they are"
                    .to_owned()
            }
            Self::Twice { .. } => "name each shard once".to_owned(),
            Self::Incompatible { .. } => {
                "run all shards with the same list of IDs, the same N and the same options"
                    .to_owned()
            }
            Self::OtherExport(_) => "name the shards that it was combined from".to_owned(),
            Self::Missing { .. } => {
                "name the directories of all shards; a shard without IDs has one too".to_owned()
            }
            Self::State { cause, .. } if cause.kind() == ErrorKind::NotFound => {
                "copy the whole directory of a shard, with the hidden directory .scale-export"
                    .to_owned()
            }
            Self::State { .. } => "run the command as the user who exported the shards".to_owned(),
            Self::Unpublished { .. } => {
                "run the shard again: it fetches what is lost, and publishes what it has".to_owned()
            }
            Self::OtherRows { .. } => {
                "find the damaged shard with scale-export verify, and run it again".to_owned()
            }
            Self::OutHasResponses { .. } | Self::OutIsShard { .. } => {
                "choose another directory with --out, or with --state if --out is a URL".to_owned()
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unreadable(error) => error.exit(),
            Self::Locked(error) => error.exit(),
            Self::Ids(error) => error.exit(),
            _ => Exit::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_shards_are_named() {
        let shards = |indexes: &[u32]| {
            let shards = indexes.iter().map(|index| Shard::new(*index, 9).unwrap());
            shards.collect::<Vec<_>>()
        };
        assert_eq!(missing_text(&shards(&[1]), 0), "shard 1/9 is");
        assert_eq!(missing_text(&shards(&[1, 2]), 0), "shards 1/9 and 2/9 are");
        assert_eq!(
            missing_text(&shards(&[1, 2, 3]), 0),
            "shards 1/9, 2/9 and 3/9 are"
        );
        assert_eq!(
            missing_text(&shards(&[1, 2]), 4),
            "shards 1/9, 2/9 and 4 more are"
        );
    }
}
