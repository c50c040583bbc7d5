//! How the pacer searches for the limit: what a rate that was held means, and what a rejection means.

use std::time::Duration;

use crate::pacer::bracket::RateBracket;
use crate::pacer::bucket_fit::{Stretches, fit};
use crate::pacer::controller::{Pacer, PacerPhase};
use crate::pacer::rejection_bursts::MeasuredLimit;
use crate::pacer::settings::{
    BEYOND, BEYOND_REQUESTS, CHANCE, CHANGED, CLIMB_STEP, CONFIRM, DRIFT, FAR, FIRST_EXCESS,
    FIRST_EXCESS_REQUESTS, FIRST_GROWTH, FIRST_RATE, FIRST_TRIAL, GROWTH, LAG, LONG_WAIT, MARGIN,
    MAX_BALANCE, MAX_OVERSHOOT, MAX_PAUSE, MAX_STEP, MAX_TRIAL, MIN_RATE, MIN_REST, NARROW,
    NARROW_WAITING, OBJECTIONS, OVERSHOOT, PRECISE, PRECISE_WAITED, SEARCH, SLOW, SLOW_GROWTH,
    STEP, STEP_REQUESTS, TRIAL_RISE, TRIAL_STEP, USED, WAITING, WIDE,
};
use crate::pacer::types::SentRequest;

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
        if let Some(answered) = self.in_flight_limit.check(now, accepted)
            && self.rate.is_finite()
        {
            // The server responds to no more, however much is sent.
            self.has_met_limit = true;
            self.bracket.high = None;
            self.stay(answered, now);
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
    fn narrow(&mut self, now: Duration, narrow: f64) {
        if let Some(middle) = self.bracket.middle(narrow) {
            self.set_rate(middle);
            self.phase = PacerPhase::Searching;
        } else {
            self.stay(self.bracket.low().unwrap_or(self.rate), now);
        }
    }

    /// Stays at a rate until it is time to try a higher one.
    fn stay(&mut self, rate: f64, now: Duration) {
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
    fn rest(&mut self, rate: f64, now: Duration) {
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
        self.balance = (self.balance + OBJECTIONS).min(MAX_BALANCE);
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

    /// A trial has failed.
    fn go_back(&mut self, from: f64, limit: Option<f64>, now: Duration) {
        self.excess = Some(self.excess.unwrap_or_default().max(self.beyond));
        let rate = match limit {
            Some(limit) => (limit * MARGIN).max(from),
            // The rate comes a little closer each time.
            None if self.rate > from * FAR => self.bracket.closer(from, now),
            None => from,
        };
        self.stay(rate, now);
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

    /// Starts over if the rate was remembered and not measured: it is wrong, so nothing is known. Returns whether it was.
    fn forget_remembered(&mut self) -> bool {
        let is_remembered = std::mem::take(&mut self.is_remembered);
        if is_remembered {
            self.bracket = RateBracket::default();
            self.phase = PacerPhase::Climbing;
            self.set_rate(FIRST_RATE);
        }
        is_remembered
    }

    /// Reacts to a rejection that is due to the rate: sets the new rate and the bracket.
    pub(crate) fn slow_down(&mut self, sent: SentRequest, now: Duration) {
        if self.forget_remembered() {
            return;
        }
        let rate = self.rate_in_use(now);
        self.windows.burst(sent.at, rate);
        let window = self.makes_wait().then(|| self.windows.limit()).flatten();
        self.note_stretch(now);
        let since = std::mem::take(&mut self.since);
        let before = self.before.replace(since.clone());
        let fitted = before.and_then(|before| self.fitted(&before, &since, rate));
        if let PacerPhase::Trying(from) = self.phase {
            self.go_back(from, window.or(fitted.map(|(limit, _)| limit)), now);
            return;
        }
        let (is_quick, has_changed) = self.note_quick_burst(sent, now);
        if self.phase == PacerPhase::Steady
            && self.makes_wait()
            && self.bracket.is_sure(rate, self.is_of_window)
        {
            self.bracket.refute(rate, now);
            self.bracket.high = None;
            self.stay(rate * DRIFT, now);
            return;
        }
        self.is_of_window = false;
        let measured = self.bursts.measure(sent.at, sent.number);
        let trusted = self.bracket.trusted_low(rate, self.quick_bursts > 1);
        let precise = measured.and_then(precise);
        if let Some(low) = trusted
            && is_quick
            && self.phase == PacerPhase::Searching
            && precise.is_none()
            && !self.makes_wait()
        {
            // The rejection may be due to requests that were sent before.
            self.rest(low, now);
            return;
        }
        if self.phase == PacerPhase::Steady {
            self.bracket.refute(rate, now);
        }
        if has_changed && trusted.is_none() {
            self.bracket.forget_accepted();
        }
        self.bracket.is_doubtful = is_quick;
        self.bracket.high = Some(rate);
        let accepted = self.bracket.accepted_below(rate);
        let least = measured.map_or(0.0, |measured| measured.least * MARGIN);
        let low = if let Some(most) = precise {
            self.bracket.high = Some(rate.min(most.max(least * NARROW)));
            least
        } else if let Some(limit) = window
            && fitted.is_none_or(|(fitted, _)| fitted <= limit)
        {
            self.bracket.high = None;
            self.is_of_window = true;
            self.stay(limit * MARGIN, now);
            return;
        } else if let Some((limit, bucket)) = fitted {
            self.excess = Some(bucket);
            // A trial is to confirm it.
            self.bracket.high = None;
            limit * MARGIN
        } else if let Some(low) = trusted {
            low.max(least)
        } else if has_changed || self.bracket.low().is_none() {
            least.max(rate * MAX_OVERSHOOT)
        } else {
            least.max(accepted.unwrap_or(rate * OVERSHOOT))
        };
        let low = low.max(MIN_RATE).min(rate * CHANCE);
        self.bracket.guess_low(low);
        self.narrow(now, self.narrow_enough(now));
        if self.bracket.high.is_none() {
            self.next_trial = now + CONFIRM;
        }
    }

    /// Counts bursts that follow each other quickly. Returns whether this one does, and whether they show that the
    /// limit has changed.
    fn note_quick_burst(&mut self, sent: SentRequest, now: Duration) -> (bool, bool) {
        let is_quick = self.bursts.is_quick(sent.at, sent.number);
        self.quick_bursts = if is_quick { self.quick_bursts + 1 } else { 0 };
        // If each burst costs a wait, one fewer must be enough.
        let has_changed = self.quick_bursts >= CHANGED - u32::from(self.makes_wait());
        if has_changed && self.phase == PacerPhase::Steady {
            self.search_until = now + SEARCH;
            self.free_until = self.search_until;
            self.bursts.forget_older();
        }
        (is_quick, has_changed)
    }

    /// The rate; if requests are not paced, the rate that results.
    fn rate_in_use(&self, now: Duration) -> f64 {
        if self.rate.is_finite() {
            return self.rate;
        }
        let seconds = now.saturating_sub(self.step.since).max(STEP / 4);
        f64::from(self.step.sent) / seconds.as_secs_f64()
    }

    /// A bracket whose upper end is at most this many times its lower end is not narrowed further.
    fn narrow_enough(&self, now: Duration) -> f64 {
        if now >= self.search_until && self.balance < 0.0 {
            WIDE
        } else if self.makes_wait() {
            NARROW_WAITING
        } else {
            NARROW
        }
    }

    /// The limit and the excess, if the server makes all requests wait: its bucket is full again each time, and two
    /// bursts show how large it is.
    fn fitted(&self, before: &Stretches, since: &Stretches, rate: f64) -> Option<(f64, f64)> {
        if !self.makes_wait() || self.is_no_bucket {
            return None;
        }
        fit(before, since, rate)
    }

    /// Notes the requests that were sent at the rate until now.
    fn note_stretch(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.since_until).as_secs_f64();
        self.since.add(f64::from(self.since_sent), seconds);
        self.since_until = now;
        self.since_sent = 0;
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate.clamp(MIN_RATE.min(self.cap), self.cap);
        self.bursts.rate_is(self.rate);
    }
}

/// The maximum of the limit, if what was accepted between two bursts is precise.
fn precise(measured: MeasuredLimit) -> Option<f64> {
    let most = measured.most?;
    let is_precise = measured.accepted >= PRECISE && most <= measured.least * PRECISE_WAITED;
    is_precise.then_some(most)
}
