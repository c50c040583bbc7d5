//! Faults in the middle of a run: the API is not available, becomes available again, or rejects the key. Responses are
//! kept, and the same command requests only the rest.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Case;
use super::measure::{NO_VIEW, Row, calm_of, command, failures, stderr};
use crate::support::raw_server::{RawRequest, RawServer, Step, good, response};
use crate::support::{published, raw_responses, task_ids};

/// IDs of a run.
const IDS: usize = 60;

/// Responses before the fault begins.
const RESPONSES: usize = 30;

const CONCURRENCY: usize = 8;

/// Failures in a row that make an outage.
const BURST: usize = 5;

/// The key that is always accepted.
const NEW_KEY: &str = "live_key_that_is_new";

fn unavailable() -> Vec<Step> {
    vec![Step::Send(response("503 Service Unavailable", &[], b""))]
}

fn kept(out: &Path) -> BTreeSet<String> {
    raw_responses(out).into_keys().collect()
}

/// Checks that the second run requests only what the first did not keep, each once.
fn assert_only_the_rest(requests: &[RawRequest], kept: &BTreeSet<String>) {
    let mut again: Vec<String> = requests
        .iter()
        .map(|request| request.task_id.clone())
        .collect();
    again.sort();
    let ids: BTreeSet<String> = task_ids(IDS).into_iter().collect();
    let missing: Vec<String> = ids.difference(kept).cloned().collect();
    assert_eq!(again, missing);
}

