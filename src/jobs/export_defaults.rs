//! Defaults and limits of the options of an export, for the builder and the command line.

use std::thread::available_parallelism;
use std::time::Duration;

/// The base URL of the API.
pub const DEFAULT_BASE_URL: &str = "https://api.scale.com";

/// The environment variable with the base URL, where no base URL is given.
pub(crate) const URL_VARIABLE: &str = "SCALE_API_URL";

/// Values of the `opts` parameter: with them, a task has all of its details.
pub const DEFAULT_OPTS: [&str; 3] = [
    "annotation_details",
    "attachment_details",
    "model_parameters",
];

/// The maximum number of requests in flight.
pub const DEFAULT_CONCURRENCY: u16 = 32;

/// The largest maximum number of requests in flight.
pub const MAX_CONCURRENCY: u16 = 1024;

/// The timeout of one attempt.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The timeout for opening a connection.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A response that delivers no byte for this long is given up.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of retries of an ID that keeps failing.
pub const DEFAULT_MAX_RETRIES: u32 = 8;

/// How long an ID, or the whole run, may go without a success.
pub const DEFAULT_RETRY_TIMEOUT: Duration = Duration::from_mins(5);

/// The largest response, in bytes after decompression.
pub const DEFAULT_MAX_BODY: u64 = 256 << 20;

/// The maximum of the largest response: a text column of a batch holds 2 GiB.
pub const MAX_BODY_LIMIT: u64 = 1 << 30;

/// The most threads that build tables by default. Each takes memory for a range of tasks.
const MAX_DEFAULT_THREADS: usize = 8;

/// The largest number of threads that build tables.
pub const MAX_THREADS: u16 = 256;

/// The default number of threads that build tables: one for each core that this process may use, and at most 8.
pub fn default_threads() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(MAX_DEFAULT_THREADS))
}
