//! Decides when the next request may be sent: one controller of the rate of all requests. Pure: time is passed in, as
//! the time since the start of the run. `docs/pacing.md` explains it, with its results against every kind of server.
//!
//! The pacer keeps a bracket: the highest rate that the server accepted for a while, and the lowest that it rejected
//! with 429. It doubles the rate until there is a rejection, then halves the bracket until it is narrow, and stays at
//! its lower end. From time to time it tries a higher rate, so carefully that the cost stays within a budget. A burst
//! of rejections that belong together counts once. Before each of two bursts the server was at its limit, so what it
//! accepted between them is its limit.

use std::time::Duration;

use crate::pacer::bracket::RateBracket;
use crate::pacer::bucket_fit::Stretches;
use crate::pacer::in_flight_limit::InFlightLimit;
use crate::pacer::rejection_bursts::RejectionBursts;
use crate::pacer::server_quota::QuotaTracker;
use crate::pacer::settings::{
    FIRST_RATE, GROWTH, MAX_PAUSE, MIN_RATE, MIN_RETRY_AFTER, NARROW, OUTAGE_FAILURES,
    OUTAGE_INTERVAL, REMEMBERED, SEARCH, SHARED_TRIAL_REJECTIONS, TOLERANCE, TRIAL_REJECTIONS,
};
use crate::pacer::types::{
    LearnedRate, Pace, PacerState, Rate, RequestEnd, SendDecision, SentRequest, ServerQuota,
};
use crate::pacer::window::RateWindows;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PacerPhase {
    Climbing,
    Searching,
    Steady,
    /// A higher rate than this one is tried.
    Trying(f64),
}

/// A time in which no request is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacerPause {
    pub(super) until: Duration,
    /// How long it is, without a wait that the server requested.
    pub(super) length: Duration,
    /// When the request was sent that tests whether the pause is over, if it is in flight.
    pub(super) scouted: Option<Duration>,
}

/// The requests at one rate, since it is measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateStep {
    pub(super) since: Duration,
    pub(super) sent: u32,
    pub(super) accepted: u32,
}

/// The controller.
#[derive(Debug)]
pub struct Pacer {
    /// Requests per second; infinite while requests are not paced.
    pub(super) rate: f64,
    pub(super) cap: f64,
    pub(super) phase: PacerPhase,
    /// Whether the rate rests only on what an earlier run learned.
    pub(super) is_remembered: bool,
    pub(super) remembered: Option<LearnedRate>,
    pub(super) bracket: RateBracket,
    pub(super) in_flight_limit: InFlightLimit,
    pub(super) step: RateStep,
    /// Requests that were sent.
    pub(super) sent: u64,
    pub(super) last_sent: Option<Duration>,
    /// When the next request is due.
    pub(super) next: Duration,
    pub(super) failures: u32,
    pub(super) quotas: QuotaTracker,

    /// Rejections of requests that were sent before this time belong to earlier bursts.
    pub(super) reacted: Duration,
    pub(super) pause: Option<PacerPause>,
    /// The length of the last pause that the server requested.
    pub(super) waited: Duration,
    pub(super) bursts: RejectionBursts,
    pub(super) windows: RateWindows,
    /// Whether the rate rests on the windows.
    pub(super) is_of_window: bool,
    /// Recent bursts that each followed another one quickly.
    pub(super) quick_bursts: u32,
    /// What was sent before the last burst.
    pub(super) before: Option<Stretches>,
    /// What was sent since the last burst.
    pub(super) since: Stretches,
    /// The time up to which `since` has the requests.
    pub(super) since_until: Duration,
    /// Requests that were sent after that time.
    pub(super) since_sent: u32,
    /// Whether two bursts did not show the limit.
    pub(super) is_no_bucket: bool,

    /// The factor of the next step of a climb.
    pub(super) growth: f64,
    /// Until when the limit is searched as fast as possible, and until when rejections cost nothing.
    pub(super) search_until: Duration,
    pub(super) free_until: Duration,
    /// Rejections that each accepted request adds to the budget of trials, and those that trials may cost now.
    pub(super) trial_rejections: f64,
    pub(super) balance: f64,
    pub(super) next_trial: Duration,
    /// Requests beyond the limit that a trial has sent, and until when they are counted.
    pub(super) beyond: f64,
    pub(super) tried: Duration,
    /// Requests that the server accepts beyond its limit before it rejects any.
    pub(super) excess: Option<f64>,

    pub(super) has_met_limit: bool,
    /// The highest rate that was fully used.
    pub(super) used: f64,
}

