//! When the next request may go: one controller for all requests, whose controlled quantity is the
//! rate. Pure: time passes in, as the time since the start of the run. Depends on nothing.

use std::time::Duration;

use super::Rate;

/// Where learning begins, in requests a second: no API that serves customers objects to this.
const FIRST_RATE: f64 = 10.0;

/// Below this the rate does not fall, in requests a second.
const MIN_RATE: f64 = 0.2;

/// What is left of the rate after the server objected.
const DECREASE: f64 = 0.7;

/// What a second without objection adds, as a share of the rate.
const INCREASE: f64 = 0.02;

/// And at least, in requests a second.
const MIN_INCREASE: f64 = 0.5;

/// The rate is raised after this long, when it was the rate that held requests back.
const RAISE_INTERVAL: Duration = Duration::from_secs(1);

/// Share of the rate that must have been used for a raise: else something else is the limit.
const USED: f64 = 0.8;

/// How long all requests wait after a 429 that does not say.
const DEFAULT_COOL_DOWN: Duration = Duration::from_secs(1);

/// How late a timer may wake without the time being lost: a little more than a timer's tick. What
/// is caught up is less than one request at any rate that a person would set.
const TOLERANCE: Duration = Duration::from_millis(2);

/// During an outage one request goes in this time, to see whether it is over.
const OUTAGE_INTERVAL: Duration = Duration::from_secs(1);

/// May a request go?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Now.
    Now,
    /// Not before this time; ask again then.
    At(Duration),
}

/// The controller.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Requests a second; infinite while nothing is held back.
    rate: f64,
    cap: f64,
    /// Still doubling: the server has not objected yet.
    climbing: bool,
    /// When the next request is due.
    next: Duration,
    cool_down_until: Duration,
    decreased_at: Option<Duration>,
    window_start: Duration,
    window_requests: u32,
    outage: bool,
}

impl Pacer {
    pub(super) fn new(rate: Rate) -> Self {
        let (rate, cap, climbing) = match rate {
            Rate::Learned => (FIRST_RATE, f64::INFINITY, true),
            Rate::Limit(limit) => (limit, limit, false),
            Rate::Max => (f64::INFINITY, f64::INFINITY, false),
        };
        Self {
            rate,
            cap,
            climbing,
            next: Duration::ZERO,
            cool_down_until: Duration::ZERO,
            decreased_at: None,
            window_start: Duration::ZERO,
            window_requests: 0,
            outage: false,
        }
    }

