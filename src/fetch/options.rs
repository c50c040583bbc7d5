//! The network side: fetches every wanted ID and hands the results over as they arrive.
//!
//! `retry` decides what an answer means and `pace` when the next request may go; both are pure.
//! `client` makes one attempt, `engine` all of them. `walk` finds its way through a list, `pages` asks for its
//! pages. Depends on `event`, `ids` and `response`.

use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::api::body_check::{Belongs, Page};
use crate::api::certificates::{Authorities, CaFile};
use crate::failure_kind::FailureKind;
use crate::json::document::Nodes;
use crate::lists::list_planner::Plan;
use crate::pacer::types::Learned;

/// How fast to ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Find out what the server takes.
    Learned,
    /// Begin at this many requests a second and never exceed it.
    Limit(f64),
    /// No pacing until the server objects.
    Max,
}

/// Everything the network side is told.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Where the API is.
    pub base_url: String,
    /// The bearer token.
    pub api_key: SecretString,
    /// Entities to expand.
    pub expand: Vec<String>,
    /// Details to ask for.
    pub opts: Vec<String>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// May lists stand in for single requests?
    pub plan: Plan,
    /// How fast to ask.
    pub rate: Rate,
    /// What an earlier run learned of that.
    pub remembered: Option<Learned>,
    /// For one attempt, from its start to the last byte of its body.
    pub timeout: Duration,
    /// For making a connection.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// Further attempts for an ID that keeps failing; answers of 429 are not counted.
    pub max_retries: u32,
    /// How long an ID, or the whole run, may go without any success.
    pub retry_timeout: Duration,
    /// Largest body that is read, in bytes after decompression.
    pub max_body: u64,
    /// Does the first failed ID end the run?
    pub fail_fast: bool,
    /// Are 404 and 410 no failures?
    pub drop_missing: bool,
    /// Additional trusted certificates.
    pub ca_file: Option<CaFile>,
    /// The other trusted certificates.
    pub authorities: Authorities,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count.
    pub proxy: bool,
    /// Whether the key may be sent over `http://` to a host other than loopback.
    pub allow_http: bool,
}

/// A result on its way to whoever keeps it. Until that is done its request counts as in flight, so that a
/// crash costs no more requests than are in flight.
#[derive(Debug)]
pub struct Delivery {
    /// The result.
    pub fetched: Fetched,
    /// To be told when it is kept.
    pub kept: oneshot::Sender<()>,
}

/// What came of one ID.
#[derive(Debug)]
pub struct Fetched {
    /// Its place in the list.
    pub position: usize,
    /// The ID.
    pub task_id: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// The result.
    pub outcome: Outcome,
}

/// A task, or why there is none.
#[derive(Debug)]
pub enum Outcome {
    /// A checked response.
    Task {
        /// The body, as it may be kept.
        body: Bytes,
        /// What the check found in it.
        nodes: Option<Nodes>,
        /// Is the task in a state that does not change any more?
        is_final: bool,
    },
    /// The ID failed for good.
    Failed(Failed),
}

/// Why an ID failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The kind.
    pub kind: FailureKind,
    /// Status of the last response, if there was one.
    pub http_status: Option<u16>,
    /// What went wrong last, printable and free of secrets.
    pub message: String,
    /// The last answer, where that is what was wrong and it may be kept.
    pub body: Option<Bytes>,
}

/// What a check makes of a body.
#[derive(Debug)]
pub struct CheckedBody {
    /// The body, as it may be kept.
    pub body: Bytes,
    /// What parsing it found, where that may be of use to whoever reads it next.
    pub nodes: Option<Nodes>,
    /// Is the task in a state that does not change any more?
    pub is_final: bool,
    /// Something that a person should know of it.
    pub note: Option<String>,
}

/// Why a body is not the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBody {
    /// Not a task at all.
    NoTask {
        /// Why.
        why: String,
        /// The body, if it may be kept.
        body: Option<Bytes>,
    },
    /// Another task.
    OtherTask,
    /// It is over a limit of what can be parsed.
    TooLarge {
        /// Which.
        why: String,
    },
    /// The system refused the memory that it takes.
    NoMemory,
}

/// Decides whether a body is the task that was asked for. Bodies are parsed elsewhere: this side
/// only moves bytes.
pub trait CheckBody: Send + Sync + std::fmt::Debug {
    /// Checks a body.
    fn check(&self, task_id: &str, body: Bytes) -> Result<CheckedBody, BadBody>;

    /// Takes a page of a list apart.
    fn split(&self, body: Bytes) -> Result<Page, BadBody>;

    /// Where the task of a checked body belongs.
    fn belongs(&self, body: &[u8]) -> Belongs;

    /// A checksum of a checked body; two that have the same give the same tables.
    fn fingerprint(&self, body: &[u8]) -> [u8; 32];
}