impl Pacer {
    /// The state at the start of a run with this maximum number of requests in flight.
    pub fn new(rate: Rate, remembered: Option<LearnedRate>, concurrency: usize) -> Self {
        let remembered = remembered
            // It comes from a file, which may hold any number.
            .filter(|learned| learned.rate.is_finite() && learned.rate >= MIN_RATE)
            .filter(|_| rate == Rate::Learned);
        let mut bracket = RateBracket::default();
        let (first, cap, phase) = match (rate, remembered) {
            (Rate::Limit(limit), _) => (limit, limit, PacerPhase::Steady),
            (Rate::Max, _) => (f64::INFINITY, f64::INFINITY, PacerPhase::Steady),
            (Rate::Learned, Some(learned)) => {
                let rate = learned.rate;
                let phase = if learned.is_limit {
                    // A limit that was measured before is searched nearby, and not by doubling.
                    bracket.high = Some(rate * NARROW);
                    PacerPhase::Searching
                } else {
                    PacerPhase::Climbing
                };
                (rate * REMEMBERED, f64::INFINITY, phase)
            }
            (Rate::Learned, None) => (FIRST_RATE, f64::INFINITY, PacerPhase::Climbing),
        };
        let counted = remembered.and_then(|learned| learned.in_flight);
        Self {
            rate: first,
            cap,
            phase,
            is_remembered: remembered.is_some(),
            remembered,
            bracket,
            in_flight_limit: InFlightLimit::new(concurrency, counted),
            step: RateStep::default(),
            sent: 0,
            last_sent: None,
            next: Duration::ZERO,
            failures: 0,
            quotas: QuotaTracker::default(),
            reacted: Duration::ZERO,
            pause: None,
            waited: Duration::ZERO,
            bursts: RejectionBursts::default(),
            windows: RateWindows::default(),
            is_of_window: false,
            quick_bursts: 0,
            before: None,
            since: Stretches::after(f64::INFINITY),
            since_until: Duration::ZERO,
            since_sent: 0,
            is_no_bucket: false,
            growth: GROWTH,
            search_until: SEARCH,
            free_until: SEARCH,
            trial_rejections: TRIAL_REJECTIONS,
            balance: 0.0,
            next_trial: Duration::ZERO,
            beyond: 0.0,
            tried: Duration::ZERO,
            excess: None,
            has_met_limit: false,
            used: 0.0,
        }
    }

    /// The same if other processes send requests under the same limit at the same time.
    #[must_use]
    pub fn sharing_limit(self) -> Self {
        Self {
            trial_rejections: SHARED_TRIAL_REJECTIONS,
            ..self
        }
    }

    /// The rate, if requests are paced. If something other than the rate is the limit, the rate that results from it.
    pub fn rate(&self, now: Duration) -> Option<f64> {
        let rate = if self.in_flight_limit.counted().is_some() && self.used > 0.0 {
            self.used
        } else {
            self.rate
        };
        let rate = self.quotas.rate(now).map_or(rate, |quota| quota.min(rate));
        rate.is_finite().then_some(rate)
    }

    /// What the pacer is doing.
    pub fn state(&self, now: Duration) -> PacerState {
        if self.is_outage() {
            return PacerState::Outage;
        }
        if self.pause.is_none() && self.quotas.rate(now).is_some_and(|quota| quota < self.rate) {
            return PacerState::FollowingQuota;
        }
        if self.pause.is_none() && self.in_flight_limit.counted().is_some() {
            return PacerState::ConcurrencyLimited;
        }
        match (self.pause, self.phase) {
            (Some(_), _) => PacerState::Waiting,
            (None, PacerPhase::Climbing) => PacerState::Climbing,
            (None, PacerPhase::Searching) => PacerState::Searching,
            (None, PacerPhase::Steady) => PacerState::Steady,
            (None, PacerPhase::Trying(_)) => PacerState::Trying,
        }
    }

    /// The pace, as it is reported.
    fn pace(&self, now: Duration) -> Pace {
        let left = self.pause.and_then(|pause| pause.until.checked_sub(now));
        Pace {
            rate: self.rate(now),
            cooling_down: left.filter(|left| !left.is_zero()),
            state: self.state(now),
        }
    }

    /// What to remember, if anything was learned.
    pub fn learned(&self) -> Option<LearnedRate> {
        if let Some(remembered) = self.remembered
            && !self.has_met_limit
            && self.used < remembered.rate
        {
            // Nothing has contradicted it.
            return Some(remembered);
        }
        let rate = match self.phase {
            _ if self.in_flight_limit.counted().is_some() => self.used,
            // A trial that has not ended shows nothing.
            PacerPhase::Trying(from) => from,
            _ if self.has_met_limit && self.rate.is_finite() => {
                self.bracket.low().unwrap_or(self.rate).min(self.rate)
            }
            _ => self.used,
        };
        (rate > 0.0).then_some(LearnedRate {
            rate,
            is_limit: self.has_met_limit,
            in_flight: self.in_flight_limit.counted(),
        })
    }

    fn is_outage(&self) -> bool {
        self.failures >= OUTAGE_FAILURES
    }

