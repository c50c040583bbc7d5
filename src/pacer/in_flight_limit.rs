//! How many requests may be in flight: no more than rate and latency need, and no more than a server accepts that
//! limits concurrency. Pure: time is passed in.
//!
//! Little's law: at a rate `r` and a latency `l`, `r * l` requests are in flight. If there are more, responses are
//! slower than before, because the server queues requests. Then the bound lowers the rate to what the server responds
//! to, and keeps the queue short. Raising the bound shows whether slower responses mean a queue: if more responses come
//! per second, there was no queue.

use std::time::Duration;

use crate::pacer::types::SentRequest;

/// How many times more requests may be in flight than the shortest recent latency needs.
const SLACK: f64 = 2.0;

/// And this many more, for small numbers.
const EXTRA: f64 = 2.0;

/// Responses whose latency is measured together: their median counts.
const LATENCIES: usize = 32;

/// Responses over which the typical latency is smoothed.
const SMOOTHED: u32 = 8;

/// How fast the shortest latency is forgotten, as a share per group of responses.
const FORGOTTEN: f64 = 0.01;

/// The minimum duration of a trial with a higher bound.
const TRIAL: Duration = Duration::from_secs(1);

/// The minimum number of responses in a trial.
const TRIAL_RESPONSES: u32 = 64;

/// The factor by which the bound is raised for a trial.
const RAISE: f64 = 1.5;

/// The share of that by which responses per second must rise, so that there was no queue.
const NO_QUEUE: f64 = 0.4;

/// How long no further trial is made after one that found a queue. It doubles each time.
const FIRST_REST: Duration = Duration::from_secs(10);
const MAX_REST: Duration = Duration::from_mins(5);

/// After this long, requests count half in finding out whether the server limits concurrency.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// The minimum number of rejected requests that show a bound.
const SHOWN: f64 = 3.0;

/// The maximum share of the requests with this many in flight that a server accepts which limits concurrency.
const ACCEPTED_ABOVE: f64 = 0.6;

/// The share of the rejected requests that had this many in flight.
const REJECTED_ABOVE: f64 = 0.6;

/// Accepted requests with fewer in flight per rejected request, if the server limits concurrency.
const ACCEPTED_BELOW: f64 = 10.0;

/// The same if many were rejected: the shares of these, and of the accepted requests, that had this many in flight.
const CLEARLY_SHOWN: f64 = 8.0;
const CLEARLY_REJECTED_ABOVE: f64 = 0.9;
const CLEARLY_ACCEPTED_ABOVE: f64 = 0.02;

/// The minimum number in flight from which a concurrency limit is guessed, and how many accepted requests with more in
/// flight may be chance.
const LEAST_GUESSED: usize = 4;
const ACCEPTED_BY_CHANCE: f64 = 4.0;

/// How often a bound may be lowered after it was guessed, and after it was raised, before the cause must have been the
/// rate.
const GUESS_LOWERED: u32 = 2;
const MOST_LOWERED: u32 = 3;

/// A trial of a higher bound.
#[derive(Debug, Clone, Copy)]
struct LimitTrial {
    since: Duration,
    responses: u32,
    /// Responses per second before the trial, and their latency.
    before: f64,
    latency: f64,
}

/// The bound on requests in flight.
#[derive(Debug)]
pub(crate) struct InFlightLimit {
    /// Requests in flight.
    active: usize,
    concurrency: usize,
    recent: Vec<Duration>,
    /// The recent latency of responses.
    typical: Option<Duration>,
    /// The shortest recent latency.
    base: Option<f64>,
    /// The latency of the last group.
    latest: f64,
    /// The concurrency limit of the server, if it is known.
    counted: Option<f64>,
    trial: Option<LimitTrial>,
    rest: Duration,
    rests_until: Duration,
    /// Whether the bound held a request back since the last check.
    was_full: bool,
    /// By the number in flight: recent requests that were accepted, and rejected.
    history: Vec<(f64, f64)>,
    /// When these were halved, to forget the past.
    halved: Duration,
    /// How often the bound may be lowered before the cause must have been the rate.
    lowerings_left: u32,
    /// Whether a bound turned out to be wrong.
    is_refuted: bool,
}

