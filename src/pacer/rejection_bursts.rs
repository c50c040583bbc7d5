//! What a server accepted between bursts of rejections. Before each burst it was at its limit, so that is what it
//! allows, unless unused requests in between were lost; then it allows more. Pure.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

/// Bursts that are kept; older ones do not matter.
const MAX_BURSTS: usize = 16;

/// A burst follows another quickly if fewer requests than this were accepted in between, or less time passed.
const QUICK_ACCEPTED: f64 = 10.0;
const QUICK: Duration = Duration::from_secs(1);

/// Fewer accepted requests say nothing about their rate.
const ENOUGH: f64 = 10.0;

/// In a shorter time, in seconds, requests that were sent before still affect what is accepted.
const LONG: f64 = 2.5;

/// The rate must have been at least this many times what was accepted all the time; otherwise some was lost.
const CLEARLY: f64 = 1.02;

/// The start of a burst.
#[derive(Debug, Clone, Copy)]
struct BurstStart {
    at: Duration,
    /// Requests that had been sent, and of these rejected; and seconds of waiting.
    sent: u64,
    rejected: u64,
    waited: f64,
    /// The lowest rate since.
    lowest: f64,
}

/// What was accepted between two bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MeasuredLimit {
    /// Requests.
    pub(crate) accepted: f64,
    /// Requests per second over the whole time. The limit is at least this.
    pub(crate) least: f64,
    /// The same over the time without the waiting. The limit is at most this, unless the server had unused requests at
    /// times, which are lost.
    pub(crate) most: Option<f64>,
}

/// The recent bursts.
#[derive(Debug, Default)]
pub(crate) struct RejectionBursts {
    starts: VecDeque<BurstStart>,
    rejected: u64,
    waited: f64,
    /// When requests were sent again after the last burst.
    resumed: Duration,
}

impl RejectionBursts {
    /// Sets the rate from now on.
    pub(crate) fn rate_is(&mut self, rate: f64) {
        for start in &mut self.starts {
            start.lowest = start.lowest.min(rate);
        }
    }

    /// Notes that the request with this number was rejected.
    pub(crate) fn rejected(&mut self, number: u64) {
        if self.starts.back().is_some_and(|start| number > start.sent) {
            self.rejected += 1;
        }
    }

    /// Notes a burst, after this many requests were sent.
    pub(crate) fn begin(&mut self, now: Duration, sent: u64, rate: f64) {
        if self.starts.len() == MAX_BURSTS {
            self.starts.pop_front();
        }
        self.starts.push_back(BurstStart {
            at: now,
            sent,
            rejected: self.rejected,
            waited: self.waited,
            lowest: rate,
        });
        self.resumed = now;
    }

    /// Notes that the wait after the burst is over.
    pub(crate) fn resume(&mut self, now: Duration) {
        self.waited += now.saturating_sub(self.resumed).as_secs_f64();
        self.resumed = now;
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets everything before the last burst.
    pub(crate) fn forget_older(&mut self) {
        if let Some(last) = self.starts.pop_back() {
            self.starts.clear();
            self.starts.push_back(last);
        }
    }

    fn between(&self, start: &BurstStart, at: Duration, number: u64) -> Option<MeasuredLimit> {
        let seconds = at.saturating_sub(start.at).as_secs_f64();
        let active = seconds - (self.waited - start.waited);
        let sent = number.saturating_sub(start.sent + 1);
        let accepted = sent.saturating_sub(self.rejected - start.rejected);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
        let accepted = accepted as f64;
        let most = accepted / active;
        (active > 0.0).then(|| MeasuredLimit {
            accepted,
            least: accepted / seconds,
            most: (most * CLEARLY <= start.lowest && seconds >= LONG).then_some(most),
        })
    }

    /// What was accepted until another burst, whose first rejected request has this number and was sent at this time.
    /// Of the recent bursts, the one that says most counts.
    pub(crate) fn measure(&self, at: Duration, number: u64) -> Option<MeasuredLimit> {
        let long_ago = |start: &&BurstStart| at.saturating_sub(start.at) >= QUICK;
        let all = self.starts.iter().filter(long_ago);
        let measured = all.filter_map(|start| self.between(start, at, number));
        let measured = measured.filter(|measured| measured.accepted >= ENOUGH);
        measured.max_by(|one, other| {
            let key = |measured: &MeasuredLimit| match measured.most {
                Some(_) => (1.0, measured.accepted),
                None => (0.0, measured.least),
            };
            key(one).partial_cmp(&key(other)).unwrap_or(Ordering::Equal)
        })
    }

    /// Whether another burst comes so soon that the rate must be far too high.
    pub(crate) fn is_quick(&self, at: Duration, number: u64) -> bool {
        self.starts.back().is_some_and(|start| {
            at.saturating_sub(self.resumed) < QUICK
                || self
                    .between(start, at, number)
                    .is_none_or(|measured| measured.accepted < QUICK_ACCEPTED)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that allows 100 per second receives 120, with a burst every second and 20 ms of waiting after each.
    fn saturated(seconds: u32) -> RejectionBursts {
        let mut bursts = RejectionBursts::default();
        let mut sent = 0;
        for second in 0..seconds {
            bursts.begin(SECOND * second, sent, 120.0);
            bursts.resume(SECOND * second + Duration::from_millis(20));
            sent += 120;
            for rejected in 0..20 {
                bursts.rejected(sent - rejected);
            }
        }
        bursts
    }

    #[test]
    fn the_rate_accepted_between_bursts_is_the_limit() {
        let bursts = saturated(4);
        let measured = bursts.measure(SECOND * 4, 481).unwrap();
        assert!((measured.accepted - 400.0).abs() < 1.5, "{measured:?}");
        assert!((measured.least - 100.0).abs() < 1.0, "{measured:?}");
        let most = measured.most.unwrap();
        assert!((100.0..103.0).contains(&most), "{measured:?}");
    }

    #[test]
    fn lost_requests_leave_the_upper_end_open() {
        let mut bursts = saturated(4);
        // For a while, less was sent than the server allowed.
        bursts.rate_is(50.0);
        bursts.rate_is(120.0);
        let measured = bursts.measure(SECOND * 4, 481).unwrap();
        assert!(
            measured.most.is_none() && measured.least > 98.0,
            "{measured:?}"
        );
        bursts.forget_older();
        assert_eq!(
            bursts.measure(SECOND * 3 + SECOND / 2, 420),
            None,
            "too short"
        );
        bursts.forget();
        assert_eq!(bursts.measure(SECOND * 9, 900), None);
    }

    #[test]
    fn bursts_that_follow_quickly_are_distinguished_from_others() {
        let mut bursts = RejectionBursts::default();
        assert!(!bursts.is_quick(SECOND, 10), "there was none before");
        bursts.begin(SECOND, 10, 100.0);
        bursts.resume(SECOND);
        assert!(bursts.is_quick(SECOND * 3 / 2, 60), "half a second");
        assert!(bursts.is_quick(SECOND * 9, 20), "ten requests");
        assert!(!bursts.is_quick(SECOND * 3, 200));
    }
}
