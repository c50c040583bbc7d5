//! The quotas that a server reports in headers, and how far they are trusted. Pure: time is passed in.

use std::time::Duration;

use crate::pacer::settings::{MAX_PAUSE, MAX_QUOTA_WAIT, MAX_SPREAD, MIN_SPREAD};
use crate::pacer::types::ServerQuota;

/// The quota that was reported last.
#[derive(Debug, Default)]
pub(crate) struct QuotaTracker {
    /// Until when no more than this rate is left.
    spread: Option<(Duration, f64)>,
    /// From when to when nothing is left.
    empty: Option<(Duration, Duration)>,
    /// Whether the quotas turned out to be wrong.
    is_wrong: bool,
}

impl QuotaTracker {
    /// Takes the quotas of a response; the tightest counts. A response without quotas changes nothing. `under_way` is the
    /// number of requests in flight. Returns how long nothing is left.
    pub(crate) fn update(
        &mut self,
        quotas: &[ServerQuota],
        under_way: f64,
        now: Duration,
    ) -> Option<Duration> {
        if !self.is_wrong && !quotas.is_empty() {
            self.replace(quotas, under_way, now);
        }
        let (_, until) = self.empty?;
        until.checked_sub(now)
    }

    fn replace(&mut self, quotas: &[ServerQuota], under_way: f64, now: Duration) {
        // Most servers count in whole seconds: a quota for a second or two is too coarse.
        let exact = quotas.iter().filter(|quota| quota.reset >= MIN_SPREAD);
        let spread = exact.clone().filter(|quota| quota.reset <= MAX_SPREAD);
        let rates = spread.map(|quota| {
            // Requests in flight will be counted too, and one request at the end of the time is always allowed.
            let rate = (quota.left - under_way).max(1.0) / quota.reset.as_secs_f64();
            (now + quota.reset, rate)
        });
        self.spread = rates.min_by(|(_, one), (_, other)| one.total_cmp(other));
        let empty = exact.filter(|quota| quota.left < 1.0);
        let until = empty
            .map(|quota| now + quota.reset.min(MAX_QUOTA_WAIT))
            .max();
        self.empty = until.map(|until| match self.empty {
            Some((since, _)) => (since, until),
            None => (now, until),
        });
    }

    /// The rate that the rest of the quota allows.
    pub(crate) fn rate(&self, now: Duration) -> Option<f64> {
        let (_, rate) = self.spread.filter(|(until, _)| now < *until)?;
        // From time to time one request shows whether the quota is true.
        Some(rate.max(1.0 / MAX_PAUSE.as_secs_f64()))
    }

    /// Notes an accepted request. If it was sent when nothing was left, the headers are wrong.
    pub(crate) fn accepted(&mut self, sent: Duration, now: Duration) {
        if let Some((since, until)) = self.empty
            && sent > since
            && now + MIN_SPREAD < until
        {
            *self = Self {
                is_wrong: true,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(left: f64, seconds: u32) -> ServerQuota {
        ServerQuota {
            left,
            reset: SECOND * seconds,
        }
    }

    #[test]
    fn the_rest_of_a_quota_is_spread_over_its_time() {
        let mut quotas = QuotaTracker::default();
        quotas.update(&[quota(310.0, 30), quota(9_000.0, 60)], 10.0, SECOND);
        assert_eq!(quotas.rate(SECOND), Some(10.0));
        assert_eq!(quotas.rate(SECOND * 31), None, "by then there is more");
        quotas.update(&[], 0.0, SECOND * 2);
        assert!(quotas.rate(SECOND * 2).is_some(), "it said nothing");
        quotas.update(&[quota(100_000.0, 86_400)], 0.0, SECOND * 2);
        assert_eq!(quotas.rate(SECOND * 2), None);
    }

    #[test]
    fn short_and_daily_quotas_are_not_spread() {
        let mut quotas = QuotaTracker::default();
        let wait = quotas.update(&[quota(50.0, 1), quota(100_000.0, 86_400)], 10.0, SECOND);
        assert_eq!((quotas.rate(SECOND), wait), (None, None));
        let wait = quotas.update(&[quota(0.0, 86_400)], 10.0, SECOND);
        assert_eq!((quotas.rate(SECOND), wait), (None, Some(MAX_QUOTA_WAIT)));
    }

    #[test]
    fn quota_headers_that_turn_out_wrong_are_ignored() {
        let mut quotas = QuotaTracker::default();
        quotas.update(&[quota(0.0, 60)], 0.0, SECOND);
        // A request that was in flight before says nothing.
        quotas.accepted(SECOND / 2, SECOND * 2);
        assert!(quotas.update(&[], 0.0, SECOND * 2).is_some());
        quotas.accepted(SECOND * 2, SECOND * 3);
        assert_eq!(quotas.update(&[], 0.0, SECOND * 3), None);
        let wait = quotas.update(&[quota(0.0, 60)], 0.0, SECOND * 4);
        assert_eq!((quotas.rate(SECOND * 4), wait), (None, None));
    }
}
