//! The pacer, in simulated time, against models of all kinds of servers.

mod cases;
mod program;
mod report;
mod simulator;
mod together;

use std::sync::OnceLock;
use std::time::Duration;

use scale_export::pacer::controller::Pacer;
use scale_export::pacer::types::{
    LearnedRate, PacerState, Rate, RequestEnd, SendDecision, ServerQuota,
};
use scale_export::sandbox::limit_models::LimitPlan;

use cases::{Case, cases};
use simulator::{Latency, Scene, Second, run};

/// Seconds after which the pacer must have found the limit.
const FOUND: usize = 10;

/// Maximum 429 responses until then, and the maximum share of requests if that is more.
const EARLY: f64 = 20.0;
const EARLY_SHARE: f64 = 0.05;

/// Each case starts at this many points of the server's windows, with other random numbers each time.
const STARTS: u32 = 8;

/// The amount by which a single start may miss the requirement for all.
const SPREAD: f64 = 0.10;

/// The result of a start.
#[derive(Debug, Clone)]
struct Result {
    seconds: Vec<Second>,
    /// After the first seconds: the share of the allowed requests that were used, and the share of 429 responses.
    used: f64,
    rejected: f64,
    /// Number and share of 429 responses in the first seconds.
    early: f64,
    early_share: f64,
}

fn sum(seconds: &[Second], of: impl Fn(&Second) -> u32) -> f64 {
    f64::from(seconds.iter().map(of).sum::<u32>())
}

/// A limit may change at any time: in each start it changes up to this share of the whole time later.
const LATER: f64 = 0.08;

fn measure(case: &Case, start: u32) -> Result {
    let mut case = case.clone();
    for (at, _) in &mut case.scene.plan.changes {
        *at += case.scene.time.mul_f64(LATER) * start / STARTS;
    }
    let scene = &mut case.scene;
    scene.seed = start.into();
    // Steps that do not divide a window.
    scene.offset = Duration::from_millis(233) * start;
    let pacer = Pacer::new(Rate::Learned, None, scene.concurrency);
    let (seconds, _) = run(scene, pacer);
    let (first, rest) = seconds.split_at(FOUND);
    let middles =
        (FOUND..seconds.len()).map(|second| Duration::from_millis(second as u64 * 1_000 + 500));
    let allowed: f64 = middles.map(|at| case.allowed_at(at)).sum();
    let early = sum(first, |second| second.rejected);
    Result {
        used: sum(rest, |second| second.accepted) / allowed,
        rejected: sum(rest, |second| second.rejected) / sum(rest, |second| second.sent).max(1.0),
        early,
        early_share: early / sum(first, |second| second.sent).max(1.0),
        seconds,
    }
}

/// Measures all starts of a case.
fn measure_all(case: &Case) -> Vec<Result> {
    (0..STARTS).map(|start| measure(case, start)).collect()
}

fn mean(results: &[Result], of: impl Fn(&Result) -> f64) -> f64 {
    results.iter().map(of).sum::<f64>() / f64::from(STARTS)
}

/// The requirements that a case misses.
fn misses(case: &Case, results: &[Result]) -> Vec<String> {
    let mut misses = Vec::new();
    for result in results {
        if result.early > EARLY && result.early_share > EARLY_SHARE {
            misses.push(format!("{} times 429 at first", result.early));
        }
    }
    let Some(want) = case.want else {
        return misses;
    };
    let used = mean(results, |result| result.used);
    let rejected = mean(results, |result| result.rejected);
    if used < want.used
        || results
            .iter()
            .any(|result| result.used < want.used - SPREAD)
    {
        misses.push(format!("used {:.1}%", used * 100.0));
    }
    if rejected > want.rejected {
        misses.push(format!("{:.2}% rejected with 429", rejected * 100.0));
    }
    misses
}

/// The results of all cases. They take a while, so they are computed once.
fn all() -> &'static [(Case, Vec<Result>)] {
    static ALL: OnceLock<Vec<(Case, Vec<Result>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let cases = cases().into_iter();
        let measured = cases.map(|case| (case.clone(), measure_all(&case)));
        measured.collect()
    })
}

