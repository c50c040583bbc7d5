//! What `check` warns about: a run would go on.

use std::fs;

use scale_export::sandbox::config::SandboxConfig;
use serde_json::Value;

use crate::check::{Setup, check, json, line, text};
use crate::support::raw_server::{RawServer, Step, response};
use crate::support::server::{Server, task_response};
use crate::support::{KEY, program, sandbox};

#[test]
fn a_wait_that_a_rate_limit_requires_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = RawServer::start(|_| {
        let headers = &[("retry-after", "300")];
        vec![Step::Send(response(
            "429 Too Many Requests",
            headers,
            b"{}",
        ))]
    });
    let begin = std::time::Instant::now();
    let (code, report) = check(&Setup::new(&server.url()), base.path());
    assert!(begin.elapsed().as_secs() < 30);
    assert_eq!(
        (code, &report["requests"]),
        (Some(0), &1.into()),
        "{report:#}"
    );
    assert_eq!(line(&report, "connection")["ok"], true);
    assert_eq!(line(&report, "key_accepted")["ok"], Value::Null);
    let first = line(&report, "first_task");
    assert_eq!(first["ok"], true);
    assert!(first["detail"].as_str().unwrap().contains("429"), "{first}");
}

#[test]
fn a_clock_that_is_wrong_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let mut answer = task_response(request);
        let date = "Tue, 14 Nov 2023 22:13:20 GMT".parse().unwrap();
        answer.headers_mut().insert("date", date);
        answer
    });
    let setup = Setup::new(&format!("http://{}", server.address));
    let (code, report) = check(&setup, base.path());
    assert_eq!(code, Some(0));
    let clock = line(&report, "clock");
    assert_eq!(clock["ok"], true);
    let detail = clock["detail"].as_str().unwrap();
    assert!(detail.ends_with("ahead of the server's"), "{detail}");
    assert!(clock["hint"].as_str().unwrap().starts_with("set the clock"));
}

/// A run sends no request, so it cannot notice the key.
#[test]
fn with_nothing_to_fetch_a_key_that_is_refused_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let well = Setup::new(&server.base_url());
    let done = well.command(base.path(), &[]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let wrong = Setup {
        key: Some("live_wrong"),
        ..well
    };
    let run = wrong.command(base.path(), &[]).output().unwrap();
    let (code, report) = check(&wrong, base.path());
    assert_eq!((run.status.code(), code), (Some(0), Some(0)), "{report:#}");
    let accepted = line(&report, "key_accepted");
    assert_eq!(accepted["ok"], true);
    let detail = accepted["detail"].as_str().unwrap();
    assert!(detail.contains("the API refused the key"), "{detail}");
    assert!(detail.ends_with("it has nothing to fetch"), "{detail}");
}

#[test]
fn lists_are_checked_by_their_first_page() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        tasks: Some(50),
        batch_size: Some(10),
        ..SandboxConfig::default()
    });
    let run = |first: &[&str], batch: &str| {
        program()
            .args(first)
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &server.base_url(), "--rate", "max"])
            .args(["--batch", batch, "--out"])
            .arg(base.path().join("out"))
            .output()
            .unwrap()
    };
    for (batch, code) in [("Batch 1", 0), ("no such batch", 2)] {
        let checked = run(&["check", "--json"], batch);
        let dry = run(&["--dry-run"], batch);
        assert_eq!(checked.status.code(), Some(code), "{}", text(&checked));
        assert_eq!(dry.status.code(), Some(code), "{}", text(&dry));
        let report = json(&checked);
        assert_eq!(line(&report, "first_task")["ok"], code == 0, "{report:#}");
        assert_eq!(line(&report, "key_accepted")["ok"], true, "{report:#}");
    }
    assert!(!base.path().join("out").exists());
}

#[test]
fn suspicious_ids_of_a_list_that_accepts_any_id_are_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let list = base.path().join("list.csv");
    fs::write(&list, "task_id\ntask_1\n\"a,b\"\n\nnan\n").unwrap();
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args(["check", "--json", "--base-url", &server.base_url()])
        .arg("--out")
        .arg(base.path().join("out"))
        .arg("--ids")
        .arg(&list)
        .output()
        .unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let hint = line(&report, "tasks")["hint"].as_str().unwrap();
    assert!(
        hint.contains("`a,b`") && hint.ends_with(", and 1 more"),
        "{hint}"
    );
}
