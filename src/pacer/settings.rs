//! The constants of the pacer, each with its reason. They were chosen by simulation: see `docs/pacing.md`.

use std::time::Duration;

// How a rate is held and judged.

/// The first rate, in requests per second: no API that serves customers rejects it.
pub(crate) const FIRST_RATE: f64 = 10.0;

/// The share of a remembered rate at which a run begins.
pub(crate) const REMEMBERED: f64 = 0.9;

/// The minimum rate, in requests per second.
pub(crate) const MIN_RATE: f64 = 0.2;

/// How long a rate is held before it is judged: the most common window of servers that count requests.
pub(crate) const STEP: Duration = Duration::from_secs(1);

/// The same during a climb, when nothing depends on one step.
pub(crate) const CLIMB_STEP: Duration = Duration::from_millis(750);

/// The minimum number of requests before a rate is judged: fewer say little.
pub(crate) const STEP_REQUESTS: f64 = 8.0;

/// The minimum time before a rate is judged, in multiples of the latency.
pub(crate) const LAG: f64 = 1.5;

/// The maximum time before a rate is judged.
pub(crate) const MAX_STEP: Duration = Duration::from_secs(8);

/// The share of the rate that must have been used; otherwise something else is the limit.
pub(crate) const USED: f64 = 0.8;

// How the rate climbs.

/// The factor of a step. A climb that starts at the previous limit takes two steps to this factor.
pub(crate) const GROWTH: f64 = 2.0;
pub(crate) const FIRST_GROWTH: f64 = 1.5;

/// From this latency on, many requests are in flight before the first rejection comes, so the steps are smaller.
pub(crate) const SLOW: Duration = Duration::from_millis(150);
pub(crate) const SLOW_GROWTH: f64 = 1.5;

// How the bracket is narrowed.

/// A bracket is narrow if its upper end is this many times its lower end.
pub(crate) const NARROW: f64 = 1.03;

/// The same if the server makes all requests wait after each rejection.
pub(crate) const NARROW_WAITING: f64 = 1.06;

/// The same while the budget of trials is used up.
pub(crate) const WIDE: f64 = 1.15;

/// How long the limit is searched as fast as possible, from the start or a change of the limit on.
pub(crate) const SEARCH: Duration = Duration::from_secs(9);

/// Seconds after which an accepted rate is not chance, unless bursts follow each other quickly; and seconds after which
/// it is not chance even then.
pub(crate) const TRUSTED: f64 = 0.7;
pub(crate) const SURE: f64 = 5.0;

/// The same if the limit was found from windows of a second.
pub(crate) const SURE_OF_WINDOW: f64 = 1.5;

/// Accepted rates that are kept, to go back to.
pub(crate) const MAX_ACCEPTED: usize = 16;

// What a rejection means.

/// What was accepted between two bursts is precise if it is at least this many requests, and the whole time is at most
/// this many times the time without the waiting.
pub(crate) const PRECISE: f64 = 20.0;
pub(crate) const PRECISE_WAITED: f64 = 1.1;

/// How far below a measured limit the rate settles.
pub(crate) const MARGIN: f64 = 0.99;

/// The maximum share of the rate after an unexpected rejection.
pub(crate) const CHANCE: f64 = 0.99;

/// The same share for a rate that was accepted for long, if the server makes all requests wait: the rate was a little
/// too high, or some requests came late.
pub(crate) const DRIFT: f64 = 0.985;

/// The share of the rate if no lower rate is known.
pub(crate) const OVERSHOOT: f64 = 0.9;

/// The share if the rate may be far too high: it was at most doubled.
pub(crate) const MAX_OVERSHOOT: f64 = 0.5;

/// The number of bursts following each other quickly that show that the limit has become much lower.
pub(crate) const CHANGED: u32 = 3;

// How a higher rate is tried.

/// Rejections that trials may cost, as a share of all requests. The documented limit is 1%.
pub(crate) const TRIAL_REJECTIONS: f64 = 0.0075;

/// The same if other processes send requests under the same limit: while one of them tries a higher rate, requests of all
/// of them are rejected.
pub(crate) const SHARED_TRIAL_REJECTIONS: f64 = 0.005;

/// The maximum of that budget while it is not used.
pub(crate) const MAX_BALANCE: f64 = 2.0;

/// Time that trials may cost because the server requests a wait, as a share of all time.
pub(crate) const WAITING: f64 = 0.01;

/// How long no trial is made after one.
pub(crate) const MIN_REST: Duration = Duration::from_secs(2);

/// How long after it was found a limit is confirmed, if confirming makes all requests wait.
pub(crate) const CONFIRM: Duration = Duration::from_secs(4);

/// A trial begins at this factor of the rate, and rises by this share of it after each step, in seconds, up to this
/// factor.
pub(crate) const FIRST_TRIAL: f64 = 1.03;
pub(crate) const TRIAL_RISE: f64 = 0.04;
pub(crate) const TRIAL_STEP: f64 = 0.25;
pub(crate) const MAX_TRIAL: f64 = 2.0;

/// A trial succeeds when it has gone beyond the limit by this many times the known excess of the server, and this many
/// requests.
pub(crate) const BEYOND: f64 = 1.5;
pub(crate) const BEYOND_REQUESTS: f64 = 3.0;

/// The requests that a server accepts beyond its limit before it rejects any, until that is known: as a share of a
/// second's requests, and the minimum.
pub(crate) const FIRST_EXCESS: f64 = 0.12;
pub(crate) const FIRST_EXCESS_REQUESTS: f64 = 4.0;

/// If a trial fails beyond the first factor of the rate, the rate rises by the second factor.
pub(crate) const FAR: f64 = 1.05;
pub(crate) const CLOSER: f64 = 1.01;

/// But not to a rate that was rejected within this time.
pub(crate) const REFUTED_FOR: Duration = Duration::from_mins(10);

// How the pacer waits.

/// How long nothing is sent after a rejection without a wait: the time of this many requests, at least and at most.
pub(crate) const PAUSE_REQUESTS: f64 = 1.5;
pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const MAX_FIRST_PAUSE: Duration = Duration::from_millis(200);

/// After the pause one request is sent. If it is rejected too, the pause doubles, up to this.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(8);

/// A server that sends a wait of 0 still had too many requests.
pub(crate) const MIN_RETRY_AFTER: Duration = Duration::from_millis(100);

/// From here on, waiting is the main cost of rejections.
pub(crate) const LONG_WAIT: Duration = Duration::from_millis(500);

/// How late a timer may fire without the time being lost: a little more than a timer's tick. What is caught up is less
/// than one request at any rate that a user would set.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(2);

/// The rest of a quota is spread over the time until its reset if that time is between these two. It would be
/// wrong for the quota of a day.
pub(crate) const MIN_SPREAD: Duration = Duration::from_secs(3);
pub(crate) const MAX_SPREAD: Duration = Duration::from_mins(2);

/// The maximum wait if nothing is left of a quota, as for `Retry-After`.
pub(crate) const MAX_QUOTA_WAIT: Duration = Duration::from_mins(5);

/// Failures in a row that count as an outage for the pacer: a few unlucky IDs cost no more than a second.
pub(crate) const OUTAGE_FAILURES: u32 = 5;

/// The time between two requests during an outage, to find out whether it is over.
pub(crate) const OUTAGE_INTERVAL: Duration = Duration::from_secs(1);
