//! Servers that mix all faults. Each export is repeated until it is complete, and then equals that of a server without
//! faults.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::measure::{Effect, MOVED_PATH, ScriptedResponse, TASK_PATH, command, stderr};
use super::responses::faults;
use crate::support::raw_server::{JSON, RawRequest, RawServer, Step, good, response, task};
use crate::support::{number_from, print_note, program, published};

/// The number of exports, each from another server. `make attack` sets a larger one.
const ATTACKS: (&str, usize) = ("SCALE_EXPORT_TEST_ATTACKS", 6);

/// The random seed of the first export. Each export increases it by one.
const SEED: &str = "SCALE_EXPORT_TEST_SEED";

/// Exports at the same time. Most of them wait most of the time.
const WORKERS: usize = 3;

const TASKS: usize = 40;

/// Tasks of a page.
const PAGE: usize = 7;

/// Maximum share of requests with a fault in the first run of an export.
const MOST_FAULTS: f64 = 0.8;

/// The factor of that share from one run to the next. After this many runs there are no faults.
const FEWER: f64 = 0.75;
const FAULTY_RUNS: i32 = 15;

/// One fault in this many may end the whole run.
const STOPS: usize = 40;

/// Options that keep every fault short.
const IMPATIENT: &[&str] = &[
    "--timeout",
    "800ms",
    "--retry-timeout",
    "2s",
    "--max-retries",
    "3",
    "--concurrency",
    "8",
];

/// Possible exit codes: all tasks exported, some failed, the key was rejected, the API was not available, or the guard
/// kept the previous export.
const EXIT_CODES: [i32; 5] = [0, 3, 4, 5, 8];

/// The exit code for a rejected list, which counts as one that does not exist.
const NO_SUCH_LIST: i32 = 2;

/// Faults that a run survives, and faults that end it.
struct Faults {
    usual: Vec<ScriptedResponse>,
    stopping: Vec<ScriptedResponse>,
}

impl Faults {
    fn new() -> Self {
        let responses = |of_stops: bool| {
            let faults = faults().filter(|fault| (fault.effect == Effect::Stops) == of_stops);
            let mut responses: Vec<ScriptedResponse> =
                faults.flat_map(|fault| fault.responses).collect();
            if !of_stops {
                // Faults without a row in the table.
                for (status, headers) in [
                    ("202 Accepted", JSON),
                    ("203 Non-Authoritative Information", &[("via", "1.1 proxy")]),
                    ("206 Partial Content", JSON),
                    ("200 OK", &[("content-type", "text/html")]),
                    (
                        "200 OK",
                        &[
                            ("etag", "a"),
                            ("etag", "b"),
                            ("retry-after", "1"),
                            ("retry-after", "x"),
                        ],
                    ),
                ] {
                    responses.push(Arc::new(move |request: &RawRequest| {
                        vec![Step::Send(response(
                            status,
                            headers,
                            &task(&request.task_id),
                        ))]
                    }));
                }
            }
            responses
        };
        Self {
            usual: responses(false),
            stopping: responses(true),
        }
    }

    fn any(&self, random: &mut fastrand::Rng) -> &ScriptedResponse {
        let faults = if random.usize(..STOPS) == 0 {
            &self.stopping
        } else {
            &self.usual
        };
        &faults[random.usize(..faults.len())]
    }
}

fn ids() -> Vec<String> {
    (1..=TASKS).map(|number| format!("task_{number}")).collect()
}

/// A page of the only list. Its token is the next offset.
fn page(query: &str) -> Vec<Step> {
    let token = query
        .split('&')
        .find_map(|part| part.strip_prefix("next_token="));
    let start: usize = token.map_or(0, |token| token.parse().unwrap());
    let page: Vec<Vec<u8>> = ids()
        .iter()
        .skip(start)
        .take(PAGE)
        .map(|id| task(id))
        .collect();
    let next = if start + PAGE < TASKS {
        format!(",\"next_token\":\"{}\"", start + PAGE)
    } else {
        String::new()
    };
    let body = [
        b"{\"tasks\":[",
        page.join(&b',').as_slice(),
        b"]",
        next.as_bytes(),
        b"}",
    ]
    .concat();
    vec![Step::Send(response("200 OK", JSON, &body))]
}