impl InFlightLimit {
    pub(crate) fn new(concurrency: usize, counted: Option<f64>) -> Self {
        Self {
            active: 0,
            concurrency: concurrency.max(1),
            recent: Vec::with_capacity(LATENCIES),
            typical: None,
            base: None,
            latest: 0.0,
            counted,
            trial: None,
            rest: FIRST_REST,
            rests_until: Duration::ZERO,
            was_full: false,
            history: Vec::new(),
            lowerings_left: MOST_LOWERED,
            is_refuted: false,
            halved: Duration::ZERO,
        }
    }

    /// Requests in flight.
    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// The concurrency limit of the server, if it is known.
    pub(crate) fn counted(&self) -> Option<f64> {
        self.counted
    }

    /// Whether there is room for one more request at this rate.
    pub(crate) fn has_room(&mut self, rate: f64) -> bool {
        let has_room = self.active < self.bound(rate);
        self.was_full |= !has_room && self.active < self.concurrency;
        has_room
    }

    /// The maximum number of requests in flight.
    pub(crate) fn bound(&self, rate: f64) -> usize {
        let mut bound = self.counted.unwrap_or(f64::INFINITY);
        if rate.is_finite()
            && self.counted.is_none()
            && let Some(base) = self.base
        {
            let latency = if self.trial.is_some() {
                base * RAISE
            } else {
                base
            };
            // If latencies vary, the number in flight varies by its square root.
            let needed = rate * latency * SLACK;
            bound = bound.min((needed + needed.sqrt() + EXTRA).ceil());
        }
        // A bound of zero would never end.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "capped, and positive"
        )]
        let bound = bound.clamp(1.0, 1e9) as usize;
        bound.min(self.concurrency)
    }

    /// Notes that a request is sent. Returns how many are in flight with it.
    pub(crate) fn send(&mut self) -> usize {
        self.active += 1;
        self.active
    }

    /// Notes that a request is no longer in flight.
    pub(crate) fn release(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// Notes that a request was accepted.
    pub(crate) fn accepted(&mut self, sent: SentRequest, now: Duration) {
        self.release();
        self.count(sent.in_flight, false, now);
        self.latency(now.saturating_sub(sent.at));
    }

    /// Notes that a request with this many in flight was rejected.
    pub(crate) fn rejected(&mut self, in_flight: usize, now: Duration) {
        self.release();
        self.count(in_flight, true, now);
    }

    fn count(&mut self, in_flight: usize, is_rejected: bool, now: Duration) {
        if now.saturating_sub(self.halved) >= HALF_LIFE {
            self.halved = now;
            for (accepted, rejected) in &mut self.history {
                *accepted /= 2.0;
                *rejected /= 2.0;
            }
        }
        if self.history.len() <= in_flight {
            self.history.resize(in_flight + 1, (0.0, 0.0));
        }
        if let Some((accepted, rejected)) = self.history.get_mut(in_flight) {
            *(if is_rejected { rejected } else { accepted }) += 1.0;
        }
    }

    /// The latency of responses, as far as it is known.
    pub(crate) fn typical_latency(&self) -> Duration {
        self.typical.unwrap_or_default()
    }

    fn latency(&mut self, latency: Duration) {
        self.typical = Some(match self.typical {
            Some(typical) => (typical * (SMOOTHED - 1) + latency) / SMOOTHED,
            None => latency,
        });
        if let Some(trial) = &mut self.trial {
            trial.responses += 1;
        }
        self.recent.push(latency);
        if self.recent.len() < LATENCIES {
            return;
        }
        self.recent.sort_unstable();
        let median = self.recent.get(LATENCIES / 2).copied();
        self.recent.clear();
        let median = median.unwrap_or_default().as_secs_f64();
        self.latest = median;
        self.base = Some(match self.base {
            Some(base) => median.min(base * (1.0 + FORGOTTEN)),
            None => median,
        });
    }

    /// Checks whether the bound limits the rate; `response_rate` is the recent number of responses per second. If the server
    /// gives no more than that, returns it.
    pub(crate) fn check(&mut self, now: Duration, response_rate: f64) -> Option<f64> {
        let was_full = std::mem::take(&mut self.was_full);
        if self.counted.is_some() || self.base.is_none() {
            return None;
        }
        if let Some(trial) = self.trial {
            let elapsed = now.saturating_sub(trial.since);
            if elapsed < TRIAL || trial.responses < TRIAL_RESPONSES {
                return None;
            }
            self.trial = None;
            let rate_now = f64::from(trial.responses) / elapsed.as_secs_f64();
            if rate_now >= trial.before * (1.0 + (RAISE - 1.0) * NO_QUEUE) {
                // There was no queue: responses have become slower.
                self.base = Some(self.latest.max(self.base.unwrap_or_default() * RAISE));
                self.rest = FIRST_REST;
                return None;
            }
            self.rests_until = now + self.rest;
            if self.latest < trial.latency * (1.0 + (RAISE - 1.0) * NO_QUEUE) {
                // Nothing has changed: the cause was something else.
                return None;
            }
            self.rest = (self.rest * 2).min(MAX_REST);
            return Some(rate_now.max(trial.before));
        }
        if was_full && now >= self.rests_until {
            self.trial = Some(LimitTrial {
                since: now,
                responses: 0,
                before: response_rate,
                latency: self.latest,
            });
        }
        None
    }

    /// Lowers the bound if the server rejected a request with this many in flight because of their number. Returns false
    /// if the cause must have been the rate. `may_try`: whether a bound may be guessed to find out.
    pub(crate) fn lower_after_rejection(&mut self, in_flight: usize, may_try: bool) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let under_way = in_flight as f64;
        match self.counted {
            Some(counted) if under_way > counted => true,
            Some(counted) if under_way >= counted && self.lowerings_left > 0 => {
                // Responses on their way count as in flight here, but not at the server.
                self.lowerings_left -= 1;
                self.lower();
                true
            }
            Some(_) => {
                self.counted = None;
                self.is_refuted = true;
                false
            }
            None if may_try && !self.is_refuted && self.is_highest(in_flight) => {
                self.counted = Some(under_way - 1.0);
                self.lowerings_left = GUESS_LOWERED;
                true
            }
            None => self.is_counted(),
        }
    }

    /// Whether nearly no request with this many in flight was accepted.
    fn is_highest(&self, in_flight: usize) -> bool {
        let accepted = |counts: &[(f64, f64)]| counts.iter().map(|(accepted, _)| accepted).sum();
        let (below, above) = self.history.split_at(in_flight.min(self.history.len()));
        let (below, above): (f64, f64) = (accepted(below), accepted(above));
        in_flight >= LEAST_GUESSED && below >= ACCEPTED_BELOW && above <= ACCEPTED_BY_CHANCE
    }

    /// Whether recent rejections show a bound. If so, it is set.
    fn is_counted(&mut self) -> bool {
        let all: f64 = self.history.iter().map(|(_, rejected)| rejected).sum();
        let sum = |counts: &[(f64, f64)]| {
            let add = |(one, other): (f64, f64), (more, another): &(f64, f64)| {
                (one + more, other + another)
            };
            counts.iter().fold((0.0, 0.0), add)
        };
        // The smallest number in flight from which most requests were rejected, and nearly none with fewer.
        let bound = (2..self.history.len()).find(|least| {
            let (below, above) = self.history.split_at(*least);
            let ((below, _), (accepted, rejected)) = (sum(below), sum(above));
            let is_mostly = rejected >= SHOWN
                && rejected >= all * REJECTED_ABOVE
                && accepted <= (accepted + rejected) * ACCEPTED_ABOVE;
            // If responses on their way blur the picture, more rejections show the bound.
            let is_clearly = !self.is_refuted
                && rejected >= CLEARLY_SHOWN
                && rejected >= all * CLEARLY_REJECTED_ABOVE
                && accepted <= below * CLEARLY_ACCEPTED_ABOVE;
            (is_mostly || is_clearly) && below >= rejected * ACCEPTED_BELOW
        });
        let is_counted = bound.is_some();
        let least = bound.unwrap_or_default();
        if is_counted {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
            let bound = least.saturating_sub(1) as f64;
            self.counted = Some(self.counted.unwrap_or(f64::INFINITY).min(bound));
            self.lowerings_left = MOST_LOWERED;
            self.history.clear();
        }
        is_counted
    }

    /// Allows one more request in flight, to find out whether the server accepts it.
    pub(crate) fn raise(&mut self) {
        self.lowerings_left = MOST_LOWERED;
        self.counted = self.counted.map(|counted| counted + 1.0);
    }

    /// Takes that back.
    fn lower(&mut self) {
        self.counted = self.counted.map(|counted| (counted - 1.0).max(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn with_latency(milliseconds: u64) -> InFlightLimit {
        let mut in_flight_limit = InFlightLimit::new(64, None);
        for _ in 0..LATENCIES {
            in_flight_limit.latency(Duration::from_millis(milliseconds));
        }
        in_flight_limit
    }

    #[test]
    fn rate_and_latency_bound_the_requests_in_flight() {
        let in_flight_limit = with_latency(50);
        // 100 per second for 50 ms are five in flight; twice that, and some more.
        assert!(
            (10..=18).contains(&in_flight_limit.bound(100.0)),
            "{}",
            in_flight_limit.bound(100.0)
        );
        assert_eq!(
            in_flight_limit.bound(1e6),
            64,
            "and never more than was allowed"
        );
        assert_eq!(in_flight_limit.bound(0.01), 3);
        assert_eq!(in_flight_limit.bound(f64::INFINITY), 64);
        assert_eq!(
            InFlightLimit::new(64, None).bound(10.0),
            64,
            "nothing is known yet"
        );
        assert_eq!(
            InFlightLimit::new(0, Some(0.0)).bound(10.0),
            1,
            "none would be for ever"
        );
    }

    #[test]
    fn a_rejection_at_a_new_maximum_in_flight_is_tried_as_a_bound() {
        let accepted = || {
            let mut in_flight_limit = InFlightLimit::new(64, None);
            for _ in 0..10 {
                for in_flight in 1..=8 {
                    in_flight_limit.count(in_flight, false, SECOND);
                }
            }
            in_flight_limit
        };
        let mut in_flight_limit = accepted();
        assert!(in_flight_limit.lower_after_rejection(9, true));
        assert_eq!(in_flight_limit.counted(), Some(8.0));
        // Fewer in flight and still a rejection: the cause was the rate.
        assert!(!in_flight_limit.lower_after_rejection(6, true));
        assert_eq!(in_flight_limit.counted(), None);
        assert!(
            !in_flight_limit.lower_after_rejection(9, true),
            "that was tried"
        );
        // A number in flight that was accepted often is not a bound.
        assert!(!accepted().lower_after_rejection(7, true));
        assert!(
            !accepted().lower_after_rejection(9, false),
            "it may not be tried"
        );
    }

    #[test]
    fn repeated_lowering_drops_a_guessed_bound() {
        let mut in_flight_limit = InFlightLimit::new(64, Some(8.0));
        in_flight_limit.raise();
        for _ in 0..MOST_LOWERED {
            let counted = in_flight_limit.counted();
            assert!(
                in_flight_limit.lower_after_rejection(20, false),
                "sent before it was lowered"
            );
            assert_eq!(in_flight_limit.counted(), counted);
            assert!(
                in_flight_limit.lower_after_rejection(in_flight_limit.bound(f64::INFINITY), false)
            );
            assert!(in_flight_limit.counted() < counted);
        }
        assert!(
            !in_flight_limit.lower_after_rejection(in_flight_limit.bound(f64::INFINITY), false)
        );
        assert_eq!(in_flight_limit.counted(), None);
    }

    #[test]
    fn slower_responses_at_a_higher_bound_show_a_queue() {
        let mut in_flight_limit = with_latency(20);
        for _ in 0..64 {
            if !in_flight_limit.has_room(100.0) {
                break;
            }
            in_flight_limit.send();
        }
        assert_eq!(
            in_flight_limit.check(SECOND, 100.0),
            None,
            "it tries a higher bound first"
        );
        // There are as many responses as before, and they are slower.
        for _ in 0..TRIAL_RESPONSES + 36 {
            in_flight_limit.latency(Duration::from_millis(40));
        }
        let limit = in_flight_limit.check(SECOND * 2, 100.0);
        assert!(
            limit.is_some_and(|rate| (99.0..=101.0).contains(&rate)),
            "{limit:?}"
        );
    }
}
