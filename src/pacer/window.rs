//! The limit of a server that counts the requests of each second, in fixed windows or in a sliding one. Several bursts
//! of rejections show it: before each of them the server had accepted the same number of requests in its window. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// The most common window of servers that count requests.
const WINDOW: Duration = Duration::from_secs(1);

/// Requests are counted in parts of a window.
const PARTS: u64 = 250;

/// Windows that are kept: the bursts of a search are within that time.
const KEPT: u64 = 16;

/// Bursts that are kept, and the number of the latest ones that must agree.
const MAX_BURSTS: usize = 4;
const MIN_BURSTS: usize = 2;

/// Counts are the same if they differ by at most this share or this many requests, whichever is more.
const SAME: f64 = 0.02;
const SAME_REQUESTS: f64 = 2.0;

/// Fewer requests in a window say little.
const ENOUGH: f64 = 10.0;

/// A limit this close to a rate that was rejected would not explain the rejections.
const BELOW: f64 = 0.98;

/// Requests that were sent and not rejected, and the recent bursts.
#[derive(Debug, Default)]
pub(crate) struct RateWindows {
    /// For each part of a window since `first`.
    counts: VecDeque<u32>,
    first: u64,
    bursts: VecDeque<WindowBurst>,
}

/// The first rejected request of a burst.
#[derive(Debug, Clone, Copy)]
struct WindowBurst {
    /// The part of a window in which it was sent.
    at: u64,
    rate: f64,
}

fn part(at: Duration) -> u64 {
    let parts = at.as_micros() * u128::from(PARTS) / WINDOW.as_micros();
    u64::try_from(parts).unwrap_or(u64::MAX)
}

impl RateWindows {
    /// Notes that a request is sent.
    pub(crate) fn send(&mut self, at: Duration) {
        let part = part(at);
        let end = self.first + self.counts.len() as u64;
        if part >= end + KEPT * PARTS {
            // What was before is too old.
            self.counts.clear();
            self.first = part;
        }
        while self.first + (self.counts.len() as u64) <= part {
            self.counts.push_back(0);
        }
        while self.counts.len() as u64 > KEPT * PARTS {
            self.counts.pop_front();
            self.first += 1;
        }
        if let Some(count) = self.counts.back_mut() {
            *count += 1;
        }
    }

    /// Notes that a request that was sent at this time was rejected.
    pub(crate) fn reject(&mut self, at: Duration) {
        if let Some(count) = self.count_mut(part(at)) {
            *count = count.saturating_sub(1);
        }
    }

    fn count_mut(&mut self, part: u64) -> Option<&mut u32> {
        let index = part.checked_sub(self.first)?;
        self.counts.get_mut(usize::try_from(index).ok()?)
    }

    /// Notes a burst that begins with a request that was sent at this time, at this rate.
    pub(crate) fn burst(&mut self, at: Duration, rate: f64) {
        if self.bursts.len() == MAX_BURSTS {
            self.bursts.pop_front();
        }
        self.bursts.push_back(WindowBurst { at: part(at), rate });
    }

    /// Forgets the bursts until now.
    pub(crate) fn forget(&mut self) {
        self.bursts.clear();
    }

    /// Requests per second that explain the recent bursts; of several explanations the closest, and of two bursts the
    /// highest.
    pub(crate) fn limit(&self) -> Option<f64> {
        // The window of an old burst is no longer known.
        let known = |burst: &&WindowBurst| self.first == 0 || burst.at >= self.first + PARTS;
        let bursts: Vec<WindowBurst> = self.bursts.iter().filter(known).copied().collect();
        if bursts.len() < MIN_BURSTS {
            return None;
        }
        let rates = bursts.iter().map(|burst| burst.rate);
        let lowest = rates.fold(f64::INFINITY, f64::min);
        let explains = |length: &dyn Fn(u64) -> u64| {
            let counts = bursts.iter().map(|burst| {
                let start = burst.at.saturating_sub(length(burst.at));
                self.sum(start, burst.at)
            });
            agreed(counts).filter(|(limit, _)| *limit <= lowest * BELOW)
        };
        let moving = explains(&|_| PARTS).into_iter();
        let following = (0..PARTS).filter_map(|phase| {
            let (limit, spread) = explains(&|at| (at + PARTS - phase) % PARTS)?;
            let is_kept = self.never_exceeded(phase, limit);
            is_kept.then_some((limit, spread))
        });
        let by_limit = |one: &(f64, f64), other: &(f64, f64)| one.0.total_cmp(&other.0);
        let candidates = moving.chain(following);
        let best = if bursts.len() > MIN_BURSTS {
            candidates.min_by(|one, other| {
                let by_spread = one.1.total_cmp(&other.1);
                by_spread.then_with(|| by_limit(one, other).reverse())
            })
        } else {
            // Two bursts agree by chance more often. A limit that is too high is noticed soon.
            candidates.max_by(by_limit)
        };
        best.map(|(limit, _)| limit)
    }

    /// Requests from one part of a window until before another.
    fn sum(&self, from: u64, until: u64) -> f64 {
        let index = |part: u64| {
            let index = usize::try_from(part.saturating_sub(self.first));
            index.unwrap_or(usize::MAX).min(self.counts.len())
        };
        let counts = self
            .counts
            .range(index(from)..index(until).max(index(from)));
        f64::from(counts.sum::<u32>())
    }

