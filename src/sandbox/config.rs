//! A local stand-in of the API: a real HTTP server on loopback that checks the key, serves generated
//! or given tasks, limits the rate, and misbehaves on demand.
//!
//! `generate` makes tasks, `catalog` and `pages` put them into lists, `limit` and `faults` decide who suffers,
//! `server` answers. Depends on `json` and `error`.

use std::path::PathBuf;
use std::time::Duration;

use crate::sandbox::faults::{FailedId, FaultRule};
use crate::sandbox::limit_models::LimitPlan;
use crate::sandbox::pagination::ListFault;
use crate::sandbox::responses::{QuotaHeaders, RetryAfter};

/// The key that a sandbox accepts unless told otherwise.
pub const DEFAULT_KEY: &str = "test_key";

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The key that is accepted.
    pub key: String,
    /// Number of the last generated task; `None` for no end.
    pub tasks: Option<u64>,
    /// A `.jsonl` or `.jsonl.gz` file of tasks that are served instead, byte for byte.
    pub from: Option<PathBuf>,
    /// Other tasks for other seeds.
    pub seed: u64,
    /// Mix in what the API's documentation does not have?
    pub drift: bool,
    /// Tasks of a batch, one after the other; without, batches are mixed and some tasks have none.
    pub batch_size: Option<u64>,
    /// What limits requests, and when the server is away.
    pub limits: LimitPlan,
    /// How long a 429 asks to wait.
    pub retry_after: Option<RetryAfter>,
    /// Headers that tell what is left of the first limit.
    pub quota_headers: Option<QuotaHeaders>,
    /// Time that an answer takes.
    pub latency: Duration,
    /// Time that it takes at most beyond that, differing from request to request.
    pub latency_jitter: Duration,
    /// What is odd about lists.
    pub list_faults: Vec<ListFault>,
    /// Faults by share.
    pub faults: Vec<FaultRule>,
    /// Tasks that always have a fault.
    pub failed_ids: Vec<FailedId>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            port: 0,
            key: DEFAULT_KEY.to_owned(),
            tasks: None,
            from: None,
            seed: 0,
            drift: false,
            batch_size: None,
            limits: LimitPlan::default(),
            retry_after: None,
            quota_headers: None,
            latency: Duration::ZERO,
            latency_jitter: Duration::ZERO,
            list_faults: Vec::new(),
            faults: Vec::new(),
            failed_ids: Vec::new(),
        }
    }
}
