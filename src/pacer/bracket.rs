//! The rates between which the limit is: the highest that the server accepted, and the lowest that it rejected. Pure.

use std::time::Duration;

use crate::pacer::settings::{
    CHANCE, CLOSER, MAX_ACCEPTED, REFUTED_FOR, SURE, SURE_OF_WINDOW, TRUSTED,
};

/// Rates whose relative difference is smaller than this are the same.
const SAME: f64 = 0.01;

/// The bracket.
#[derive(Debug, Default)]
pub(crate) struct RateBracket {
    /// The highest rate that the server accepted for a while.
    low: Option<f64>,
    /// For how many seconds.
    low_seconds: f64,
    /// The lowest rate that the server rejected.
    pub(crate) high: Option<f64>,
    /// Whether the rejection may be due to requests that were sent before.
    pub(crate) is_doubtful: bool,
    /// Rates that were accepted, the lowest first.
    accepted: Vec<f64>,
    /// A rate that was held and then rejected, and when.
    refuted: Option<(f64, Duration)>,
}

impl RateBracket {
    /// The lower end.
    pub(crate) fn low(&self) -> Option<f64> {
        self.low
    }

    /// Sets the lower end to a guess that was not held.
    pub(crate) fn guess_low(&mut self, low: f64) {
        if self.low != Some(low) {
            self.low_seconds = 0.0;
        }
        self.low = Some(low);
    }

    /// The server has accepted the rate for this many seconds.
    pub(crate) fn take(&mut self, rate: f64, seconds: f64) {
        let is_same = self.low.is_some_and(|low| (rate / low - 1.0).abs() < SAME);
        self.low_seconds = if is_same {
            self.low_seconds + seconds
        } else {
            seconds
        };
        self.low = Some(rate);
        // Keeps the rates sorted, and drops those above a limit that fell.
        self.accepted.retain(|accepted| *accepted < rate);
        if self.accepted.len() == MAX_ACCEPTED {
            self.accepted.remove(0);
        }
        self.accepted.push(rate);
    }

    /// The lower end, if the server accepted it for so long that a rejection of a higher rate does not put it in doubt.
    pub(crate) fn trusted_low(&self, rate: f64, is_quick_again: bool) -> Option<f64> {
        let least = if is_quick_again { SURE } else { TRUSTED };
        self.low
            .filter(|low| *low < rate * CHANCE && self.low_seconds >= least)
    }

    /// Whether the server accepted this rate for so long that it is hardly too high. A window that is too small for it
    /// shows soon.
    pub(crate) fn is_sure(&self, rate: f64, is_of_window: bool) -> bool {
        let is_same = self.low.is_some_and(|low| (rate / low - 1.0).abs() < SAME);
        is_same && self.low_seconds >= if is_of_window { SURE_OF_WINDOW } else { SURE }
    }

    /// The rate was held, and then rejected.
    pub(crate) fn refute(&mut self, rate: f64, now: Duration) {
        self.refuted = Some((rate, now));
    }

    /// The highest accepted rate below this one.
    pub(crate) fn accepted_below(&mut self, rate: f64) -> Option<f64> {
        self.accepted.retain(|accepted| *accepted < rate * CHANCE);
        self.accepted.last().copied()
    }

    /// A little more than a rate, but less than what was refuted recently.
    pub(crate) fn closer(&self, from: f64, now: Duration) -> f64 {
        let most = self
            .refuted
            .filter(|(_, at)| now.saturating_sub(*at) < REFUTED_FOR)
            .map_or(f64::INFINITY, |(rate, _)| rate * CHANCE);
        (from * CLOSER).min(most).max(from)
    }

    /// The middle, unless the upper end is at most this many times the lower one.
    pub(crate) fn middle(&self, narrow: f64) -> Option<f64> {
        let (low, high) = (self.low?, self.high?);
        (high > low * narrow).then(|| (low * high).sqrt())
    }

    /// The limit has become much lower: rates that were accepted before say nothing.
    pub(crate) fn forget_accepted(&mut self) {
        self.accepted.clear();
    }

    /// The limit is higher than before: this rate is accepted, and none was rejected.
    pub(crate) fn reopen(&mut self, low: f64) {
        *self = Self {
            low: Some(low),
            low_seconds: TRUSTED,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_that_was_accepted_for_long_is_kept_despite_quick_bursts() {
        let mut bracket = RateBracket::default();
        assert_eq!(bracket.trusted_low(100.0, false), None);
        bracket.take(80.0, 1.0);
        assert_eq!(bracket.trusted_low(100.0, false), Some(80.0));
        assert_eq!(bracket.trusted_low(100.0, true), None);
        bracket.take(80.2, 4.0);
        assert_eq!(bracket.trusted_low(100.0, true), Some(80.2));
        // A rejection of the rate itself does put it in doubt.
        assert_eq!(bracket.trusted_low(80.2, false), None);
        bracket.guess_low(90.0);
        assert_eq!(bracket.trusted_low(100.0, false), None);
    }

    #[test]
    fn a_rejection_returns_to_a_rate_that_was_accepted() {
        let mut bracket = RateBracket::default();
        for rate in [10.0, 20.0, 40.0, 30.0, 36.0] {
            bracket.take(rate, 1.0);
        }
        assert_eq!(bracket.accepted_below(36.0), Some(30.0));
        assert_eq!(bracket.accepted_below(30.0), Some(20.0));
        bracket.forget_accepted();
        assert_eq!(bracket.accepted_below(30.0), None);
        for rate in 0..1_000 {
            bracket.take(f64::from(rate), 1.0);
        }
        assert_eq!(bracket.accepted.len(), MAX_ACCEPTED);
    }

    #[test]
    fn a_narrow_bracket_has_no_middle() {
        let mut bracket = RateBracket::default();
        assert_eq!(bracket.middle(1.0), None);
        bracket.take(90.0, 1.0);
        bracket.high = Some(160.0);
        assert_eq!(bracket.middle(1.5), Some(120.0));
        assert_eq!(bracket.middle(1.8), None);
    }

    #[test]
    fn an_approach_stays_below_refuted_rates() {
        let mut bracket = RateBracket::default();
        assert!(bracket.closer(100.0, SECOND) > 100.5);
        bracket.refute(101.0, SECOND);
        assert!(bracket.closer(100.0, SECOND * 2) < 100.01);
        assert!(bracket.closer(99.5, SECOND * 2) < 100.0);
        assert!(bracket.closer(100.0, SECOND * 900) > 100.5);
    }
}
