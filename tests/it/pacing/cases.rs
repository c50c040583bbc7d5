//! The servers that the pacer is measured against, and the requirements for each.

use std::time::Duration;

use scale_export::sandbox::limit_models::{LimitPlan, Limiter, OtherClient, TimeSpan};

use super::simulator::{Latency, Scene};

/// A case runs for at least this many seconds, and for this many tasks.
const SECONDS: f64 = 60.0;
const TASKS: f64 = 2_000.0;

/// The requirements of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Want {
    /// Minimum share of the allowed requests that are used, after the first seconds.
    pub(super) used: f64,
    /// Maximum share of 429 responses.
    pub(super) rejected: f64,
}

/// The requirement for a limit that does not change.
const STEADY: Want = Want {
    used: 0.95,
    rejected: 0.01,
};

/// The requirement for a limit on requests in flight, and for a limit that changes.
const CHANGING: Want = Want {
    used: 0.90,
    rejected: 0.02,
};

/// Below this number of requests per second, the result is too noisy, since each 429 costs a second.
const FEW: u32 = 20;

/// A server, and the requirements for the pacer.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) group: &'static str,
    pub(super) name: String,
    pub(super) scene: Scene,
    /// Allowed requests per second, where they depend on latency.
    pub(super) allowed: Option<f64>,
    /// `None` without a requirement.
    pub(super) want: Option<Want>,
}

impl Case {
    fn new(group: &'static str, name: &str, limits: &[&str], latency: Latency) -> Self {
        let plan = LimitPlan {
            limits: limits.iter().map(|limit| limit.parse().unwrap()).collect(),
            ..LimitPlan::default()
        };
        let rate = Limiter::new(plan.clone()).allowed_rate(Duration::ZERO);
        let seconds = rate.map_or(SECONDS, |rate| (TASKS / rate).max(SECONDS));
        Self {
            group,
            name: name.to_owned(),
            scene: Scene {
                plan,
                latency,
                retry_after: None,
                tells_quota: false,
                concurrency: 32,
                time: Duration::from_secs_f64(seconds),
                offset: Duration::ZERO,
                seed: 0,
            },
            allowed: None,
            want: Some(STEADY),
        }
    }

    fn wants(self, want: Option<Want>) -> Self {
        Self { want, ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Scene)) -> Self {
        change(&mut self.scene);
        self
    }

    /// The allowed requests per second at a time.
    pub(super) fn allowed_at(&self, at: Duration) -> f64 {
        let plan = &self.scene.plan;
        let is_in = |span: &TimeSpan| (span.from..span.until).contains(&at);
        if plan.outages.iter().any(is_in) {
            return 0.0;
        }
        let others = plan.other_clients.iter().filter(|other| is_in(&other.span));
        let others: f64 = others.map(|other| other.rate).sum();
        let limiter = Limiter::new(plan.clone());
        let allowed = self.allowed.or(limiter.allowed_rate(at));
        allowed.map_or(f64::INFINITY, |allowed| allowed - others)
    }
}

/// Rate limits of all kinds.
fn rate_limits() -> Vec<Case> {
    let mut cases = Vec::new();
    for rate in [5, 20, 100, 500] {
        for (kind, limit) in [
            ("token bucket", format!("token_bucket={rate}/s")),
            ("token bucket of 20", format!("token_bucket={rate}/s:20")),
            ("fixed window", format!("fixed_window={rate}/s")),
            ("sliding window", format!("sliding_window={rate}/s")),
        ] {
            let case = |name: &str, latency| {
                let name = format!("{kind}, {rate}/s, {name}");
                Case::new("A limit on the rate", &name, &[&limit], latency)
            };
            cases.push(case("10 ms", Latency::Uniform(0.01)));
            cases.push(case("50 ms", Latency::Uniform(0.05)));
            let with_header = case("Retry-After: 1", Latency::Fixed(0.005));
            let with_header =
                with_header.with(|scene| scene.retry_after = Some(Duration::from_secs(1)));
            // Each 429 costs a second. A small bucket is too noisy, and so are five requests per window.
            let want = match kind {
                "token bucket" => Some(CHANGING),
                "token bucket of 20" => Some(STEADY),
                _ => (rate >= FEW).then_some(STEADY),
            };
            cases.push(with_header.wants(want));
        }
    }
    cases
}

/// Rate limits of servers with slow responses.
fn slow_responses() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rate, mean) in [
        (20, 0.4),
        (100, 0.2),
        (100, 0.5),
        (20, 1.0),
        (100, 1.0),
        (20, 3.0),
    ] {
        let name = format!("token bucket, {rate}/s, {} ms", mean * 1000.0);
        let limit = format!("token_bucket={rate}/s");
        let case = Case::new("Slow responses", &name, &[&limit], Latency::Uniform(mean));
        let case = case.with(|scene| scene.concurrency = 512);
        // With slow responses the pacer learns slowly, so a minute is too short for a requirement.
        let is_quick = mean <= 0.2;
        cases.push(case.wants(is_quick.then_some(CHANGING)));
    }
    cases
}

