//! The stream of events from the jobs to the display.
//!
//! Jobs print nothing: they send events. The progress display, log lines and the summary all read this stream.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use crate::failure_kind::FailureKind;
use crate::pacer::types::Pace;

/// Tasks between two events of a step that has no other reason to send one. A progress bar then moves often enough.
pub const TASKS_BETWEEN_EVENTS: usize = 100;

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestTarget {
    /// A task, by its ID.
    Task(String),
    /// A page of a list, as shown in messages.
    Page(String),
    /// A page that can be requested in smaller parts, as shown in messages.
    LargePage(String),
}

impl RequestTarget {
    /// The ID, if this is a task.
    pub fn task_id(&self) -> Option<&str> {
        match self {
            Self::Task(task_id) => Some(task_id),
            Self::Page(_) | Self::LargePage(_) => None,
        }
    }
}

impl fmt::Display for RequestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task_id) => write!(f, "task `{task_id}`"),
            Self::Page(text) | Self::LargePage(text) => f.write_str(text),
        }
    }
}

/// IDs that are fetched again, by what an earlier run got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgainCounts {
    /// IDs that failed.
    pub failed: usize,
    /// Tasks that were not in a final state.
    pub not_final: usize,
    /// Tasks in a final state.
    pub is_final: usize,
}

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The list of IDs was read and compared with the journal.
    Planned {
        /// Distinct IDs in the list.
        requested: usize,
        /// Of those, IDs whose response is in the journal already.
        kept: usize,
        /// Lines that repeated an earlier ID.
        duplicates: usize,
        /// Whether the IDs, and the responses of most, were just read from lists.
        listed: bool,
        /// Of the IDs to fetch, those with a response or failure of an earlier run.
        again: AgainCounts,
    },
    /// An attempt was sent.
    RequestSent,
    /// An attempt ended, with or without a response.
    RequestDone {
        /// The HTTP status, if there was a response.
        status: Option<u16>,
        /// Bytes of body received, after decompression.
        bytes: u64,
    },
    /// An attempt failed and is retried.
    Retry {
        /// What is requested.
        target: RequestTarget,
        /// Attempts so far.
        attempts: u32,
        /// The minimum wait before the next attempt.
        delay: Duration,
        /// What went wrong, printable and without secrets.
        reason: String,
    },
    /// The state of the pacer changed.
    Pace(Pace),
    /// The API stopped responding.
    Outage {
        /// Time since the last success, or since the start.
        silence: Duration,
        /// Time without a success after which the run gives up.
        give_up_after: Duration,
    },
    /// The API responds again after an outage.
    OutageOver,
    /// A task was fetched and passed its check.
    TaskFetched,
    /// An ID failed for good.
    TaskFailed {
        /// The ID.
        task_id: String,
        /// Why it failed.
        kind: FailureKind,
        /// What went wrong, printable and without secrets.
        message: String,
    },
    /// This many tasks are in the tables so far.
    TasksFlattened(usize),
    /// The progress of a job without network.
    Progress {
        /// Tasks that are done.
        done: usize,
        /// Tasks in all, if that is known.
        total: Option<usize>,
    },
    /// The disk does not have enough space for what is still to be written, or has enough again.
    Space {
        /// About how many bytes are still to be written; `None` if they fit.
        needed: Option<u64>,
        /// Bytes that are free.
        free: u64,
    },
    /// A phase other than fetching began, for example "publishing".
    Phase(&'static str),
    /// Something that a user should know and that is not a failure.
    Warning(String),
    /// A detail for `-v`.
    Detail(String),
}

/// The sending side. It is cheap to clone and never blocks. Events are dropped once the receiver is gone.
#[derive(Debug, Clone)]
pub struct Events(Option<mpsc::Sender<Event>>);

impl Events {
    /// A stream and its receiving end.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel();
        (Self(Some(sender)), receiver)
    }

    /// A stream without a receiver.
    pub fn none() -> Self {
        Self(None)
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // Without a receiver, the program is ending, and the event is not needed.
            let _ = sender.send(event);
        }
    }
}
