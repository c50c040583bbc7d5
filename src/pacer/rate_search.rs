//! How the pacer searches for the limit: what a rate that was held means, and which rate is tried next.

use std::time::Duration;

use crate::pacer::controller::{Pacer, PacerPhase};
use crate::pacer::settings::{
    BEYOND, BEYOND_REQUESTS, CLIMB_STEP, FIRST_EXCESS, FIRST_EXCESS_REQUESTS, FIRST_GROWTH,
    FIRST_TRIAL, GROWTH, LAG, LONG_WAIT, MARGIN, MAX_BALANCE, MAX_PAUSE, MAX_STEP, MAX_TRIAL,
    MIN_RATE, MIN_REST, NARROW, SEARCH, SLOW, SLOW_GROWTH, STEP, STEP_REQUESTS, TRIAL_RISE,
    TRIAL_STEP, USED, WAITING,
};

impl Pacer {
    /// Judges the rate if it has been held for long enough.
    pub(crate) fn step(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.step.since);
        if elapsed < self.step_length() {
            return;
        }
        self.note_stretch(now);
        let seconds = elapsed.as_secs_f64();
        let sent = f64::from(self.step.sent) / seconds;
        let accepted = f64::from(self.step.accepted) / seconds;
        self.begin_step(now);
        if let Some(limit) = self.in_flight_limit.check(now, accepted)
            && self.rate.is_finite()
        {
            // The server responds to no more, however much is sent.
            self.has_met_limit = true;
            self.bracket.high = None;
            self.stay(limit, now);
            return;
        }
        if !self.rate.is_finite() || accepted <= 0.0 {
            return;
        }
        if self.in_flight_limit.counted().is_some() {
            self.raise_flight(now, accepted);
            return;
        }
        if sent < self.rate * USED {
            // Something other than the rate holds requests back.
            if let PacerPhase::Trying(from) = self.phase {
                self.set_rate(from);
                self.phase = PacerPhase::Steady;
            }
            return;
        }
        self.used = self.used.max(self.rate.min(sent));
        self.is_remembered = false;
        if !matches!(self.phase, PacerPhase::Trying(_)) {
            self.bracket.take(self.rate, seconds);
        }
        match self.phase {
            PacerPhase::Climbing => self.climb(),
            PacerPhase::Searching => {
                // It has cost nothing so far.
                self.narrow(now, NARROW);
                let is_narrow = self.phase == PacerPhase::Steady;
                if is_narrow && self.bracket.is_doubtful && !self.makes_wait() {
                    self.bracket.high = None;
                    self.next_trial = now;
                }
            }
            PacerPhase::Steady if self.may_try(now) && self.rate < self.cap => self.try_more(now),
            PacerPhase::Steady | PacerPhase::Trying(_) => {}
        }
    }

    /// How long the rate is held before it is judged.
    fn step_length(&self) -> Duration {
        let step = if self.phase == PacerPhase::Climbing {
            CLIMB_STEP
        } else {
            STEP
        };
        let requests = Duration::try_from_secs_f64(STEP_REQUESTS / self.rate);
        // Requests that are sent now show their effect only when their responses come.
        let lag = self.in_flight_limit.typical_latency().mul_f64(LAG);
        let step = (step.max(requests.unwrap_or(STEP)) + lag).min(MAX_STEP);
        if self.makes_wait() && self.phase == PacerPhase::Searching {
            // A full bucket hides the limit for a while.
            step * 2
        } else {
            step
        }
    }

    /// Whether the server makes all requests wait after a rejection.
    pub(crate) fn makes_wait(&self) -> bool {
        self.waited > LONG_WAIT
    }

    fn climb(&mut self) {
        let is_slow = self.in_flight_limit.typical_latency() > SLOW;
        let most = if is_slow { SLOW_GROWTH } else { GROWTH };
        self.set_rate(self.rate * self.growth.min(most));
        self.growth = (self.growth * self.growth).min(GROWTH);
        if self.rate >= self.cap {
            self.phase = PacerPhase::Steady;
        }
    }

    /// Goes to the middle of the bracket, or stays at its lower end if the bracket is narrow.
    pub(super) fn narrow(&mut self, now: Duration, narrow: f64) {
        if let Some(middle) = self.bracket.middle(narrow) {
            self.set_rate(middle);
            self.phase = PacerPhase::Searching;
        } else {
            self.stay(self.bracket.low().unwrap_or(self.rate), now);
        }
    }

    /// Stays at a rate until it is time to try a higher one.
    pub(super) fn stay(&mut self, rate: f64, now: Duration) {
        self.bracket.guess_low(rate);
        self.set_rate(rate);
        self.phase = PacerPhase::Steady;
        let waiting = if self.makes_wait() {
            self.waited.as_secs_f64() / WAITING
        } else {
            0.0
        };
        let rest = Duration::try_from_secs_f64(waiting).unwrap_or(MAX_PAUSE);
        self.next_trial = now + rest.max(MIN_REST);
    }

    /// Continues the search after a while at a rate that was not accepted by chance.
    pub(super) fn rest(&mut self, rate: f64, now: Duration) {
        self.set_rate(rate);
        self.phase = PacerPhase::Steady;
        self.next_trial = now;
    }

    /// Requests that the server accepts beyond its limit, as far as that is known.
    fn excess(&self, rate: f64) -> f64 {
        self.excess
            .unwrap_or((rate * FIRST_EXCESS).max(FIRST_EXCESS_REQUESTS))
    }

    /// Whether a higher rate may be tried.
    fn may_try(&self, now: Duration) -> bool {
        now >= self.next_trial && self.balance >= 0.0
    }

    /// Adds to the budget of trials: accepted requests earn it.
    pub(crate) fn earn(&mut self) {
        self.balance = (self.balance + self.trial_rejections).min(MAX_BALANCE);
    }

    /// Charges a rejection to the budget, except while the limit is searched.
    pub(crate) fn pay(&mut self, now: Duration) {
        if now >= self.free_until {
            self.balance -= 1.0;
        }
    }

    fn try_more(&mut self, now: Duration) {
        if let Some(middle) = self.bracket.middle(NARROW) {
            // Stays below the rate that was rejected.
            self.set_rate(middle);
            self.phase = PacerPhase::Searching;
            return;
        }
        self.phase = PacerPhase::Trying(self.rate);
        self.beyond = 0.0;
        self.tried = now;
        self.set_rate(self.rate * FIRST_TRIAL);
    }

    /// Raises the rate of a trial, or ends the trial because the server accepts more than before.
    pub(crate) fn raise_trial(&mut self, from: f64, now: Duration) {
        let elapsed = now.saturating_sub(self.tried).as_secs_f64();
        if elapsed < TRIAL_STEP {
            return;
        }
        self.tried = now;
        self.note_stretch(now);
        self.beyond += (self.rate - from / MARGIN).max(0.0) * elapsed;
        if self.beyond <= self.excess(from) * BEYOND + BEYOND_REQUESTS {
            self.set_rate((self.rate + from * TRIAL_RISE).min(from * MAX_TRIAL));
            return;
        }
        // It may still have been within the server's excess: the next trial must go further.
        self.excess = Some(self.excess.unwrap_or_default().max(self.beyond));
        self.bracket.reopen(from);
        self.bursts.forget();
        self.is_no_bucket = self.makes_wait();
        self.search_until = now + SEARCH;
        self.phase = PacerPhase::Climbing;
        self.growth = FIRST_GROWTH;
        self.climb();
        self.begin_step(now);
    }

    /// Allows one more request in flight from time to time, if the server limits concurrency.
    fn raise_flight(&mut self, now: Duration, accepted: f64) {
        self.used = accepted;
        // The bound holds requests back, not the rate.
        self.set_rate(self.rate.max(accepted * 2.0));
        if self.may_try(now) {
            self.in_flight_limit.raise();
            self.next_trial = now + STEP;
        }
    }

    /// Notes the requests that were sent at the rate until now.
    pub(super) fn note_stretch(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.since_until).as_secs_f64();
        self.since.add(f64::from(self.since_sent), seconds);
        self.since_until = now;
        self.since_sent = 0;
    }

    pub(super) fn set_rate(&mut self, rate: f64) {
        self.rate = rate.clamp(MIN_RATE.min(self.cap), self.cap);
        self.bursts.rate_is(self.rate);
    }
}