/// Limits on requests in flight.
fn concurrency_limits() -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, mean) in [(4, 0.05), (8, 0.05), (16, 0.1), (8, 0.2), (16, 0.02)] {
        for (shape, latency) in [
            ("always", Latency::Fixed(mean)),
            ("about", Latency::Uniform(mean)),
            ("some much more than", Latency::Long(mean)),
        ] {
            let name = format!("{count} at a time, {shape} {} ms", mean * 1000.0);
            let limit = format!("concurrency={count}");
            let group = "A limit on concurrent requests";
            let mut case = Case::new(group, &name, &[&limit], latency);
            case.allowed = Some(f64::from(count) / mean);
            cases.push(case.wants(Some(CHANGING)));
        }
    }
    cases
}

/// Limits that change, and other events.
fn changes() -> Vec<Case> {
    let mut cases = Vec::new();
    let group = "A limit that changes";
    let second = Duration::from_secs(1);
    for rate in [5, 20, 100, 500] {
        for (change, factor) in [("halves", 0.5), ("triples", 3.0)] {
            let name = format!("token bucket, {rate}/s, {change} in the middle");
            let limit = format!("token_bucket={rate}/s");
            let case = Case::new(group, &name, &[&limit], Latency::Uniform(0.01));
            let case = case.with(|scene| scene.plan.changes = vec![(scene.time / 2, factor)]);
            cases.push(case.wants(Some(CHANGING)));
        }
    }
    let case = |name: &str| Case::new(group, name, &["token_bucket=100/s"], Latency::Uniform(0.02));
    let other = case("another client takes half of 100/s from 20 s to 40 s").with(|scene| {
        scene.plan.other_clients = vec![OtherClient {
            rate: 50.0,
            span: TimeSpan {
                from: second * 20,
                until: second * 40,
            },
        }];
    });
    cases.push(other.wants(Some(CHANGING)));
    let outage = case("100/s, outage from 20 s to 50 s").with(|scene| {
        scene.plan.outages = vec![TimeSpan {
            from: second * 20,
            until: second * 50,
        }];
    });
    cases.push(outage.wants(Some(CHANGING)));
    cases
}

/// All other cases.
fn others() -> Vec<Case> {
    let group = "Others";
    let mut cases = Vec::new();
    for rate in [20, 100, 500] {
        let name = format!("a queue that serves {rate}/s, without 429s");
        let limit = format!("queue={rate}/s");
        cases.push(Case::new(group, &name, &[&limit], Latency::Uniform(0.02)));
    }
    let minute = |name: &str, limits: &[&str]| {
        let case = Case::new(group, name, limits, Latency::Uniform(0.02));
        case.with(|scene| scene.time = Duration::from_mins(5))
    };
    cases.push(minute("600 per minute", &["fixed_window=600/m"]).wants(None));
    let with_quota = minute("600 per minute, with headers", &["fixed_window=600/m"]);
    cases.push(with_quota.with(|scene| scene.tells_quota = true));
    let both = ["fixed_window=600/m", "token_bucket=50/s"];
    cases.push(minute("600 per minute and 50/s", &both).wants(None));
    let with_quota = Case::new(
        group,
        "fixed window, 100/s, with headers",
        &["fixed_window=100/s"],
        Latency::Uniform(0.02),
    );
    cases.push(with_quota.with(|scene| scene.tells_quota = true));
    let fast = ["token_bucket=3000/s"];
    cases.push(Case::new(
        group,
        "token bucket, 3000/s",
        &fast,
        Latency::Uniform(0.005),
    ));
    for (name, retry_after) in [
        ("token bucket, 100/s, Retry-After: 0", Duration::ZERO),
        (
            "token bucket, 100/s, Retry-After: 300",
            Duration::from_mins(5),
        ),
    ] {
        let case = Case::new(group, name, &["token_bucket=100/s"], Latency::Uniform(0.02));
        let case = case.with(|scene| scene.retry_after = Some(retry_after));
        cases.push(case.wants(retry_after.is_zero().then_some(STEADY)));
    }
    cases.push(Case::new(group, "no limit, 1 ms", &[], Latency::Fixed(0.001)).wants(None));
    let slow = Case::new(
        group,
        "no limit, some much more than 100 ms",
        &[],
        Latency::Long(0.1),
    );
    cases.push(slow.wants(None));
    cases
}

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    [
        rate_limits(),
        slow_responses(),
        concurrency_limits(),
        changes(),
        others(),
    ]
    .concat()
}
