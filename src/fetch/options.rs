//! The options of a run that fetches many tasks.

use std::time::Duration;

use crate::api::options::ClientOptions;
use crate::pacer::types::Rate;

/// How tasks are fetched.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Where and how requests are sent.
    pub client: ClientOptions,
    /// How fast requests are sent.
    pub rate: Rate,
    /// Whether other processes send requests under the same limit at the same time, as those of other shards do.
    pub is_limit_shared: bool,
    /// The maximum number of retries of an ID that keeps failing. Responses with status 429 are not counted.
    pub max_retries: u32,
    /// How long an ID, or the whole run, may go without a success.
    pub retry_timeout: Duration,
    /// Whether the first failed ID ends the run.
    pub fail_fast: bool,
    /// Whether 404 and 410 are not failures.
    pub drop_missing: bool,
}
