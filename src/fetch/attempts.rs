//! The attempts for one ID or page, and what is known of those that failed.

use std::time::Duration;

use crate::api::reply::AttemptError;
use crate::event::RequestTarget;
use crate::failure_kind::FailureKind;
use crate::fetch::classify::Verdict;

/// The attempts for one ID or page.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub(crate) target: RequestTarget,
    pub(crate) count: u32,
    /// Failures that count against the ID.
    pub(crate) failures: u32,
    pub(crate) first_failure: Option<Duration>,
    pub(crate) last_failure: Option<Duration>,
    /// Whether other requests succeeded between the failure before and the last attempt. Then it is the ID that fails,
    /// not the server: an attempt during an outage does not count against its ID only because the outage has not been
    /// noticed yet, or ends.
    pub(crate) follows_success: bool,
}

/// One attempt that failed.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    /// When it was sent.
    pub(crate) sent: Duration,
    pub(crate) status: Option<u16>,
    pub(crate) verdict: Verdict,
    pub(crate) error: AttemptError,
}

/// A request that failed for good, with its last attempt.
#[derive(Debug)]
pub(crate) struct FailedRequest {
    pub(crate) kind: FailureKind,
    pub(crate) last: FailedAttempt,
}

/// Timeouts of a page that can be requested in smaller pieces: the first may be chance.
const MAX_PAGE_TIMEOUTS: u32 = 2;

impl Attempts {
    /// No attempt yet.
    pub(crate) fn new(target: RequestTarget) -> Self {
        Self {
            target,
            count: 0,
            failures: 0,
            first_failure: None,
            last_failure: None,
            follows_success: false,
        }
    }

    /// The number of timeouts after which another request is worth trying.
    pub(crate) fn max_timeouts(&self) -> u32 {
        match self.target {
            RequestTarget::LargePage(_) => MAX_PAGE_TIMEOUTS,
            RequestTarget::Task(_) | RequestTarget::Page(_) => u32::MAX,
        }
    }
}
