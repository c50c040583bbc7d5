//! The limit that explains two bursts of rejections. Most servers accept some requests beyond their limit before they
//! reject any: a token bucket, which refills at the rate of the limit. How long which rates were accepted before a
//! rejection, twice, gives the size of the bucket and the limit. Pure.

/// Stretches of time that are kept; older ones do not matter.
const MAX_STRETCHES: usize = 64;

/// Limits that are tried between the lowest and the highest possible one.
const STEPS: u32 = 400;

/// The lowest possible limit, as a share of the rate that was rejected.
const LOWEST: f64 = 0.3;

/// Two bursts say no more than one if their times above the limit differ by less than this.
const SAME_TIME: f64 = 1.25;

/// The time between two bursts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretches {
    /// How long nothing was sent before, in seconds; infinite at the start.
    pub(crate) pause: f64,
    /// Rates, and for how many seconds.
    rates: Vec<(f64, f64)>,
}

impl Stretches {
    /// Starts after a pause.
    pub(crate) fn after(pause: f64) -> Self {
        Self {
            pause,
            rates: Vec::new(),
        }
    }

    /// This many requests were sent in this many seconds.
    pub(crate) fn add(&mut self, requests: f64, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        if self.rates.len() == MAX_STRETCHES {
            self.rates.remove(0);
        }
        self.rates.push((requests / seconds, seconds));
    }

    /// Requests beyond a limit at the end, if this many were left over from before, and for how long there were any.
    fn beyond(&self, limit: f64, before: f64) -> (f64, f64) {
        // A pause gives back what was taken beyond the limit, and no more than that.
        let mut beyond = (before - limit * self.pause).max(0.0);
        let mut time = 0.0;
        for (rate, seconds) in &self.rates {
            beyond = (beyond + (rate - limit) * seconds).max(0.0);
            time = if beyond > 0.0 { time + seconds } else { 0.0 };
        }
        (beyond, time)
    }
}

/// The limit and the size of the bucket that explain a burst at the end of each of two times, the second one directly
/// after the first. `None` if the two say no more than one.
pub(crate) fn fit(first: &Stretches, second: &Stretches, rate: f64) -> Option<(f64, f64)> {
    let limit = solve(rate, |limit| {
        let bucket = first.beyond(limit, 0.0).0;
        second.beyond(limit, bucket).0 - bucket
    })?;
    let (bucket, time) = first.beyond(limit, 0.0);
    let (_, other_time) = second.beyond(limit, bucket);
    let differs = time.max(other_time) >= time.min(other_time) * SAME_TIME;
    (differs && bucket > 0.0).then_some((limit, bucket))
}

/// Where a function that falls as the limit rises changes its sign, searched from above.
fn solve(rate: f64, mut difference: impl FnMut(f64) -> f64) -> Option<f64> {
    let step = rate * (1.0 - LOWEST) / f64::from(STEPS);
    let mut above = difference(rate);
    for index in 1..=STEPS {
        let limit = rate - step * f64::from(index);
        let below = difference(limit);
        if above < 0.0 && below >= 0.0 {
            let share = below / (below - above);
            return Some(limit + step * share);
        }
        above = below;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Empties a bucket at a rate.
    fn until_empty(limit: f64, bucket: f64, left: f64, rate: f64, pause: f64) -> Stretches {
        let mut stretches = Stretches::after(pause);
        let seconds = left / (rate - limit);
        stretches.add(rate * seconds, seconds);
        assert!(bucket >= left);
        stretches
    }

    #[test]
    fn two_bursts_show_the_limit_and_the_bucket() {
        for (limit, bucket) in [(100.0, 20.0), (5.0, 20.0), (500.0, 50.0), (20.0, 2.0)] {
            let first = until_empty(limit, bucket, bucket, limit * 1.6, f64::INFINITY);
            // After a second the bucket is full again, or partly full.
            let left = bucket.min(limit);
            let second = until_empty(limit, bucket, left, limit * 1.2, 1.0);
            let (found, size) = fit(&first, &second, limit * 1.2).unwrap();
            assert!((found / limit - 1.0).abs() < 0.01, "{limit}: {found}");
            assert!((size / bucket - 1.0).abs() < 0.05, "{bucket}: {size}");
        }
    }

    #[test]
    fn time_below_the_limit_is_forgotten() {
        let mut first = Stretches::after(f64::INFINITY);
        first.add(10.0, 1.0);
        first.add(20.0, 1.0);
        first.add(80.0, 0.5);
        let mut second = Stretches::after(0.5);
        second.add(300.0, 3.0);
        second.add(60.0, 0.5);
        second.add(36.0, 0.3);
        let found = fit(&first, &second, 120.0).map(|(limit, _)| limit);
        assert!(found.is_none_or(|limit| limit < 120.0), "{found:?}");
    }

    #[test]
    fn bursts_without_information_give_no_limit() {
        let same = until_empty(100.0, 20.0, 20.0, 120.0, 5.0);
        assert_eq!(fit(&same, &same.clone(), 120.0), None);
        let empty = Stretches::after(1.0);
        assert_eq!(fit(&empty, &empty.clone(), 120.0), None);
    }
}
