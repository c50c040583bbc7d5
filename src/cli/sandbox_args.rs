//! The options of `sandbox`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{sandbox_values, value_parsers};
use crate::sandbox::config::DEFAULT_KEY;
use crate::sandbox::faults::{FailedId, FaultRule};
use crate::sandbox::limit_models::{Limit, OtherClient, TimeSpan};
use crate::sandbox::pagination::ListFault;
use crate::sandbox::responses::{QuotaHeaders, RetryAfter};

/// Options of the mock server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct SandboxArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 8080,
        value_parser = value_parsers::whole::<u16>("port", 0..=u16::MAX.into())
    )]
    pub(crate) port: u16,
    /// API key that the server accepts
    #[arg(long, value_name = "KEY", default_value = DEFAULT_KEY)]
    pub(crate) key: String,
    /// Time until a response
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = value_parsers::duration)]
    pub(crate) latency: Duration,
    /// Additional random time, at most
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration)]
    pub(crate) latency_jitter: Option<Duration>,

    /// Number of the last task [default: any `task_N` exists, and lists end at 1,000]
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parsers::whole::<u64>("number of tasks", 0..=u64::MAX),
        help_heading = "Tasks"
    )]
    pub(crate) tasks: Option<u64>,
    /// Serve the tasks of a .jsonl or .jsonl.gz file instead of generated ones
    #[arg(long, value_name = "FILE", help_heading = "Tasks")]
    pub(crate) from: Option<PathBuf>,
    /// Generate other tasks
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = value_parsers::whole::<u64>("seed", 0..=u64::MAX),
        help_heading = "Tasks"
    )]
    pub(crate) seed: u64,
    /// Add keys and values that the API documentation does not have
    #[arg(long, help_heading = "Tasks")]
    pub(crate) drift: bool,
    /// Put tasks into batches of N, in order [default: mixed]
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parsers::whole::<u64>("number of tasks", 1..=u64::MAX),
        help_heading = "Tasks"
    )]
    pub(crate) batch_size: Option<u64>,

    /// A limit that clients do not know; repeatable
    ///
    /// `token_bucket=100/s`, or `token_bucket=100/s:20` with the size of the bucket, `fixed_window=6000/m`,
    /// `sliding_window=100/s`, `concurrency=8`, or `queue=50/s`.
    #[arg(long, value_name = "KIND=N", help_heading = "Rate limits")]
    pub(crate) limit: Vec<Limit>,
    /// Short form of --limit `token_bucket=N`
    #[arg(
        long,
        value_name = "N",
        value_parser = sandbox_values::requests_per_second,
        help_heading = "Rate limits"
    )]
    pub(crate) rate_limit: Option<f64>,
    /// Size of the bucket of --rate-limit [default: the requests of 0.1 s]
    #[arg(
        long,
        value_name = "N",
        requires = "rate_limit",
        value_parser = sandbox_values::burst,
        help_heading = "Rate limits"
    )]
    pub(crate) burst: Option<f64>,
    /// Multiply all limits by a factor after a time, like 30s=0.5; repeatable
    #[arg(
        long,
        value_name = "TIME=FACTOR",
        value_parser = sandbox_values::limit_change,
        help_heading = "Rate limits"
    )]
    pub(crate) limit_change: Vec<(Duration, f64)>,
    /// Another client of the same key, with N requests per second, like 50@20s-40s; repeatable
    #[arg(
        long,
        value_name = "N@FROM-UNTIL",
        value_parser = sandbox_values::other_client,
        help_heading = "Rate limits"
    )]
    pub(crate) other_client: Vec<OtherClient>,
    /// `Retry-After` of a 429: SECONDS, date:SECONDS or date:SECONDS+SKEW [default: absent]
    ///
    /// With `+SKEW`, the date comes from a clock that is this many seconds ahead.
    #[arg(long, value_name = "SECONDS", help_heading = "Rate limits")]
    pub(crate) retry_after: Option<RetryAfter>,
    /// Headers with the remaining requests of the first limit: plain, prefixed (X-) or structured
    #[arg(long, value_name = "KIND", help_heading = "Rate limits")]
    pub(crate) quota_headers: Option<QuotaHeaders>,

    /// Respond with 503 during this time, like 20s-50s; repeatable
    #[arg(
        long,
        value_name = "FROM-UNTIL",
        value_parser = sandbox_values::span,
        help_heading = "Faults"
    )]
    pub(crate) outage: Vec<TimeSpan>,
    /// A fault of a share of the tasks, on their first attempt, like reset=0.05; repeatable
    ///
    /// `reset=0.05:3` lasts for three attempts, `reset=0.05:always` for all. KIND is reset, truncate, slow, hang, html,
    /// `wrong_task`, `bad_gzip`, `bad_json`, `not_found`, or a status from 400 to 599.
    #[arg(long, value_name = "KIND=SHARE[:N]", help_heading = "Faults")]
    pub(crate) fault: Vec<FaultRule>,
    /// A fault of one task, on all attempts, like `500=task_7`; repeatable
    #[arg(long, value_name = "KIND=ID", help_heading = "Faults")]
    pub(crate) fail_id: Vec<FailedId>,
    /// A fault of list endpoints; repeatable
    ///
    /// loop, `empty_page`, moving, expire=N, differs, `short_pages` or `bad_task`.
    #[arg(long, value_name = "KIND", help_heading = "Faults")]
    pub(crate) list_fault: Vec<ListFault>,
}
