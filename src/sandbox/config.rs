//! The options of a sandbox: tasks, limits and faults.

use std::path::PathBuf;
use std::time::Duration;

use crate::sandbox::faults::{FailedId, FaultRule};
use crate::sandbox::limit_models::LimitPlan;
use crate::sandbox::pagination::ListFault;
use crate::sandbox::responses::{QuotaHeaders, RetryAfter};

/// The default API key of a sandbox.
pub const DEFAULT_KEY: &str = "test_key";

/// The options of a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The API key that is accepted.
    pub key: String,
    /// The number of the last generated task; `None` for no limit.
    pub tasks: Option<u64>,
    /// A `.jsonl` or `.jsonl.gz` file with tasks that are served instead, byte for byte.
    pub from: Option<PathBuf>,
    /// The seed of generated tasks.
    pub seed: u64,
    /// Whether tasks have members and values that the API's documentation does not have.
    pub drift: bool,
    /// The number of tasks of a batch, which follow each other. Without it, batches are mixed and some tasks have none.
    pub batch_size: Option<u64>,
    /// The limits, and the outages.
    pub limits: LimitPlan,
    /// The `Retry-After` header of a 429.
    pub retry_after: Option<RetryAfter>,
    /// The headers that report the quota of the first limit.
    pub quota_headers: Option<QuotaHeaders>,
    /// The time until a response.
    pub latency: Duration,
    /// The largest addition to that time. It differs from request to request.
    pub latency_jitter: Duration,
    /// The faults of lists.
    pub list_faults: Vec<ListFault>,
    /// Faults for shares of the tasks.
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
