//! Why the options of an export cannot be used.

use thiserror::Error;

use crate::api::api_key::KeyError;
use crate::api::error::FetchError;
use crate::error::{Exit, Explain};
use crate::ids::shard::Shard;
use crate::jobs::export_defaults::{
    DEFAULT_BASE_URL, MAX_BODY_LIMIT, MAX_CONCURRENCY, URL_VARIABLE,
};
use crate::plural::bytes_text;

/// Why [`ExportOptionsBuilder::build`](crate::ExportOptionsBuilder::build) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The API key could not be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The CA certificates could not be read.
    #[error(transparent)]
    CaFile(#[from] FetchError),
    /// The base URL is empty, or only white space and `/`.
    #[error("could not use the base URL: {} is empty", variable.unwrap_or("it"))]
    EmptyBaseUrl {
        /// The environment variable with the base URL, if no other was given.
        variable: Option<&'static str>,
    },
    /// The environment variable with the base URL is not UTF-8.
    #[error("could not read the environment: the value of {URL_VARIABLE} is not UTF-8")]
    UrlVariable,
    /// The tasks are given as IDs and as lists.
    #[error("could not choose the tasks: there are both IDs and lists")]
    IdsAndLists,
    /// The tasks come from lists, and only a shard is to be exported.
    #[error("could not choose shard {0}: only a list of IDs has shards")]
    ShardOfLists(Shard),
    /// The number of requests in flight is 0 or too large.
    #[error("could not use a concurrency of {0}")]
    Concurrency(usize),
    /// The largest response is too large.
    #[error("could not use a maximum of {} for a response", bytes_text(*.0))]
    MaxBody(u64),
}

impl Explain for OptionsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::CaFile(error) => error.hint(),
            Self::EmptyBaseUrl { .. } | Self::UrlVariable => {
                Some(format!("the default is {DEFAULT_BASE_URL}"))
            }
            Self::IdsAndLists => Some("give either IDs or lists".into()),
            Self::ShardOfLists(_) => Some(
                "write the IDs to a file with `scale-export ids`, and give that file to all shards"
                    .into(),
            ),
            Self::Concurrency(_) => Some(format!("choose a number from 1 to {MAX_CONCURRENCY}")),
            Self::MaxBody(_) => Some(format!("the limit is {MAX_BODY_LIMIT} bytes")),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Key(error) => error.exit(),
            Self::CaFile(error) => error.exit(),
            Self::EmptyBaseUrl { .. }
            | Self::UrlVariable
            | Self::IdsAndLists
            | Self::ShardOfLists(_)
            | Self::Concurrency(_)
            | Self::MaxBody(_) => Exit::Usage,
        }
    }
}
