//! How the pacer reacts to a 429: whether it belongs to an earlier burst, how long requests wait, and which rate follows.

use std::time::Duration;

use crate::pacer::bracket::RateBracket;
use crate::pacer::bucket_fit::{Stretches, fit};
use crate::pacer::controller::{Pacer, PacerPause, PacerPhase};
use crate::pacer::rejection_bursts::MeasuredLimit;
use crate::pacer::settings::{
    CHANCE, CHANGED, CONFIRM, DRIFT, FAR, FIRST_RATE, MARGIN, MAX_FIRST_PAUSE, MAX_OVERSHOOT,
    MAX_PAUSE, MIN_PAUSE, MIN_RATE, NARROW, NARROW_WAITING, OVERSHOOT, PAUSE_REQUESTS, PRECISE,
    PRECISE_WAITED, SEARCH, STEP, WIDE,
};
use crate::pacer::types::SentRequest;

impl Pacer {
    /// Notes a 429 with the wait that the server requests, if it requests one. Returns whether the pacer changed its
    /// state.
    pub(super) fn rejected(
        &mut self,
        sent: SentRequest,
        now: Duration,
        requested_wait: Option<Duration>,
    ) -> bool {
        self.pay(now);
        self.has_met_limit = true;
        self.bursts.rejected(sent.number);
        self.windows.reject(sent.at);
        self.in_flight_limit.rejected(sent.in_flight, now);
        if sent.is_scout && self.pause.is_some() {
            // The pause is not over.
            let length = self
                .pause
                .map_or(MIN_PAUSE, |pause| pause.length * 2)
                .min(MAX_PAUSE);
            // A server that repeats a short `Retry-After` without meaning it gets no request any sooner.
            self.pause(now, requested_wait.unwrap_or_default().max(length), length);
            return false;
        }
        if sent.at < self.reacted {
            // It was sent at the old rate, so it says nothing about the new one.
            if let (Some(requested_wait), Some(pause)) = (requested_wait, &mut self.pause) {
                pause.until = pause.until.max(now + requested_wait);
            }
            return false;
        }
        // A new burst.
        self.waited = requested_wait.unwrap_or_default();
        // If the server rejects because of the number of requests in flight, a lower rate would not help.
        let is_lowered = self
            .in_flight_limit
            .lower_after_rejection(sent.in_flight, !self.makes_wait());
        if !is_lowered {
            self.slow_down(sent, now);
        }
        self.reacted = now;
        if is_lowered && requested_wait.is_none() {
            self.begin_step(now);
            return true;
        }
        let length = Duration::try_from_secs_f64(PAUSE_REQUESTS / self.rate);
        let length = length
            .unwrap_or(MAX_FIRST_PAUSE)
            .clamp(MIN_PAUSE, MAX_FIRST_PAUSE);
        self.bursts.begin(now, self.sent, self.rate);
        // If the next request is rejected too, the pause doubles from what the server requested.
        let length = length.max(requested_wait.unwrap_or_default().min(MAX_PAUSE / 2));
        self.pause(now, requested_wait.unwrap_or(length), length);
        true
    }

    fn pause(&mut self, now: Duration, wait: Duration, length: Duration) {
        self.pause = Some(PacerPause {
            until: now + wait,
            length,
            scouted: None,
        });
        self.next = self.next.max(now + wait);
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
    fn slow_down(&mut self, sent: SentRequest, now: Duration) {
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

    /// The rate; if requests are not paced, the rate that results.
    fn rate_in_use(&self, now: Duration) -> f64 {
        if self.rate.is_finite() {
            return self.rate;
        }
        // Just after a step began, a few requests would look like a high rate.
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
}

/// The maximum of the limit, if what was accepted between two bursts is precise.
fn precise(measured: MeasuredLimit) -> Option<f64> {
    let most = measured.most?;
    let is_precise = measured.accepted >= PRECISE && most <= measured.least * PRECISE_WAITED;
    is_precise.then_some(most)
}