    /// Takes permission to send, if it is available now. Every attempt needs it.
    pub fn take(&mut self, now: Duration) -> SendDecision {
        if self.is_outage() {
            let next = self.last_sent.map(|sent| sent + OUTAGE_INTERVAL);
            // A wait that the server requested holds during an outage too.
            let next = next.max(self.pause.map(|pause| pause.until));
            return match next.filter(|next| *next > now) {
                Some(next) => SendDecision::At(next),
                None => SendDecision::Now(self.send(now, true)),
            };
        }
        if let Some(pause) = &mut self.pause {
            if now < pause.until {
                return SendDecision::At(pause.until);
            }
            // A request that hangs must not hold up all others.
            if let Some(again) = pause.scouted.map(|at| at + MAX_PAUSE)
                && now < again
            {
                return SendDecision::At(again);
            }
            pause.scouted = Some(now);
            return SendDecision::Now(self.send(now, true));
        }
        if let PacerPhase::Trying(from) = self.phase {
            self.raise_trial(from, now);
        }
        self.step(now);
        if !self.in_flight_limit.has_room(self.rate) {
            return SendDecision::AfterResponse;
        }
        // Unused time is lost, so that no burst follows a quiet moment.
        let due = self.next.max(now.saturating_sub(TOLERANCE));
        if due > now {
            return SendDecision::At(due);
        }
        self.next = due + self.gap(now);
        SendDecision::Now(self.send(now, false))
    }

    fn send(&mut self, now: Duration, is_scout: bool) -> SentRequest {
        self.last_sent = Some(now);
        self.windows.send(now);
        self.step.sent += 1;
        self.since_sent += 1;
        self.sent += 1;
        SentRequest {
            at: now,
            number: self.sent,
            in_flight: self.in_flight_limit.send(),
            is_scout,
        }
    }

    /// The time between two requests.
    fn gap(&self, now: Duration) -> Duration {
        let rate = self
            .quotas
            .rate(now)
            .map_or(self.rate, |quota| quota.min(self.rate));
        if rate.is_finite() {
            Duration::try_from_secs_f64(1.0 / rate).unwrap_or(OUTAGE_INTERVAL)
        } else {
            Duration::ZERO
        }
    }

    /// Starts to measure the rate.
    pub(super) fn begin_step(&mut self, now: Duration) {
        self.step = RateStep {
            since: now,
            ..RateStep::default()
        };
    }

    /// Notes how a request ended, with the quotas in the headers of its response. Returns the new pace if the pacer
    /// changed its state.
    pub fn end(
        &mut self,
        sent: SentRequest,
        now: Duration,
        end: RequestEnd,
        quotas: &[ServerQuota],
    ) -> Option<Pace> {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let under_way = self.in_flight_limit.active() as f64;
        let quota_wait = self.quotas.update(quotas, under_way, now);
        let has_changed = match end {
            RequestEnd::Accepted => {
                self.failures = 0;
                self.earn();
                self.accepted(sent, now);
                false
            }
            RequestEnd::RateLimited(retry_after) => {
                self.failures = 0;
                let retry_after = retry_after.map(|wait| wait.max(MIN_RETRY_AFTER));
                self.rejected(sent, now, retry_after.or(quota_wait))
            }
            RequestEnd::Failed => {
                self.in_flight_limit.release();
                self.failures = self.failures.saturating_add(1);
                self.scout_returns(sent);
                if self.is_outage() {
                    // Requests that are sent now say nothing about the limit.
                    self.begin_step(now);
                    self.bursts.forget();
                    self.windows.forget();
                    self.before = None;
                    self.since = Stretches::after(f64::INFINITY);
                    self.since_until = now;
                    self.since_sent = 0;
                }
                // The failure that begins the outage changes the state, and those after it do not.
                self.failures == OUTAGE_FAILURES
            }
        };
        has_changed.then(|| self.pace(now))
    }

    /// Notes that a request is no longer waited for. How it would have ended is unknown, so only its place is released.
    pub fn release(&mut self, sent: SentRequest) {
        self.in_flight_limit.release();
        self.scout_returns(sent);
    }

    fn scout_returns(&mut self, sent: SentRequest) {
        if let Some(pause) = &mut self.pause
            && sent.is_scout
        {
            pause.scouted = None;
        }
    }

    fn accepted(&mut self, sent: SentRequest, now: Duration) {
        self.in_flight_limit.accepted(sent, now);
        self.quotas.accepted(sent.at, now);
        if sent.is_scout {
            if self.pause.take().is_some() {
                self.bursts.resume(sent.at);
                let pause = sent.at.saturating_sub(self.reacted).as_secs_f64();
                self.since = Stretches::after(pause);
                self.since_until = sent.at;
                self.since_sent = 1;
                self.waited = now.saturating_sub(self.reacted);
                self.begin_step(now);
            }
            self.next = sent.at + self.gap(now);
        }
        self.step.accepted += 1;
    }
}
