//! Models of the limits of servers: a token bucket, windows, concurrent requests, a queue, and outages. The sandbox
//! applies them in real time, the simulation of the pacer in simulated time. Pure: time is an argument.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// A bucket of `burst` tokens that fills at `rate`.
    TokenBucket {
        /// Tokens per second.
        rate: f64,
        /// The size of the bucket in tokens, at least 1.
        burst: f64,
    },
    /// A number of requests in each window. One window follows another, from the start of the server.
    FixedWindow {
        /// Requests per window.
        requests: f64,
        /// The length of a window.
        window: Duration,
    },
    /// A number of requests in any window of this length.
    SlidingWindow {
        /// Requests per window.
        requests: f64,
        /// The length of a window.
        window: Duration,
    },
    /// A number of requests at the same time.
    Concurrency {
        /// Concurrent requests.
        requests: f64,
    },
    /// Requests are served one after another. They wait instead of being rejected.
    Queue {
        /// Requests that are served per second.
        rate: f64,
        /// Requests that may wait. More are rejected.
        waiting: f64,
    },
}

/// The default number of requests that may wait in a [`Limit::Queue`].
const DEFAULT_WAITING: f64 = 1_000.0;

/// The default size of a [`Limit::TokenBucket`], in seconds of its rate.
const DEFAULT_BURST_SECONDS: f64 = 0.1;

impl Limit {
    /// A token bucket of the default size, at least 1 token.
    pub fn token_bucket(rate: f64) -> Self {
        Self::TokenBucket {
            rate,
            burst: (rate * DEFAULT_BURST_SECONDS).max(1.0),
        }
    }

    /// The requests per second that the limit allows in the long run; none if that depends on how long requests take.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Self::TokenBucket { rate, .. } | Self::Queue { rate, .. } => Some(*rate),
            Self::FixedWindow { requests, window } | Self::SlidingWindow { requests, window } => {
                Some(requests / window.as_secs_f64())
            }
            Self::Concurrency { .. } => None,
        }
    }
}

/// Parses `100/s`, `6000/m`, `3600/h` or a plain number per second into the number and its window.
fn requests_in(text: &str) -> Result<(f64, Duration), String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let window = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err("expected /s, /m or /h".to_owned()),
    };
    Ok((positive(number)?, window))
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| format!("expected a number above 0, not `{text}`"))
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = text
            .split_once('=')
            .ok_or("expected KIND=N, like fixed_window=100/s")?;
        let (amount, extra) = match rest.split_once(':') {
            Some((amount, extra)) => (amount, Some(positive(extra)?)),
            None => (rest, None),
        };
        let none = |limit| match extra {
            None => Ok(limit),
            Some(_) => Err(format!("`{kind}` takes one number")),
        };
        match kind {
            "token_bucket" => {
                let (requests, window) = requests_in(amount)?;
                let rate = requests / window.as_secs_f64();
                let burst = extra.map(|burst| burst.max(1.0));
                Ok(match burst {
                    Some(burst) => Self::TokenBucket { rate, burst },
                    None => Self::token_bucket(rate),
                })
            }
            "fixed_window" => {
                let (requests, window) = requests_in(amount)?;
                none(Self::FixedWindow { requests, window })
            }
            "sliding_window" => {
                let (requests, window) = requests_in(amount)?;
                none(Self::SlidingWindow { requests, window })
            }
            "concurrency" => none(Self::Concurrency {
                requests: positive(amount)?,
            }),
            "queue" => {
                let (requests, window) = requests_in(amount)?;
                Ok(Self::Queue {
                    rate: requests / window.as_secs_f64(),
                    waiting: extra.unwrap_or(DEFAULT_WAITING),
                })
            }
            _ => Err(
                "expected token_bucket, fixed_window, sliding_window, concurrency or queue"
                    .to_owned(),
            ),
        }
    }
}

/// A span of time, since the start of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    /// When it begins.
    pub from: Duration,
    /// When it is over.
    pub until: Duration,
}

impl TimeSpan {
    fn contains(&self, time: Duration) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// Another client of the same key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OtherClient {
    /// Requests per second.
    pub rate: f64,
    /// When it sends requests.
    pub span: TimeSpan,
}

/// All limits of a server, and their changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LimitPlan {
    /// The limits. Each of them must allow a request.
    pub limits: Vec<Limit>,
    /// Times and factors, in order of time. From the time on, all limits are their value at the start times the factor.
    pub changes: Vec<(Duration, f64)>,
    /// Other clients that use the same limits.
    pub other_clients: Vec<OtherClient>,
    /// The outages of the server.
    pub outages: Vec<TimeSpan>,
}