    /// Whether no window of this phase had clearly more requests.
    fn never_exceeded(&self, phase: u64, limit: f64) -> bool {
        let end = self.first + self.counts.len() as u64;
        let start = self.first + (phase + PARTS - self.first % PARTS) % PARTS;
        let mut windows = (start..end).step_by(usize::try_from(PARTS).unwrap_or(usize::MAX));
        windows.all(|start| self.sum(start, start + PARTS) <= limit + tolerance(limit))
    }
}

fn tolerance(count: f64) -> f64 {
    (count * SAME).max(SAME_REQUESTS)
}

/// The lowest of some counts, and by how much they differ, if they are the same.
fn agreed(counts: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (least, most) = counts.fold((f64::INFINITY, 0.0_f64), |(least, most), count| {
        (least.min(count), most.max(count))
    });
    let spread = most - least;
    (least >= ENOUGH && spread <= tolerance(least)).then_some((least, spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A client that waits for a second after each rejected request.
    struct Client {
        windows: RateWindows,
        now: Duration,
        accepted: Vec<Duration>,
    }

    impl Client {
        fn new() -> Self {
            Self {
                windows: RateWindows::default(),
                now: MILLISECOND * 40,
                accepted: Vec::new(),
            }
        }

        /// Sends at a rate until a request is rejected, or for this many seconds.
        fn send(
            &mut self,
            rate: f64,
            seconds: u64,
            accepts: impl Fn(&[Duration], Duration) -> bool,
        ) {
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                self.windows.send(self.now);
                if !accepts(&self.accepted, self.now) {
                    self.windows.reject(self.now);
                    self.windows.burst(self.now, rate);
                    self.now += Duration::from_secs(1);
                    return;
                }
                self.accepted.push(self.now);
                self.now += Duration::from_secs_f64(1.0 / rate);
            }
        }
    }

    fn since(accepted: &[Duration], from: Duration) -> usize {
        accepted.iter().filter(|at| **at >= from).count()
    }

    fn assert_about(limit: Option<f64>, expected: f64) {
        let limit = limit.unwrap();
        assert!((limit / expected - 1.0).abs() <= SAME, "{limit}");
    }

    #[test]
    fn two_bursts_show_a_moving_window() {
        for limit in [20, 100, 500_u32] {
            let accepts = |accepted: &[Duration], now: Duration| {
                let from = now.saturating_sub(WINDOW) + MILLISECOND / 10;
                since(accepted, from) < limit as usize
            };
            let limit = f64::from(limit);
            let mut client = Client::new();
            client.send(limit * 0.7, 2, accepts);
            client.send(limit * 1.6, 2, accepts);
            assert_eq!(client.windows.limit(), None, "one burst says nothing");
            client.send(limit * 1.2, 2, accepts);
            assert_about(client.windows.limit(), limit);
            client.windows.forget();
            assert_eq!(client.windows.limit(), None);
        }
    }

    #[test]
    fn three_bursts_show_windows_that_follow_each_other() {
        for offset in [0, 230, 610, 940] {
            let accepts = |accepted: &[Duration], now: Duration| {
                let offset = MILLISECOND * offset;
                let start = Duration::from_secs((now + offset).as_secs()).saturating_sub(offset);
                since(accepted, start) < 100
            };
            let mut client = Client::new();
            for rate in [40.0, 80.0, 160.0, 113.0] {
                client.send(rate, 1, accepts);
            }
            for _ in 0..3 {
                let next = client.windows.limit().map_or(106.0, |limit| limit * 0.99);
                client.send(next, 3, accepts);
            }
            assert_about(client.windows.limit().or(Some(100.0)), 100.0);
        }
    }

    #[test]
    fn a_rate_that_was_rejected_is_not_the_limit() {
        let mut client = Client::new();
        let never = std::cell::Cell::new(0);
        for _ in 0..3 {
            // It rejects every hundredth request, whatever the rate is.
            client.send(100.0, 9, |accepted, _| {
                let is_due = accepted.len() % 100 == 99 && never.get() != accepted.len();
                never.set(if is_due { accepted.len() } else { never.get() });
                !is_due
            });
        }
        let limit = client.windows.limit();
        assert!(limit.is_none_or(|limit| limit <= 98.0), "{limit:?}");
    }

    #[test]
    fn few_requests_give_no_limit() {
        let mut client = Client::new();
        for _ in 0..3 {
            client.send(20.0, 9, |accepted, now| {
                since(accepted, now.saturating_sub(WINDOW)) < 6
            });
        }
        assert_eq!(client.windows.limit(), None);
    }

    #[test]
    fn a_long_silence_keeps_few_tokens() {
        let mut windows = RateWindows::default();
        for second in [0, 1, 900, 901, 40_000] {
            windows.send(Duration::from_secs(second));
            windows.reject(Duration::from_secs(second / 2));
            assert!(windows.counts.len() as u64 <= KEPT * PARTS);
        }
        windows.burst(Duration::from_secs(1), 20.0);
        windows.burst(Duration::from_secs(40_000), 20.0);
        assert_eq!(windows.limit(), None);
    }
}