/// An outage ends the run without many requests, and no response is lost.
fn for_good() -> Row {
    const LIMIT: Duration = Duration::from_secs(5);
    let is_back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_back);
    let server = RawServer::start(move |request| {
        if request.number <= RESPONSES || seen.load(Ordering::Relaxed) {
            return good(&request.task_id);
        }
        match request.number % 3 {
            0 => vec![Step::Reset],
            1 => vec![Step::Close],
            _ => unavailable(),
        }
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let mut run = command(
        &server.url(),
        &out,
        &task_ids(IDS),
        &["--retry-timeout", "5s", "--concurrency", "8"],
    );
    let output = run.output().unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{printed}");
    assert!(printed.contains("retrying once per second"), "{printed}");
    assert!(printed.contains("hint: progress is saved"), "{printed}");
    assert!(!out.join("manifest.json").exists());

    let requests = server.requests();
    let (calm, outage) = requests.split_at(RESPONSES);
    let lasted = outage[outage.len() - 1].at - calm[RESPONSES - 1].at;
    assert!(lasted + Duration::from_secs(1) >= LIMIT, "{lasted:?}");
    // Requests in flight, those that count as an outage, then one per second.
    let seconds = usize::try_from(lasted.as_secs()).unwrap() + 1;
    let most = BURST + CONCURRENCY + seconds;
    assert!(
        (BURST..=most).contains(&outage.len()),
        "{} requests in {lasted:?}",
        outage.len()
    );
    let is_late =
        |request: &&RawRequest| outage[outage.len() - 1].at - request.at < Duration::from_secs(2);
    let late = outage.iter().filter(is_late).count();
    assert!(late <= 4, "{late} requests in the last two seconds");

    let before = kept(&out);
    assert!(
        before.len() > RESPONSES - CONCURRENCY,
        "{} kept",
        before.len()
    );
    is_back.store(true, Ordering::Relaxed);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_only_the_rest(&server.requests()[requests.len()..], &before);
    assert!(published(&out) == calm_of(&task_ids(IDS)));
    row(
        "an outage in the middle of a run (after 30 of 60 tasks)",
        "5",
        "yes, once per second in total",
    )
}

/// The ID failed before the outage, others succeeded, and its last attempt is during the outage. It must not fail
/// permanently, or the next run would leave it out.
#[test]
fn an_outage_does_not_fail_an_id_that_failed_before_it() {
    const WELL: Duration = Duration::from_secs(2);
    // Until the outage is detected.
    const UNWELL: [(&str, &str); 1] = [("retry-after", "3")];
    let is_back = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_back);
    let began = OnceLock::new();
    let server = RawServer::start(move |request| {
        let is_away = began.get_or_init(Instant::now).elapsed() > WELL;
        if seen.load(Ordering::Relaxed) {
            good(&request.task_id)
        } else if request.task_id == "task_1" && request.attempt == 1 {
            vec![Step::Send(response(
                "500 Internal Server Error",
                &UNWELL,
                b"",
            ))]
        } else if is_away {
            unavailable()
        } else {
            let mut steps = good(&request.task_id);
            steps.insert(0, Step::Pause(Duration::from_millis(80)));
            steps
        }
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let ids = task_ids(300);
    let limits = ["--retry-timeout", "8s", "--max-retries", "1"];
    let options = [limits.as_slice(), &["--concurrency", "4"]].concat();
    let mut run = command(&server.url(), &out, &ids, &options);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(server.requests_for("task_1") >= 2);
    is_back.store(true, Ordering::Relaxed);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// The request that checks the server goes before all waiting ones. Behind them, only one would be sent per second or
/// per pause, and the run would end minutes too late.
#[test]
fn an_outage_ends_the_run_in_time_at_any_concurrency() {
    const LIMIT: Duration = Duration::from_secs(3);
    // A pause or a late response in flight, and the same for the last check. It is generous, since the machine may be
    // busy. One request at a time would take half a minute, or twice that.
    const MOST: Duration = Duration::from_secs(15);
    let refusal =
        |status, retry_after: Option<&'static str>| -> Arc<dyn Fn() -> Step + Send + Sync> {
            let headers: Vec<_> = retry_after
                .map(|wait| ("retry-after", wait))
                .into_iter()
                .collect();
            Arc::new(move || Step::Send(response(status, &headers, b"")))
        };
    let outages = [
        refusal("503 Service Unavailable", None),
        refusal("503 Service Unavailable", Some("2")),
        refusal("429 Too Many Requests", Some("2")),
        Arc::new(|| Step::Hang),
    ];
    std::thread::scope(|scope| {
        for (number, outage) in outages.into_iter().enumerate() {
            scope.spawn(move || {
                let server = RawServer::start(move |request| {
                    if request.number <= RESPONSES {
                        good(&request.task_id)
                    } else {
                        vec![outage()]
                    }
                });
                let base = tempfile::tempdir().unwrap();
                let limits = ["--retry-timeout", "3s", "--timeout", "2s"];
                let options = [limits.as_slice(), &["--concurrency", "32"]].concat();
                let ids = task_ids(RESPONSES + 100);
                let output = command(&server.url(), &base.path().join("out"), &ids, &options)
                    .output()
                    .unwrap();
                let printed = stderr(&output);
                assert_eq!(output.status.code(), Some(5), "{number}: {printed}");
                let requests = server.requests();
                let outage = &requests[RESPONSES..];
                let lasted = outage[outage.len() - 1].at - outage[0].at;
                assert!(
                    lasted + Duration::from_secs(2) >= LIMIT,
                    "{number}: {lasted:?}"
                );
                assert!(lasted <= MOST, "{number}: {lasted:?}");
            });
        }
    });
}

/// A run waits for the end of an outage.
fn for_a_while() -> Row {
    const LASTS: Duration = Duration::from_secs(4);
    let began: OnceLock<Instant> = OnceLock::new();
    let server = RawServer::start(move |request| {
        let is_away =
            request.number > RESPONSES && began.get_or_init(Instant::now).elapsed() < LASTS;
        if is_away {
            unavailable()
        } else {
            good(&request.task_id)
        }
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    // One retry is allowed, but that is for an ID that fails while others succeed.
    let options = [
        "--retry-timeout",
        "60s",
        "--concurrency",
        "8",
        "--max-retries",
        "1",
    ];
    let output = command(&server.url(), &out, &task_ids(IDS), &options)
        .output()
        .unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("giving up after 1 min"), "{printed}");
    assert!(printed.contains("the API responds again"), "{printed}");
    assert!(published(&out) == calm_of(&task_ids(IDS)));
    row(
        "an outage that ends within `--retry-timeout`",
        "0",
        "yes, once per second in total",
    )
}

#[test]
fn the_end_of_an_outage_does_not_fail_an_id() {
    // One ID succeeds. While the other fails, the first is requested again to distinguish an outage from a failed ID.
    // The outage ends with the second of these requests.
    const QUESTIONS: usize = 2;
    let is_back = AtomicBool::new(false);
    let server = RawServer::start(move |request| {
        if request.task_id == "task_1" && request.attempt > QUESTIONS {
            is_back.store(true, Ordering::Relaxed);
        }
        if request.number == 1 || is_back.load(Ordering::Relaxed) {
            good(&request.task_id)
        } else {
            unavailable()
        }
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let options = [
        "--retry-timeout",
        "60s",
        "--concurrency",
        "1",
        "--max-retries",
        "1",
    ];
    let output = command(&server.url(), &out, &task_ids(2), &options)
        .output()
        .unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(failures(&out).is_empty());
    assert_eq!(server.requests_for("task_1"), 1 + QUESTIONS);
}

/// A key that is rejected in the middle ends the run, and a run with a new key continues.
fn refused_key() -> Row {
    let server = RawServer::start(|request| {
        if request.number <= RESPONSES || request.key == NEW_KEY {
            good(&request.task_id)
        } else {
            let body = br#"{"status_code": 401, "error": "this key has expired"}"#;
            vec![Step::Send(response("401 Unauthorized", &[], body))]
        }
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let mut run = command(&server.url(), &out, &task_ids(IDS), &["--concurrency", "8"]);
    let output = run.output().unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{printed}");
    assert!(
        printed.contains("(status 401: this key has expired)"),
        "{printed}"
    );
    assert!(
        printed.contains("hint: progress is saved; check SCALE_API_KEY"),
        "{printed}"
    );
    assert!(!out.join("manifest.json").exists());
    let first = server.requests().len();
    assert!(first <= RESPONSES + CONCURRENCY, "{first} requests");
    let before = kept(&out);
    // Responses in flight may be lost when the run stops. Those that arrived may not.
    assert!(
        before.len() > RESPONSES - CONCURRENCY,
        "{} kept",
        before.len()
    );

    let output = run.env("SCALE_API_KEY", NEW_KEY).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_only_the_rest(&server.requests()[first..], &before);
    assert!(published(&out) == calm_of(&task_ids(IDS)));
    row(
        "401 in the middle of a run (after 30 of 60 tasks)",
        "4",
        "no; with a new key, the rest only",
    )
}

/// The row of a case, which has checked the exit code.
fn row(name: &str, code: &str, retried: &str) -> Row {
    Row {
        name: name.to_owned(),
        once: NO_VIEW.to_owned(),
        one: NO_VIEW.to_owned(),
        all: code.to_owned(),
        retried: retried.to_owned(),
    }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Box::new(for_good),
        Box::new(for_a_while),
        Box::new(refused_key),
    ]
}