#[test]
fn the_pacer_learns_every_kind_of_limit() {
    let mut missed = Vec::new();
    for (case, results) in all() {
        let what = misses(case, results);
        if !what.is_empty() {
            missed.push(format!("{}: {}", case.name, what.join(", ")));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// A server with this limit and this latency in seconds.
fn scene(limit: &str, latency: f64) -> Scene {
    Scene {
        plan: LimitPlan {
            limits: vec![limit.parse().unwrap()],
            ..LimitPlan::default()
        },
        latency: Latency::Fixed(latency),
        retry_after: None,
        tells_quota: false,
        concurrency: 32,
        time: Duration::from_mins(1),
        offset: Duration::ZERO,
        seed: 0,
    }
}

#[test]
fn an_outage_costs_one_request_a_second() {
    let case = cases()
        .into_iter()
        .find(|case| case.name.contains("outage"))
        .unwrap();
    let Result { seconds, .. } = measure(&case, 0);
    // Requests in flight when the outage began, and the failures that reveal it.
    assert!(sum(&seconds[20..22], |second| second.away) <= 12.0);
    for second in &seconds[22..50] {
        assert!(second.sent <= 1, "{second:?}");
    }
    let after = sum(&seconds[51..60], |second| second.accepted);
    assert!(after > 850.0, "{after}");
}

#[test]
fn a_given_rate_is_never_exceeded() {
    for limit in [1.0, 30.0, 100.0] {
        let pacer = Pacer::new(Rate::Limit(limit), None, 32);
        let (seconds, _) = run(&scene("token_bucket=1000/s", 0.01), pacer);
        for second in &seconds {
            assert!(f64::from(second.sent) <= limit + 1.0, "{second:?}");
        }
        let all = sum(&seconds, |second| second.accepted);
        assert!(all > limit * 59.0, "{limit}: {all}");
    }
}

#[test]
fn the_next_run_starts_at_the_learned_rate() {
    let scene = scene("token_bucket=300/s", 0.01);
    let (_, pacer) = run(&scene, Pacer::new(Rate::Learned, None, 32));
    let learned = pacer.learned().unwrap();
    assert!(
        learned.is_limit && (280.0..=305.0).contains(&learned.rate),
        "{learned:?}"
    );
    let (seconds, _) = run(&scene, Pacer::new(Rate::Learned, Some(learned), 32));
    let (first, rest) = seconds.split_at(FOUND);
    let used = sum(first, |second| second.accepted);
    assert!(used > 2_800.0, "{used}");
    let rejected = sum(first, |second| second.rejected) + sum(rest, |second| second.rejected);
    assert!(rejected < 60.0 * 3.0, "{rejected}");
}

#[test]
fn a_learned_rate_adapts_to_a_changed_limit() {
    let remembered = |rate| {
        Some(LearnedRate {
            rate,
            is_limit: true,
            in_flight: None,
        })
    };
    for (limit, before) in [
        (5, 500.0),
        (20, 500.0),
        (100, 500.0),
        (500, 5.0),
        (500, 100.0),
    ] {
        let scene = scene(&format!("token_bucket={limit}/s"), 0.01);
        let pacer = Pacer::new(Rate::Learned, remembered(before), 32);
        let (seconds, _) = run(&scene, pacer);
        let first = &seconds[..FOUND];
        let early = sum(first, |second| second.rejected);
        let share = early / sum(first, |second| second.sent);
        assert!(
            early <= EARLY || share <= EARLY_SHARE,
            "{limit} after {before}: {early}"
        );
        let used = sum(&seconds[20..], |second| second.accepted) / (f64::from(limit) * 40.0);
        assert!(used > 0.94, "{limit} after {before}: {used}");
    }
    // Impossible values are ignored.
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
        let pacer = Pacer::new(Rate::Learned, remembered(rate), 32);
        let (seconds, _) = run(&scene("token_bucket=100/s", 0.01), pacer);
        let all = sum(&seconds, |second| second.accepted);
        assert!(all > 2_000.0, "{rate}: {all}");
    }
}

#[test]
fn a_burst_of_429s_counts_once() {
    let mut pacer = Pacer::new(Rate::Limit(1_000.0), None, 32);
    let mut sent = Vec::new();
    let mut now = Duration::ZERO;
    while sent.len() < 20 {
        match pacer.take(now) {
            SendDecision::Now(one) => sent.push(one),
            SendDecision::At(at) => now = at,
            SendDecision::AfterResponse => panic!("nothing has ended"),
        }
    }
    let mut rates = Vec::new();
    for one in sent {
        now += Duration::from_micros(100);
        pacer.end(one, now, RequestEnd::RateLimited(None), &[]);
        rates.push(pacer.rate(now));
    }
    assert_eq!(pacer.state(now), PacerState::Waiting);
    rates.dedup();
    assert_eq!(rates.len(), 1, "{rates:?}");
    assert!(rates[0].unwrap() < 1_000.0);
}

#[test]
fn a_hanging_request_does_not_block_others_for_long() {
    let mut pacer = Pacer::new(Rate::Learned, None, 32);
    let mut now = Duration::ZERO;
    let SendDecision::Now(first) = pacer.take(now) else {
        panic!("the first may go at once");
    };
    pacer.end(first, now, RequestEnd::RateLimited(None), &[]);
    // Requests that are sent from now on have no response.
    let mut sent = 0;
    while now < Duration::from_mins(1) {
        match pacer.take(now) {
            SendDecision::Now(_) => sent += 1,
            SendDecision::At(at) => now = at,
            SendDecision::AfterResponse => panic!("no request gets a response"),
        }
    }
    assert!((4..=9).contains(&sent), "{sent}");
}

#[test]
fn slow_responses_do_not_lower_the_rate() {
    for (latency, most) in [(0.8, 30), (1.2, 40), (3.0, 60)] {
        let scene = Scene {
            latency: Latency::Fixed(latency),
            concurrency: 1_000,
            time: Duration::from_mins(2),
            ..scene("token_bucket=100000/s", latency)
        };
        let (seconds, _) = run(&scene, Pacer::new(Rate::Learned, None, scene.concurrency));
        let fast = seconds.iter().position(|second| second.sent >= 100);
        assert!(
            fast.is_some_and(|second| second < most),
            "{latency}: {fast:?}"
        );
    }
}

#[test]
fn useless_quota_headers_do_not_cause_continuous_requests() {
    // No request is accepted after the first seconds, and each 429 allows a retry at once.
    let scene = Scene {
        retry_after: Some(Duration::ZERO),
        ..scene("fixed_window=300/m", 0.01)
    };
    let (seconds, _) = run(&scene, Pacer::new(Rate::Learned, None, 32));
    let rejected = sum(&seconds[20..60], |second| second.rejected);
    assert!(rejected <= 8.0, "{rejected}");
}

#[test]
fn a_short_run_keeps_what_earlier_runs_learned() {
    let remembered = LearnedRate {
        rate: 80.0,
        is_limit: true,
        in_flight: None,
    };
    let mut short = scene("token_bucket=80/s", 0.01);
    for _ in 0..5 {
        short.time = Duration::from_secs(1);
        let (_, pacer) = run(&short, Pacer::new(Rate::Learned, Some(remembered), 32));
        assert_eq!(pacer.learned(), Some(remembered));
    }
}

#[test]
fn an_empty_quota_delays_requests_until_its_reset() {
    let mut pacer = Pacer::new(Rate::Learned, None, 32);
    let SendDecision::Now(sent) = pacer.take(Duration::ZERO) else {
        panic!("the first may go at once");
    };
    let empty = ServerQuota {
        left: 0.0,
        reset: Duration::from_secs(20),
    };
    let now = Duration::from_millis(10);
    pacer.end(sent, now, RequestEnd::RateLimited(None), &[empty]);
    assert_eq!(
        pacer.take(now),
        SendDecision::At(now + Duration::from_secs(20))
    );
}