/// What a server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is served after this time in a queue.
    Admitted(Duration),
    /// It is rejected with 429.
    Rejected,
    /// The server has an outage.
    Away,
}

/// What a server may report about a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitQuota {
    /// The total number of requests.
    pub limit: f64,
    /// How long the total is meant to last.
    pub window: Duration,
    /// The requests that are left.
    pub left: f64,
    /// The time until all requests are available again.
    pub reset: Duration,
}

/// The state of one limit.
#[derive(Debug)]
enum Meter {
    Tokens { level: f64, filled: Duration },
    Window { index: u128, count: f64 },
    Recent(VecDeque<Duration>),
    Active(f64),
    BusyUntil(f64),
}

/// Applies a [`LimitPlan`]. Times must not go back.
#[derive(Debug)]
pub struct Limiter {
    plan: LimitPlan,
    meters: Vec<Meter>,
    /// The number of requests of each other client.
    others: Vec<f64>,
}

impl Limiter {
    /// The state at the start: buckets are full, windows are empty.
    pub fn new(plan: LimitPlan) -> Self {
        let meters = plan.limits.iter().map(|limit| match limit {
            Limit::TokenBucket { burst, .. } => Meter::Tokens {
                level: *burst,
                filled: Duration::ZERO,
            },
            Limit::FixedWindow { .. } => Meter::Window {
                index: 0,
                count: 0.0,
            },
            Limit::SlidingWindow { .. } => Meter::Recent(VecDeque::new()),
            Limit::Concurrency { .. } => Meter::Active(0.0),
            Limit::Queue { .. } => Meter::BusyUntil(0.0),
        });
        Self {
            meters: meters.collect(),
            others: vec![0.0; plan.other_clients.len()],
            plan,
        }
    }

    /// Decides about a request. An admitted request must [`leave`](Self::leave).
    pub fn arrive(&mut self, now: Duration) -> Admission {
        self.count_other_clients(now);
        if self.plan.outages.iter().any(|outage| outage.contains(now)) {
            return Admission::Away;
        }
        self.admit(now)
            .map_or(Admission::Rejected, Admission::Admitted)
    }

    /// Ends an admitted request.
    pub fn leave(&mut self) {
        for meter in &mut self.meters {
            if let Meter::Active(active) = meter {
                *active -= 1.0;
            }
        }
    }

    /// The requests per second that are allowed at a time for all clients together; none if that depends on how long
    /// requests take.
    pub fn allowed_rate(&self, now: Duration) -> Option<f64> {
        let rates = self.plan.limits.iter().filter_map(Limit::rate);
        rates.reduce(f64::min).map(|rate| rate * self.factor(now))
    }

    /// The quota of the first limit that has one.
    pub fn quota(&self, now: Duration) -> Option<LimitQuota> {
        let factor = self.factor(now);
        let mut pairs = self.plan.limits.iter().zip(&self.meters);
        pairs.find_map(|(limit, meter)| meter.quota(limit, factor, now))
    }

    fn factor(&self, now: Duration) -> f64 {
        let past = self.plan.changes.iter().rev();
        past.clone()
            .find(|(from, _)| *from <= now)
            .map_or(1.0, |(_, factor)| *factor)
    }

    /// Counts the requests of other clients until now, evenly spaced. Their responses do not change what they do.
    fn count_other_clients(&mut self, now: Duration) {
        // `admit` borrows the whole limiter.
        let mut others = std::mem::take(&mut self.others);
        for (client, made) in self.plan.other_clients.clone().iter().zip(&mut others) {
            loop {
                let since =
                    Duration::try_from_secs_f64(*made / client.rate).unwrap_or(Duration::MAX);
                let at = client.span.from.saturating_add(since);
                if at > now || !client.span.contains(at) {
                    break;
                }
                *made += 1.0;
                // Their requests end at once, so they never count as requests in flight.
                if self.admit(at).is_some() {
                    self.leave();
                }
            }
        }
        self.others = others;
    }

    /// Returns how long a request waits, if all limits allow it. Only then all of them count it.
    fn admit(&mut self, now: Duration) -> Option<Duration> {
        let factor = self.factor(now);
        for (limit, meter) in self.plan.limits.iter().zip(&mut self.meters) {
            if !meter.allows(limit, factor, now) {
                return None;
            }
        }
        let mut wait = Duration::ZERO;
        for (limit, meter) in self.plan.limits.iter().zip(&mut self.meters) {
            wait = wait.max(meter.count(limit, factor, now));
        }
        Some(wait)
    }
}

