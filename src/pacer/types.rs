//! What the pacer is asked and told, and what it says. Depends on nothing.

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

/// May a request go?
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SendDecision {
    /// Now.
    Now(SentRequest),
    /// Not before this time; ask again then.
    At(Duration),
    /// Not before another one has ended; ask again then.
    AfterResponse,
}

/// A request that went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SentRequest {
    /// When.
    pub at: Duration,
    /// Requests under way, with it.
    pub in_flight: usize,
    /// How many had been sent, with it.
    pub(crate) number: u64,
    /// Does everything else wait for what comes of it?
    pub(crate) is_scout: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestEnd {
    /// The server has dealt with it, whatever it said.
    Accepted,
    /// 429, with the `Retry-After` that came with it.
    RateLimited(Option<Duration>),
    /// Without an answer that shows a working server.
    Failed,
}

/// What a server tells of its limit in headers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerQuota {
    /// Requests that are left.
    pub left: f64,
    /// Until when, from now.
    pub reset: Duration,
}

/// What a run learned, for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearnedRate {
    /// Requests a second.
    pub rate: f64,
    /// Did the server object to more? Else nobody asked for more.
    #[serde(default)]
    pub is_limit: bool,
    /// Requests under way, where the server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<f64>,
}

/// What the pacer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacerState {
    /// Doubling the rate.
    Climbing,
    /// Halving the bracket.
    Searching,
    /// Staying.
    Steady,
    /// Trying more.
    Trying,
    /// As fast as headers allow.
    FollowingQuota,
    /// As many at a time as the server takes.
    ConcurrencyLimited,
    /// Waiting, because the server objected.
    Waiting,
    /// Asking once a second, because nothing succeeds.
    Outage,
}

impl PacerState {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Climbing => "climbing",
            Self::Searching => "searching",
            Self::Steady => "steady",
            Self::Trying => "trying more",
            Self::FollowingQuota => "as headers allow",
            Self::ConcurrencyLimited => "limited at a time",
            Self::Waiting => "told to slow down",
            Self::Outage => "no answer",
        }
    }
}
