//! The pacer's numbers, each with its reason. They were chosen by simulation: see `docs/pacing.md`. Depends on nothing.

use std::time::Duration;

// How a rate is held and judged.

/// Where learning begins, in requests a second: no API that serves customers objects to this.
pub(crate) const FIRST_RATE: f64 = 10.0;

/// Of a remembered rate this share is where a run begins.
pub(crate) const REMEMBERED: f64 = 0.9;

/// Below this the rate does not fall, in requests a second.
pub(crate) const MIN_RATE: f64 = 0.2;

/// A rate is held for so long before it is judged: the most common window of servers that count requests.
pub(crate) const STEP: Duration = Duration::from_secs(1);

/// The same while it climbs, when nothing depends on one step.
pub(crate) const CLIMB_STEP: Duration = Duration::from_millis(750);

/// And for so many requests: fewer say little.
pub(crate) const STEP_REQUESTS: f64 = 8.0;

/// And for so many times the latency of answers.
pub(crate) const LAG: f64 = 1.5;

/// And for no longer than this.
pub(crate) const MAX_STEP: Duration = Duration::from_secs(8);

/// Share of the rate that must have been used, else something else is the limit.
pub(crate) const USED: f64 = 0.8;

// How it climbs.

/// A climb doubles the rate; one that begins where the limit was until now takes two steps to come to that.
pub(crate) const GROWTH: f64 = 2.0;
pub(crate) const FIRST_GROWTH: f64 = 1.5;

/// Where answers take so long, much is under way before the first objection comes: then it climbs in smaller steps.
pub(crate) const SLOW: Duration = Duration::from_millis(150);
pub(crate) const SLOW_GROWTH: f64 = 1.5;

// How it narrows the bracket.

/// A bracket is narrow when its upper end is so many times its lower one.
pub(crate) const NARROW: f64 = 1.03;

/// The same where the server makes all wait after each objection.
pub(crate) const NARROW_WAITING: f64 = 1.06;

/// The same while the budget for trying more is used up.
pub(crate) const WIDE: f64 = 1.15;

/// For so long, from the start or a change of the limit on, it looks for the limit as fast as it can.
pub(crate) const SEARCH: Duration = Duration::from_secs(9);

/// A rate that was taken for so many seconds is no chance, unless bursts follow each other quickly; for so many, even
/// then.
pub(crate) const TRUSTED: f64 = 0.7;
pub(crate) const SURE: f64 = 5.0;

/// The same where the limit was found from windows of a second.
pub(crate) const SURE_OF_WINDOW: f64 = 1.5;

/// So many rates that were taken are kept, to go back to.
pub(crate) const MAX_HELD: usize = 16;

// What an objection means.

/// What was accepted between two bursts is precise when it is so many requests, and the whole time is no more than so
/// many times the time without the waiting.
pub(crate) const PRECISE: f64 = 20.0;
pub(crate) const PRECISE_WAITED: f64 = 1.1;

/// How far below a limit that was measured the rate settles.
pub(crate) const MARGIN: f64 = 0.99;

/// What is left of the rate after an objection out of the blue, at most.
pub(crate) const CHANCE: f64 = 0.99;

/// And what is left of one that was taken for long, where the server makes all wait: it was a little too high, or some
/// requests came late.
pub(crate) const DRIFT: f64 = 0.985;

/// And what is left when no lower rate is known.
pub(crate) const OVERSHOOT: f64 = 0.9;

/// And when it may be far too high: it was at most doubled.
pub(crate) const MAX_OVERSHOOT: f64 = 0.5;

/// So many bursts that follow each other quickly show that the limit has become much lower.
pub(crate) const CHANGED: u32 = 3;

// How it tries more.

/// Objections that trying more may cost, as a share of all requests. The contract is 1 %.
pub(crate) const OBJECTIONS: f64 = 0.0075;

/// Unused, that budget grows to so many.
pub(crate) const MAX_BALANCE: f64 = 2.0;

/// Time that trying more may cost, because the server asks to wait, as a share of all time.
pub(crate) const WAITING: f64 = 0.01;

/// How long no trial is made after one.
pub(crate) const MIN_REST: Duration = Duration::from_secs(2);

/// How long after it was found a limit is confirmed, where that makes all wait.
pub(crate) const CONFIRM: Duration = Duration::from_secs(4);

/// A trial begins so many times above the rate, and rises by this share of it after each step, in seconds, up to so
/// many times.
pub(crate) const FIRST_TRIAL: f64 = 1.03;
pub(crate) const TRIAL_RISE: f64 = 0.04;
pub(crate) const TRIAL_STEP: f64 = 0.25;
pub(crate) const MAX_TRIAL: f64 = 2.0;

/// It succeeds when it has gone beyond the limit by so many times what the server let pass before, and so many requests.
pub(crate) const BEYOND: f64 = 1.5;
pub(crate) const BEYOND_REQUESTS: f64 = 3.0;

/// What a server lets pass beyond its limit before it objects, until that is known: as a share of a second's requests,
/// and so many at least.
pub(crate) const FIRST_EXCESS: f64 = 0.12;
pub(crate) const FIRST_EXCESS_REQUESTS: f64 = 4.0;

/// One that fails when it has come so many times beyond the rate moves it so many times closer.
pub(crate) const FAR: f64 = 1.05;
pub(crate) const CLOSER: f64 = 1.01;

/// But not to what was objected to within this time.
pub(crate) const REFUTED_FOR: Duration = Duration::from_mins(10);

// How it waits.

/// How long nothing is sent after an objection that does not say: so many requests' time, at least and at most.
pub(crate) const PAUSE_REQUESTS: f64 = 1.5;
pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const MAX_FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Then one request goes, and if that is not accepted either, twice as long, up to this.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(8);

/// A server that says 0 still meant that there were too many.
pub(crate) const MIN_RETRY_AFTER: Duration = Duration::from_millis(100);

/// From here on, waiting is what objections cost most.
pub(crate) const LONG_WAIT: Duration = Duration::from_millis(500);

/// How late a timer may wake without the time being lost: a little more than a timer's tick. What is caught up is less
/// than one request at any rate that a person would set.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(2);

/// What is left of a quota is spread over the time until it is filled again, when that is no shorter and no longer than
/// this. Of a quota for a day, nobody wants that.
pub(crate) const MIN_SPREAD: Duration = Duration::from_secs(3);
pub(crate) const MAX_SPREAD: Duration = Duration::from_mins(2);

/// When nothing is left, this is waited at most: as for `Retry-After`.
pub(crate) const MAX_TOLD_WAIT: Duration = Duration::from_mins(5);

/// Failures in a row that make an outage as far as the pace goes: a few unlucky IDs cost no more than a second.
pub(crate) const OUTAGE_FAILURES: u32 = 5;

/// During an outage one request goes in this time, to see whether it is over.
pub(crate) const OUTAGE_INTERVAL: Duration = Duration::from_secs(1);