impl Meter {
    /// Updates the state, and returns whether one more request is allowed.
    fn allows(&mut self, limit: &Limit, factor: f64, now: Duration) -> bool {
        /// A token minus a rounding error is a token.
        const ALMOST: f64 = 1.0 - 1e-9;
        match (self, limit) {
            (Self::Tokens { level, filled }, Limit::TokenBucket { rate, burst }) => {
                let gained = now.saturating_sub(*filled).as_secs_f64() * rate * factor;
                *level = (*level + gained).min(burst.max(1.0));
                *filled = now.max(*filled);
                *level >= ALMOST
            }
            (Self::Window { index, count }, Limit::FixedWindow { requests, window }) => {
                let current = now.as_nanos() / window.as_nanos().max(1);
                if current != *index {
                    *index = current;
                    *count = 0.0;
                }
                *count < requests * factor
            }
            (Self::Recent(times), Limit::SlidingWindow { requests, window }) => {
                while times.front().is_some_and(|time| *time + *window <= now) {
                    times.pop_front();
                }
                #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
                let count = times.len() as f64;
                count < requests * factor
            }
            (Self::Active(active), Limit::Concurrency { requests }) => {
                *active + 1.0 <= (requests * factor).max(1.0)
            }
            (Self::BusyUntil(busy), Limit::Queue { rate, waiting }) => {
                let ahead = (*busy - now.as_secs_f64()).max(0.0) * rate * factor;
                ahead <= *waiting
            }
            _ => true,
        }
    }

    fn quota(&self, limit: &Limit, factor: f64, now: Duration) -> Option<LimitQuota> {
        match (self, limit) {
            (Self::Tokens { level, .. }, Limit::TokenBucket { rate, burst }) => {
                let until_full = (burst - level).max(0.0) / (rate * factor);
                Some(LimitQuota {
                    limit: *burst,
                    window: Duration::try_from_secs_f64(burst / (rate * factor)).ok()?,
                    left: level.max(0.0).floor(),
                    reset: Duration::try_from_secs_f64(until_full).ok()?,
                })
            }
            (Self::Window { count, .. }, Limit::FixedWindow { requests, window }) => {
                let all = (requests * factor).floor();
                let into = now.as_nanos() % window.as_nanos().max(1);
                let into = Duration::from_nanos(u64::try_from(into).ok()?);
                Some(LimitQuota {
                    limit: all,
                    window: *window,
                    left: (all - count).max(0.0),
                    reset: window.saturating_sub(into),
                })
            }
            (Self::Recent(times), Limit::SlidingWindow { requests, window }) => {
                let all = (requests * factor).floor();
                let last = times.back().map_or(now, |time| *time + *window);
                #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
                let used = times.len() as f64;
                Some(LimitQuota {
                    limit: all,
                    window: *window,
                    left: (all - used).max(0.0),
                    reset: last.saturating_sub(now),
                })
            }
            _ => None,
        }
    }