fn good_response(request: &RawRequest) -> Vec<Step> {
    if request.path == TASK_PATH || request.path == MOVED_PATH {
        good(&request.task_id)
    } else {
        page(&request.query)
    }
}

/// Exports by IDs or from a list endpoint.
fn export(server: &RawServer, out: &Path, is_list: bool, options: &[&str]) -> Output {
    let ids = if is_list { Vec::new() } else { ids() };
    let mut command = command(&server.url(), out, &ids, options);
    if is_list {
        command.args(["--batch", "b"]);
    }
    command.output().unwrap()
}

fn assert_succeeds(arguments: &[&Path], job: &str, seed: u64) {
    let output = program().arg(job).args(arguments).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "seed {seed}: {job}: {}",
        stderr(&output)
    );
}

/// Counts of an export.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    runs: i32,
    requests: usize,
    faults: usize,
}

/// Makes one export. Every second one is from a list endpoint.
fn attack(seed: u64) -> Met {
    let mut random = fastrand::Rng::with_seed(seed);
    let is_list = seed % 2 == 1;
    let faults = Faults::new();
    let share = Arc::new(Mutex::new(random.f64() * MOST_FAULTS));
    let (shared, dice) = (Arc::clone(&share), Mutex::new(random));
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let server = RawServer::start(move |request| {
        if request.path == "/circle" {
            // The previous run ended with a fault.
            return vec![Step::Send(response(
                "302 Found",
                &[("location", "/circle")],
                b"",
            ))];
        }
        let fault = {
            let mut dice = dice.lock().unwrap();
            (dice.f64() < *shared.lock().unwrap()).then(|| Arc::clone(faults.any(&mut dice)))
        };
        counter.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
        fault.map_or_else(|| good_response(request), |fault| fault(request))
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs <= FAULTY_RUNS + 2, "seed {seed}: it is never complete");
        let output = export(&server, &out, is_list, IMPATIENT);
        let printed = stderr(&output);
        let code = output.status.code().expect("it was not killed");
        let is_no_list = is_list && code == NO_SUCH_LIST && printed.contains("could not list");
        assert!(
            EXIT_CODES.contains(&code) || is_no_list,
            "seed {seed}, run {runs}: exit code {code}: {printed}"
        );
        if out.join("manifest.json").exists() {
            assert_succeeds(&[&out], "verify", seed);
        }
        if code == 0 {
            break;
        }
        let mut share = share.lock().unwrap();
        *share = if runs < FAULTY_RUNS {
            *share * FEWER
        } else {
            0.0
        };
    }
    let calm = RawServer::start(good_response);
    let expected = base.path().join("calm");
    let output = export(&calm, &expected, is_list, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        published(&out) == published(&expected),
        "seed {seed}: other bytes"
    );
    let flattened = base.path().join("flattened");
    let format: &[&Path] = &[
        "--format".as_ref(),
        "csv".as_ref(),
        "--out".as_ref(),
        &flattened,
    ];
    assert_succeeds(&[&[out.as_path()], format].concat(), "flatten", seed);
    assert!(
        published(&out) == published(&flattened),
        "seed {seed}: other bytes of flatten"
    );
    Met {
        runs,
        requests: server.requests().len(),
        faults: count.load(Ordering::Relaxed),
    }
}

#[test]
fn a_server_that_mixes_all_faults_loses_no_task() {
    let attacks = number_from(ATTACKS.0, ATTACKS.1);
    let first = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let first = first.unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= attacks {
                        return;
                    }
                    let met = attack(first + number as u64);
                    all.lock().unwrap().push(met);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert_eq!(all.len(), attacks);
    let sum = |of: fn(&Met) -> usize| all.iter().map(of).sum::<usize>();
    let (requests, faults) = (sum(|met| met.requests), sum(|met| met.faults));
    assert!(faults > attacks, "{faults} faults");
    print_note(&format!(
        "{attacks} exports from seed {first} on, against servers that mix all faults: {faults} faults in {requests} requests, {} runs, at most {} of one export",
        all.iter().map(|met| met.runs).sum::<i32>(),
        all.iter().map(|met| met.runs).max().unwrap_or_default()
    ));
}
