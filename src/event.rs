//! The one stream of events between the pipeline and whoever watches it.
//!
//! Nothing in the pipeline prints: it sends events, and progress display, log lines and the summary
//! are consumers of the same stream. Depends on nothing.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

/// Tasks between two events of a step that has no other reason to send one: often enough for a bar that moves.
pub const TASKS_BETWEEN_EVENTS: usize = 100;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A task, by its ID.
    Task(String),
    /// A page of a list, in words.
    Page(String),
    /// A page that may be asked for in smaller pieces, in words.
    LargePage(String),
}

impl Asked {
    /// The ID, when it is a task.
    pub fn task_id(&self) -> Option<&str> {
        match self {
            Self::Task(task_id) => Some(task_id),
            Self::Page(_) | Self::LargePage(_) => None,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task_id) => write!(f, "task `{task_id}`"),
            Self::Page(words) | Self::LargePage(words) => f.write_str(words),
        }
    }
}

/// IDs that are fetched again, by what an earlier run got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgainCounts {
    /// IDs that failed.
    pub failed: usize,
    /// Tasks that were not in a final state.
    pub not_final: usize,
    /// Tasks in a final state.
    pub is_final: usize,
}

/// Something that happened in the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The list of IDs was read and compared with the journal.
    Planned {
        /// Distinct IDs asked for.
        requested: usize,
        /// Of those, IDs whose response the journal holds already.
        held: usize,
        /// Lines that repeated an earlier ID.
        duplicates: usize,
        /// Did the IDs, and the responses of most, come from lists just now?
        listed: bool,
        /// Of the IDs to fetch, those with a response or failure of an earlier run.
        again: AgainCounts,
    },
    /// An attempt was sent.
    RequestSent,
    /// An attempt ended, with or without an answer.
    RequestDone {
        /// HTTP status, if there was a response.
        status: Option<u16>,
        /// Bytes of body received, after decompression.
        bytes: u64,
    },
    /// An attempt failed and another one follows.
    Retry {
        /// What was asked for.
        asked: Asked,
        /// Attempts so far.
        attempts: u32,
        /// How long it waits at least.
        delay: Duration,
        /// What went wrong, printable and free of secrets.
        reason: String,
    },
    /// The pacer's state changed.
    Pace {
        /// Requests a second; `None` while nothing is held back.
        rate: Option<f64>,
        /// All requests wait this long because the server objected.
        cooling_down: Option<Duration>,
        /// What the pacer is doing, in a word.
        state: &'static str,
    },
    /// The API stopped responding.
    Outage {
        /// Time since the last success, or since the start.
        silence: Duration,
        /// Time without a success after which the run gives up.
        give_up_after: Duration,
    },
    /// The API responds again after an outage.
    OutageOver,
    /// A task was fetched and found valid.
    TaskFetched,
    /// An ID failed for good.
    TaskFailed {
        /// The ID.
        task_id: String,
        /// `kind` of `failures.jsonl`.
        kind: &'static str,
        /// What went wrong, printable and free of secrets.
        message: String,
    },
    /// This many tasks stand in the tables so far.
    TasksFlattened(usize),
    /// How far a job without a network is.
    Progress {
        /// Tasks.
        done: usize,
        /// Of how many, when that is known.
        total: Option<usize>,
    },
    /// The disk will not hold what is still to be written, or will again.
    Space {
        /// About how many bytes are still to be written; nothing when they fit.
        needed: Option<u64>,
        /// Bytes that are free.
        free: u64,
    },
    /// A phase that is not fetching began, for example "publishing".
    Phase(&'static str),
    /// Something a person should know that is no failure.
    Warning(String),
    /// Detail for `-v`.
    Detail(String),
}

/// A number of bytes, for people.
#[expect(clippy::cast_precision_loss, reason = "for the eye")]
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// The sending side. Cheap to clone; never blocks; events after the receiver is gone are dropped.
#[derive(Debug, Clone)]
pub struct Events(Option<mpsc::Sender<Event>>);

impl Events {
    /// A stream and its receiving end.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel();
        (Self(Some(sender)), receiver)
    }

    /// A stream nobody watches.
    pub fn none() -> Self {
        Self(None)
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A receiver that is gone means that the program is ending: nobody wants the event.
            let _ = sender.send(event);
        }
    }
}
