//! Kills an export at random moments.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use scale_export::publish::commit::is_pending;
use scale_export::sandbox::config::SandboxConfig;

use super::is_verified;
use crate::corpus::shared_tasks;
use crate::support::{KEY, number_from, print_note, program, published, sandbox, task_ids};

/// The number of kills. `make attack` sets a larger one.
const KILLS: (&str, usize) = ("SCALE_EXPORT_TEST_KILLS", 200);

/// One kill in this many happens while tables are built and published, the others while tasks are fetched.
const PUBLISHING_SHARE: usize = 4;

/// The exit code when all available tasks are published.
const SOME_FAILED: Option<i32> = Some(3);

/// Maximum requests in flight.
const CONCURRENCY: u64 = 4;

/// Latency of responses: a few arrive between the start of a run and its kill.
const LATENCY: Duration = Duration::from_millis(20);

/// Maximum time from the first request, and from the start of building tables, to a kill.
const FETCHING: Duration = Duration::from_millis(30);
const PUBLISHING: Duration = Duration::from_millis(500);

fn up_to(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

#[test]
fn kills_at_random_cost_no_more_requests_than_were_in_flight() {
    let all_kills = number_from(KILLS.0, KILLS.1);
    let kills_fetching = all_kills - all_kills / PUBLISHING_SHARE;
    let shared = shared_tasks();
    if shared.is_none() {
        print_note(
            "tasks with real text are not on this machine: killed are exports of generated ones",
        );
    }
    let (from, ids) = shared.map_or_else(
        || (None, task_ids(346)),
        |(corpus, ids)| (Some(corpus), ids),
    );
    // Some tasks do not exist. They are not requested again within one export either.
    let missing: Vec<&String> = ids.iter().skip(3).step_by(50).collect();
    let failed_ids = missing
        .iter()
        .map(|id| format!("404={id}").parse().unwrap());
    let server = sandbox(SandboxConfig {
        from,
        latency: LATENCY,
        failed_ids: failed_ids.collect(),
        ..SandboxConfig::default()
    });
    let base = tempfile::tempdir().unwrap();
    let list = base.path().join("ids.txt");
    fs::write(&list, ids.join("\n")).unwrap();
    let command = |name: &str, format: &str| {
        let mut command = program();
        command
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &server.base_url(), "--rate", "max", "-q"])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            // Published tables may change between runs; fetched responses are kept.
            .args(["--refresh", "none", "--format", format])
            .arg("--ids")
            .arg(&list)
            .arg("--out")
            .arg(base.path().join(name))
            .stderr(Stdio::null());
        command
    };
    assert_eq!(
        command("clean", "parquet").status().unwrap().code(),
        SOME_FAILED
    );
    let before = server.requests();
    let out = base.path().join("killed");
    let (mut kills, mut in_flight, mut ended) = (0, 0, 0);
    // After a publication the failed IDs are requested again.
    let manifest = || fs::read(out.join("manifest.json")).ok();
    let (mut known, mut asked_again) = (None, 0);
    while kills < all_kills {
        // The format changes each time, so that there is always something to publish.
        let format = if kills % 2 == 0 { "parquet" } else { "csv" };
        let requests = server.requests();
        let mut child = command("killed", format).spawn().unwrap();
        let started = Instant::now();
        let longest = if kills < kills_fetching {
            let is_begun = || server.requests() > requests || started.elapsed() > PUBLISHING;
            while !is_begun() {
                std::thread::sleep(Duration::from_millis(1));
            }
            FETCHING
        } else {
            PUBLISHING
        };
        std::thread::sleep(up_to(longest));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if manifest() != known {
            known = manifest();
            asked_again += missing.len() as u64;
        }
        if status.code().is_some() {
            // The run ended before the kill.
            ended += 1;
            continue;
        }
        kills += 1;
        in_flight += CONCURRENCY.min(server.requests() - requests);
        if !is_pending(&out) && out.join("manifest.json").exists() {
            assert!(is_verified(&out), "kill {kills}");
        }
    }
    assert_eq!(
        command("killed", "parquet").status().unwrap().code(),
        SOME_FAILED
    );
    let beyond = server.requests() - before - ids.len() as u64;
    print_note(&format!(
        "{kills} kills, {ended} runs that ended before theirs: {beyond} requests beyond {}, {in_flight} were in flight, {asked_again} for failed IDs after a publication",
        ids.len()
    ));
    assert!(
        beyond <= in_flight + asked_again,
        "{beyond} requests beyond, {in_flight} in flight, {asked_again} requested again"
    );
    assert!(published(&out) == published(&base.path().join("clean")));
    assert!(is_verified(&out));
}
