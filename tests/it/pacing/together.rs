//! Several pacers that know nothing of each other, under one limit: the processes of shards.

use std::time::Duration;

use scale_export::pacer::controller::Pacer;
use scale_export::pacer::types::Rate;
use scale_export::sandbox::limit_models::TimeSpan;

use super::simulator::{Client, Scene, Second, run_together};
use super::{STARTS, scene, sum};

const PACERS: u32 = 4;

/// Requests per second that the server allows.
const ALLOWED: f64 = 100.0;

/// The requirements: the minimum share of the limit that is used, and the maximum share of 429 responses.
const USED: f64 = 0.9;
const REJECTED: f64 = 0.01;

/// Seconds after which the limit must have been found, and seconds at which one pacer stops, at which the others must
/// have its share, and at which it starts again.
const SETTLED: usize = 30;
const STOPS: usize = 120;
const TAKEN_OVER: usize = 240;
const STARTS_AGAIN: usize = 360;
const END: usize = 480;

/// Limits, and the `Retry-After` of their 429s in seconds.
const LIMITS: [(&str, Option<u64>); 6] = [
    ("token_bucket=100/s", None),
    ("sliding_window=100/s", None),
    ("fixed_window=100/s", None),
    ("token_bucket=100/s:20", Some(1)),
    ("sliding_window=100/s", Some(1)),
    ("fixed_window=100/s", Some(1)),
];

/// All pacers together, at all starts.
#[derive(Debug, Default)]
struct Together {
    accepted: f64,
    rejected: f64,
    sent: f64,
    seconds: f64,
}

impl Together {
    fn add(&mut self, clients: &[Client], from: usize, until: usize) {
        let spans = clients.iter().map(|client| &client.seconds[from..until]);
        let count = |of: fn(&Second) -> u32| spans.clone().map(|span| sum(span, of)).sum::<f64>();
        self.accepted += count(|second| second.accepted);
        self.rejected += count(|second| second.rejected);
        self.sent += count(|second| second.sent);
        self.seconds += sum(&clients[0].seconds[from..until], |_| 1);
    }

    fn used(&self) -> f64 {
        self.accepted / (ALLOWED * self.seconds)
    }

    fn rejected(&self) -> f64 {
        self.rejected / self.sent
    }
}

fn span(from: Duration, until: usize) -> TimeSpan {
    TimeSpan {
        from,
        until: Duration::from_secs(until as u64),
    }
}

/// Runs the pacers. The second one stops and starts again.
fn clients(limit: &str, retry_after: Option<u64>, start: u32) -> Vec<Client> {
    let scene = Scene {
        time: Duration::from_secs(END as u64),
        // As the simulation of one pacer does it.
        offset: Duration::from_millis(233) * start,
        seed: start.into(),
        retry_after: retry_after.map(Duration::from_secs),
        ..scene(limit, 0.004)
    };
    let clients = (0..PACERS).map(|index| {
        let from = Duration::from_millis(13) * index * (start + 1);
        let again = span(Duration::from_secs(STARTS_AGAIN as u64), END);
        let runs = match index {
            1 => vec![span(from, STOPS), again],
            _ => vec![span(from, END)],
        };
        Client::new(Pacer::new(Rate::Learned, None, scene.concurrency), &runs)
    });
    run_together(&scene, clients.collect())
}

#[test]
fn pacers_of_several_processes_share_a_limit() {
    for (limit, retry_after) in LIMITS {
        let name = format!("{limit}, Retry-After: {retry_after:?}");
        let spans = [(SETTLED, STOPS), (TAKEN_OVER, STARTS_AGAIN), (420, END)];
        let mut sums: [Together; 3] = Default::default();
        let mut of_restarted = 0.0;
        for start in 0..STARTS {
            let clients = clients(limit, retry_after, start);
            for (sums, (from, until)) in sums.iter_mut().zip(spans) {
                sums.add(&clients, from, until);
            }
            let stopped = &clients[1].seconds[STOPS + 1..STARTS_AGAIN];
            assert!(sum(stopped, |second| second.sent) <= 0.0, "{name}");
            of_restarted += sum(&clients[1].seconds[420..END], |second| second.accepted);
        }
        for (together, (from, until)) in sums.iter().zip(spans) {
            let (used, rejected) = (together.used(), together.rejected());
            println!(
                "{name}, {from} s to {until} s: {used:.3} used, {rejected:.4} rejected, {of_restarted}"
            );
            assert!(used >= USED, "{name}, from {from} s: {used} used");
            assert!(rejected <= REJECTED, "{name}, from {from} s: {rejected}");
        }
        let part = of_restarted / sums[2].accepted;
        assert!(part >= 0.1, "{name}: the restarted one has {part}");
    }
}
