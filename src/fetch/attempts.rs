//! What is known of the attempts for one ID or page, and what an attempt's end is to the pace. Depends on `client`,
//! `pace` and `retry`.

use std::time::Duration;

use crate::api::client::Failure;
use crate::api::memory_budget::Share;
use crate::event::Asked;
use crate::failure_kind::FailureKind;
use crate::fetch::retry::{Trouble, Verdict, decide, speaks_for_all};
use crate::pacer::types::Answer;

/// What came of all attempts.
pub(crate) enum Got<'b, T> {
    /// The answer, when the request was sent that it belongs to, and its share of memory.
    Answer(T, Duration, Share<'b>),
    /// There is none.
    Nothing(Failure, FailureKind),
}

/// What is known of one ID's failed attempts.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    pub(crate) attempts: u32,
    /// Failures that count against the ID.
    pub(crate) failures: u32,
    pub(crate) first_failure: Option<Duration>,
    pub(crate) last_failure: Option<Duration>,
    /// Was the last attempt sent after others had been asked for, with success, since the failure before?
    /// Then it is the ID that fails, and not the server: an attempt from within an outage is not held
    /// against its ID because the outage has not been noticed yet, or ends.
    pub(crate) follows_success: bool,
}

/// What an attempt's end is to the pace.
pub(crate) fn answer_of<T>(answer: &Result<T, Failure>) -> Answer {
    let Err(failure) = answer else {
        return Answer::Accepted;
    };
    match failure.trouble {
        Trouble::Status(429) => Answer::Objected(failure.retry_after),
        Trouble::Status(_) if speaks_for_all(failure.status) && failure.retry_after.is_some() => {
            Answer::Objected(failure.retry_after)
        }
        trouble => match decide(trouble, true) {
            Verdict::Retry(_) => Answer::Failed,
            _ => Answer::Accepted,
        },
    }
}

/// Timeouts of a page that may be asked for in smaller pieces: the first may be chance.
const MOST_TIMEOUTS: u32 = 2;

/// After how many timeouts something else is worth trying.
pub(crate) fn most_timeouts(asked: &Asked) -> u32 {
    match asked {
        Asked::LargePage(_) => MOST_TIMEOUTS,
        Asked::Task(_) | Asked::Page(_) => u32::MAX,
    }
}