    /// Counts a request, and returns how long it waits.
    fn count(&mut self, limit: &Limit, factor: f64, now: Duration) -> Duration {
        match (self, limit) {
            (Self::Tokens { level, .. }, _) => *level -= 1.0,
            (Self::Window { count, .. }, _) => *count += 1.0,
            (Self::Recent(times), _) => times.push_back(now),
            (Self::Active(active), _) => *active += 1.0,
            (Self::BusyUntil(busy), Limit::Queue { rate, .. }) => {
                let start = busy.max(now.as_secs_f64());
                *busy = start + 1.0 / (rate * factor);
                let wait = start - now.as_secs_f64();
                return Duration::try_from_secs_f64(wait).unwrap_or_default();
            }
            _ => {}
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends requests evenly. Returns how many are admitted, and how long the last of them waits.
    fn ask(limiter: &mut Limiter, rate: u32, from: Duration, time: Duration) -> (u32, Duration) {
        let mut admitted = 0;
        let mut last = Duration::ZERO;
        let times = (0..).map(|index| from + SECOND * index / rate);
        for at in times.take_while(|at| *at < from + time) {
            if let Admission::Admitted(wait) = limiter.arrive(at) {
                limiter.leave();
                admitted += 1;
                last = wait;
            }
        }
        (admitted, last)
    }

    fn limiter(limits: &[&str]) -> Limiter {
        let limits = limits.iter().map(|limit| limit.parse().unwrap()).collect();
        Limiter::new(LimitPlan {
            limits,
            ..LimitPlan::default()
        })
    }

    #[test]
    fn each_rate_limit_admits_its_rate() {
        for (limit, expected) in [
            ("token_bucket=50/s:10", 510),
            ("token_bucket=50/s:1", 501),
            ("fixed_window=50/s", 500),
            ("sliding_window=50/s", 500),
            ("fixed_window=60/m", 60),
        ] {
            let (admitted, _) = ask(&mut limiter(&[limit]), 500, Duration::ZERO, SECOND * 10);
            assert!(admitted.abs_diff(expected) <= 1, "{limit}: {admitted}");
            let (admitted, _) = ask(&mut limiter(&[limit]), 1, Duration::ZERO, SECOND * 10);
            assert_eq!(admitted, 10, "{limit}");
        }
    }

    #[test]
    fn of_several_limits_each_must_allow() {
        let mut both = limiter(&["fixed_window=100/m", "token_bucket=20/s:20"]);
        let (admitted, _) = ask(&mut both, 500, Duration::ZERO, SECOND);
        assert!((39..=41).contains(&admitted), "{admitted}");
        let (admitted, _) = ask(&mut both, 500, SECOND, SECOND * 59);
        assert!((59..=61).contains(&admitted), "{admitted}");
    }

    #[test]
    fn concurrency_is_limited() {
        let mut three = limiter(&["concurrency=3"]);
        let arrive = |limiter: &mut Limiter| limiter.arrive(SECOND);
        for _ in 0..3 {
            assert_eq!(arrive(&mut three), Admission::Admitted(Duration::ZERO));
        }
        assert_eq!(arrive(&mut three), Admission::Rejected);
        three.leave();
        assert_eq!(arrive(&mut three), Admission::Admitted(Duration::ZERO));
    }

    #[test]
    fn a_queue_rejects_only_when_it_is_full() {
        let mut queue = limiter(&["queue=100/s"]);
        assert_eq!(
            ask(&mut queue, 90, Duration::ZERO, SECOND * 5),
            (450, Duration::ZERO)
        );
        let (admitted, wait) = ask(&mut queue, 200, SECOND * 5, SECOND * 5);
        assert_eq!(admitted, 1_000);
        assert!(wait > SECOND * 4 && wait < SECOND * 6, "{wait:?}");
        let (admitted, _) = ask(&mut limiter(&["queue=100/s:10"]), 200, SECOND, SECOND * 5);
        assert!((505..=515).contains(&admitted), "{admitted}");
    }

    #[test]
    fn changes_of_limits_other_clients_and_outages_count() {
        let span = |from, until| TimeSpan {
            from: SECOND * from,
            until: SECOND * until,
        };
        let mut limiter = Limiter::new(LimitPlan {
            limits: vec![Limit::token_bucket(50.0)],
            changes: vec![(SECOND * 10, 0.5), (SECOND * 20, 3.0)],
            other_clients: vec![OtherClient {
                rate: 30.0,
                span: span(30, 40),
            }],
            outages: vec![span(50, 60)],
        });
        let mut admitted = |second| ask(&mut limiter, 500, SECOND * second, SECOND * 10).0;
        assert!((500..=506).contains(&admitted(0)));
        assert!((248..=252).contains(&admitted(10)));
        assert!((1_498..=1_502).contains(&admitted(20)));
        // A faster client gets a larger share.
        assert!((1_350..=1_450).contains(&admitted(30)));
        assert!((1_495..=1_505).contains(&admitted(40)));
        assert_eq!(admitted(50), 0);
        assert_eq!(limiter.allowed_rate(SECOND * 15), Some(25.0));
    }

    #[test]
    fn a_quota_has_what_is_left() {
        let mut window = limiter(&["fixed_window=100/m"]);
        ask(&mut window, 10, Duration::ZERO, SECOND * 2);
        let quota = window.quota(SECOND * 2).unwrap();
        assert_eq!(
            (quota.limit, quota.left, quota.reset),
            (100.0, 80.0, SECOND * 58)
        );
        let mut bucket = limiter(&["token_bucket=10/s:20"]);
        ask(&mut bucket, 110, Duration::ZERO, SECOND / 10);
        let quota = bucket.quota(SECOND / 10).unwrap();
        assert_eq!((quota.limit, quota.left), (20.0, 9.0));
        assert!(limiter(&["concurrency=3"]).quota(SECOND).is_none());
    }

    #[test]
    fn invalid_limits_are_refused() {
        for bad in [
            "",
            "token_bucket",
            "token_bucket=0",
            "token_bucket=NaN",
            "fixed_window=1/d",
            "fixed_window=1/s:2",
            "queue=1:-2",
            "leaky=1",
        ] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }
}