    /// The rate, unless nothing is held back.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate.is_finite().then_some(self.rate)
    }

    /// How much longer all requests wait because the server objected.
    pub(super) fn cooling_down(&self, now: Duration) -> Option<Duration> {
        self.cool_down_until
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    /// Takes a token if there is one. Every attempt takes one.
    pub(super) fn take(&mut self, now: Duration) -> Take {
        if now < self.cool_down_until {
            return Take::At(self.cool_down_until);
        }
        self.raise(now);
        let interval = self.interval();
        // Time that nobody used is lost, so that no burst ever follows a quiet moment.
        let due = self.next.max(now.saturating_sub(TOLERANCE));
        if due > now {
            return Take::At(due);
        }
        self.next = due + interval;
        self.window_requests += 1;
        Take::Now
    }

    fn interval(&self) -> Duration {
        let interval = if self.rate.is_finite() {
            Duration::try_from_secs_f64(1.0 / self.rate).unwrap_or(OUTAGE_INTERVAL)
        } else {
            Duration::ZERO
        };
        if self.outage {
            interval.max(OUTAGE_INTERVAL)
        } else {
            interval
        }
    }

    fn raise(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.window_start);
        if elapsed < RAISE_INTERVAL {
            return;
        }
        let used = f64::from(self.window_requests) / elapsed.as_secs_f64();
        if !self.outage && self.rate.is_finite() && used >= USED * self.rate {
            self.rate = if self.climbing {
                self.rate * 2.0
            } else {
                self.rate + (self.rate * INCREASE).max(MIN_INCREASE)
            }
            .min(self.cap);
        }
        self.window_start = now;
        self.window_requests = 0;
    }

    /// The server objected to a request that was sent at `sent`. True when that slowed us down;
    /// objections to what was sent before the last slow-down belong to the same burst.
    pub(super) fn objected(
        &mut self,
        sent: Duration,
        now: Duration,
        retry_after: Option<Duration>,
    ) -> bool {
        let is_new = self.decreased_at.is_none_or(|decreased| sent >= decreased);
        if !is_new && retry_after.is_none() {
            return false;
        }
        // A server that says 0 still meant that there were too many.
        let wait = retry_after
            .unwrap_or(DEFAULT_COOL_DOWN)
            .max(Duration::from_millis(100));
        self.cool_down_until = self.cool_down_until.max(now + wait);
        if is_new {
            let window = now
                .saturating_sub(self.window_start)
                .max(RAISE_INTERVAL / 4);
            let used = f64::from(self.window_requests) / window.as_secs_f64();
            let rate = if self.rate.is_finite() {
                self.rate
            } else {
                used
            };
            self.rate = (rate * DECREASE).clamp(MIN_RATE.min(self.cap), self.cap);
            self.climbing = false;
            self.decreased_at = Some(now);
        }
        self.next = self.next.max(self.cool_down_until);
        self.window_start = self.cool_down_until;
        self.window_requests = 0;
        is_new
    }

    /// Nothing succeeds any more, or something does again. Is that news?
    pub(super) fn set_outage(&mut self, outage: bool) -> bool {
        std::mem::replace(&mut self.outage, outage) != outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends whenever the pacer allows, with timers that wake late; gives the times.
    fn run(pacer: &mut Pacer, from: Duration, until: Duration, late: Duration) -> Vec<Duration> {
        let mut now = from;
        let mut sent = Vec::new();
        while now < until {
            match pacer.take(now) {
                Take::Now => sent.push(now),
                Take::At(due) => now = due + late,
            }
        }
        sent
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_limit_is_kept_exactly() {
        for late in [Duration::ZERO, Duration::from_micros(1_300)] {
            let mut pacer = Pacer::new(Rate::Limit(50.0));
            let sent = run(&mut pacer, Duration::ZERO, SECOND * 20, late);
            assert!((995..=1001).contains(&sent.len()), "{}", sent.len());
            for (index, start) in sent.iter().enumerate() {
                let in_window = sent[index..]
                    .iter()
                    .take_while(|at| **at < *start + SECOND)
                    .count();
                assert!(in_window <= 51, "{in_window} from {start:?}");
            }
        }
    }

    #[test]
    fn a_quiet_moment_is_followed_by_no_burst() {
        let mut pacer = Pacer::new(Rate::Limit(50.0));
        run(&mut pacer, Duration::ZERO, SECOND, Duration::ZERO);
        let sent = run(&mut pacer, SECOND * 10, SECOND * 11, Duration::ZERO);
        assert!(sent.len() <= 51, "{}", sent.len());
    }

    #[test]
    fn learning_doubles_every_second_until_the_server_objects() {
        let mut pacer = Pacer::new(Rate::Learned);
        let mut rates = Vec::new();
        for second in 0..5 {
            run(
                &mut pacer,
                SECOND * second,
                SECOND * (second + 1),
                Duration::ZERO,
            );
            rates.push(pacer.rate().unwrap());
        }
        assert_eq!(rates, [10.0, 20.0, 40.0, 80.0, 160.0]);
        assert!(pacer.objected(SECOND * 5, SECOND * 5, None));
        assert_eq!(pacer.rate(), Some(160.0 * DECREASE));
        assert_eq!(pacer.take(SECOND * 5), Take::At(SECOND * 6));
        run(&mut pacer, SECOND * 6, SECOND * 9, Duration::ZERO);
        let rate = pacer.rate().unwrap();
        assert!(rate > 112.0 && rate < 125.0, "{rate}");
    }

    #[test]
    fn objections_to_one_burst_count_once() {
        let mut pacer = Pacer::new(Rate::Limit(100.0));
        let sent = SECOND;
        assert!(pacer.objected(sent, SECOND * 2, None));
        assert!(!pacer.objected(sent, SECOND * 2, None));
        assert!(!pacer.objected(sent, SECOND * 2, Some(SECOND * 5)));
        assert_eq!(pacer.rate(), Some(70.0));
        assert_eq!(pacer.cooling_down(SECOND * 2), Some(SECOND * 5));
    }

    #[test]
    fn without_a_limit_the_rate_in_use_is_the_measure() {
        let mut pacer = Pacer::new(Rate::Max);
        for _ in 0..500 {
            assert_eq!(pacer.take(SECOND / 2), Take::Now);
        }
        assert_eq!(pacer.rate(), None);
        pacer.objected(SECOND / 2, SECOND / 2, Some(Duration::ZERO));
        assert_eq!(pacer.rate(), Some(1_000.0 * DECREASE));
    }

    #[test]
    fn an_idle_pacer_does_not_climb() {
        let mut pacer = Pacer::new(Rate::Learned);
        for second in 0..20 {
            pacer.take(SECOND * second);
        }
        assert_eq!(pacer.rate(), Some(FIRST_RATE));
    }

    #[test]
    fn an_outage_lets_one_probe_a_second_through() {
        let mut pacer = Pacer::new(Rate::Max);
        pacer.set_outage(true);
        let sent = run(&mut pacer, Duration::ZERO, SECOND * 30, Duration::ZERO);
        assert!(sent.len() <= 31, "{}", sent.len());
    }
}
