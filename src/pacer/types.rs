//! The inputs and outputs of the pacer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How fast requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// At the rate that the server accepts, which is measured.
    Learned,
    /// From the start at this many requests per second, and never faster.
    Limit(f64),
    /// Without pacing until the server responds with 429.
    Max,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SendDecision {
    /// Now.
    Now(SentRequest),
    /// Not before this time. The caller retries then.
    At(Duration),
    /// Not before another request has ended. The caller retries then.
    AfterResponse,
}

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SentRequest {
    /// When.
    pub at: Duration,
    /// Requests in flight, including this one.
    pub in_flight: usize,
    /// How many requests had been sent, including this one.
    pub(crate) number: u64,
    /// Whether all other requests wait for the result of this one.
    pub(crate) is_scout: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestEnd {
    /// The server has handled the request, whatever its response.
    Accepted,
    /// 429, with the `Retry-After` of the response.
    RateLimited(Option<Duration>),
    /// Without a response that shows a working server.
    Failed,
}

/// The pace of a run at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Requests per second; `None` while requests are not paced.
    pub rate: Option<f64>,
    /// How long all requests still wait because of a 429.
    pub cooling_down: Option<Duration>,
    /// What the pacer is doing.
    pub state: PacerState,
}

/// A quota that a server reports in headers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerQuota {
    /// Requests that are left.
    pub left: f64,
    /// The time until the reset.
    pub reset: Duration,
}

/// What a run learned, for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedRate {
    /// Requests per second.
    pub rate: f64,
    /// Whether the server rejected more. If not, more was never sent.
    #[serde(default)]
    pub is_limit: bool,
    /// Requests in flight, if the server limits concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<f64>,
}

/// What the pacer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacerState {
    /// It doubles the rate.
    Climbing,
    /// It halves the bracket.
    Searching,
    /// It stays at a rate.
    Steady,
    /// It tries a higher rate.
    Trying,
    /// It sends as fast as the quotas in headers allow.
    FollowingQuota,
    /// It sends as many requests at a time as the server accepts.
    ConcurrencyLimited,
    /// It waits because of a 429.
    Waiting,
    /// It sends one request per second, because nothing succeeds.
    Outage,
}

impl PacerState {
    /// The state in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Climbing => "climbing",
            Self::Searching => "searching",
            Self::Steady => "steady",
            Self::Trying => "trying a higher rate",
            Self::FollowingQuota => "limited by headers",
            Self::ConcurrencyLimited => "limited concurrency",
            Self::Waiting => "rate-limited",
            Self::Outage => "no response",
        }
    }
}
