//! Several pacers that know nothing of each other, under one limit: the processes of shards.

use std::fmt::Write as _;
use std::time::Duration;

use scale_export::pacer::controller::Pacer;
use scale_export::pacer::types::Rate;
use scale_export::sandbox::limit_models::TimeSpan;

use super::report::compare_table;
use super::simulator::{Client, Scene, Second, run_together};
use super::{scene, sum};

const PACERS: u32 = 4;

/// Each case starts at this many points of the server's windows.
const STARTS: u32 = 4;

/// Requests per second that the server allows.
const ALLOWED: f64 = 100.0;

/// The requirements: the minimum share of the limit that is used, and the maximum share of 429 responses. Pacers that do not
/// share a limit get more of these.
const USED: f64 = 0.9;
const REJECTED: f64 = 0.0075;

/// The seconds at which one pacer stops and starts again, and the end.
const STOPS: usize = 120;
const STARTS_AGAIN: usize = 360;
const END: usize = 480;

/// Parts of the time in seconds, and whether the requirements hold in them. The last ones are when a pacer that started again
/// has its part of the limit.
const SPANS: [(usize, usize, bool); 5] = [
    (0, 30, false),
    (30, STOPS, true),
    (STOPS, 240, false),
    (240, STARTS_AGAIN, true),
    (420, END, true),
];

/// The minimum part of the accepted requests that the pacer has that started again.
const OF_RESTARTED: f64 = 0.1;

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
        let pacer = Pacer::new(Rate::Learned, None, scene.concurrency);
        Client::new(pacer.sharing_limit(), &runs)
    });
    run_together(&scene, clients.collect())
}

#[test]
fn pacing_report_of_several_processes_under_one_limit() {
    let mut table =
        "\n| server | first 30 s | then | one stopped, 2 minutes | then | started again |\n"
            .to_owned();
    table += "|---|--:|--:|--:|--:|--:|\n";
    for (limit, retry_after) in LIMITS {
        let header = retry_after.map(|seconds| format!(", Retry-After: {seconds}"));
        let name = format!("`{limit}`{}", header.unwrap_or_default());
        let _ = write!(table, "| {name} |");
        let mut sums: [Together; SPANS.len()] = Default::default();
        let mut of_restarted = 0.0;
        for start in 0..STARTS {
            let clients = clients(limit, retry_after, start);
            for (sums, (from, until, _)) in sums.iter_mut().zip(SPANS) {
                sums.add(&clients, from, until);
            }
            let restarted = &clients[1].seconds;
            let stopped = &restarted[STOPS + 1..STARTS_AGAIN];
            assert!(sum(stopped, |second| second.sent) <= 0.0, "{name}");
            of_restarted += sum(&restarted[420..], |second| second.accepted);
        }
        for (together, (from, until, is_required)) in sums.iter().zip(SPANS) {
            let (used, rejected) = (together.used(), together.rejected());
            let _ = write!(table, " {:.1}%, {:.2}% |", used * 100.0, rejected * 100.0);
            let is_met = used >= USED && rejected <= REJECTED;
            assert!(
                is_met || !is_required,
                "{name}, from {from} s to {until} s: {used} used, {rejected} rejected"
            );
        }
        table += "\n";
        let part = of_restarted / sums[SPANS.len() - 1].accepted;
        assert!(part >= OF_RESTARTED, "{name}: {part} of the requests");
    }
    compare_table("docs/shards.md", &(table + "\n"));
}
