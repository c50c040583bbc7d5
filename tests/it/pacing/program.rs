//! The pace of the program, against the sandbox in real time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::limit_models::LimitPlan;
use scale_export::sandbox::responses::QuotaHeaders;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

use crate::support::{KEY, program, sandbox, task_ids};

/// A server with a limit that its headers do not show.
fn limited(limit: &str) -> SandboxConfig {
    SandboxConfig {
        limits: LimitPlan {
            limits: vec![limit.parse().unwrap()],
            ..LimitPlan::default()
        },
        ..SandboxConfig::default()
    }
}

/// An export of these tasks with a learned rate.
fn command(server: &Sandbox, base: &Path, ids: &[String]) -> Command {
    let list = base.join("ids.txt");
    fs::write(&list, ids.join("\n")).unwrap();
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &server.base_url(), "--summary", "-"])
        .arg("--ids")
        .arg(list)
        .arg("--out")
        .arg(base.join("out"));
    command
}

fn summary(output: &Output) -> Value {
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn memory(base: &Path) -> std::path::PathBuf {
    base.join("out/.scale-export/pace.json")
}

#[test]
fn a_hidden_limit_is_learned_reported_and_saved() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(limited("token_bucket=100/s"));
    let ids = task_ids(700);
    let output = command(&server, base.path(), &ids)
        .arg("-v")
        .output()
        .unwrap();
    let report = summary(&output);
    assert!(server.rejected() <= 20, "{}", server.rejected());
    let rate = report["pace"]["rate"].as_f64().unwrap();
    // A busy machine may send fewer requests.
    assert!((60.0..=110.0).contains(&rate), "{report}");
    assert_eq!(report["pace"]["is_limit"], true);
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let share = server.rejected() as f64 / server.requests() as f64;
    assert!((report["rate_limited_share"].as_f64().unwrap() - share).abs() < 1e-9);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("rate limit of the API: "), "{printed}");
    assert!(printed.contains("rate-limited ("), "{printed}");
    for what in ["climbing", "rate-limited: "] {
        assert!(printed.contains(what), "{what}: {printed}");
    }

    let memory = memory(base.path());
    let mode = fs::metadata(&memory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&memory).unwrap();
    assert!(!text.contains(KEY) && !text.contains("127.0.0.1"), "{text}");

    let dry = |key: &str| {
        // Without anything to fetch there is no request, so any key works.
        let mut command = command(&server, base.path(), &ids);
        let output = command
            .env("SCALE_API_KEY", key)
            .args(["--dry-run", "--refresh", "none"]);
        summary(&output.output().unwrap())
    };
    let dry_rate = dry(KEY)["rate"].as_f64().unwrap();
    assert!((dry_rate - rate).abs() < 0.01, "{dry_rate}");
    // Another key may have another limit.
    assert_eq!(dry("another_key")["rate"], Value::Null);
    // A damaged file does not stop the run.
    for damaged in [
        "",
        "{\"version\":1,\"servers\":[{}]}",
        "{\"version\":99,\"servers\":[]}",
    ] {
        fs::write(&memory, damaged).unwrap();
        assert_eq!(dry(KEY)["rate"], Value::Null, "{damaged}");
    }
    let output = command(&server, base.path(), &task_ids(701))
        .output()
        .unwrap();
    summary(&output);
    assert!(fs::read_to_string(&memory).unwrap().contains("\"rate\""));
}

#[test]
fn the_next_run_starts_at_the_rate_of_an_interrupted_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(limited("token_bucket=80/s"));
    let mut run = command(&server, base.path(), &task_ids(5_000))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.requests() < 350 {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(!run.wait().unwrap().success());
    let before = server.rejected();
    assert!(memory(base.path()).exists());

    let fresh = tempfile::tempdir().unwrap();
    fs::create_dir_all(fresh.path().join("out/.scale-export")).unwrap();
    fs::copy(memory(base.path()), memory(fresh.path())).unwrap();
    // Without the learned rate these take over three seconds.
    let output = command(&server, fresh.path(), &task_ids(120))
        .args(["-v", "--log-format", "json"])
        .output()
        .unwrap();
    summary(&output);
    let printed = String::from_utf8_lossy(&output.stderr);
    let first = printed
        .lines()
        .find(|line| line.contains("\"event\":\"pace\""));
    let first: Value = serde_json::from_str(first.unwrap()).unwrap();
    assert!(first["rate"].as_f64().unwrap() > 40.0, "{first}");
    assert!(
        server.rejected() - before <= 20,
        "{}",
        server.rejected() - before
    );
}

#[test]
fn the_remaining_quota_is_spread_over_its_window() {
    // 1,800 per minute are 30 per second.
    const TASKS: usize = 150;
    let expected = Duration::from_secs(5);
    for headers in [
        QuotaHeaders::Plain,
        QuotaHeaders::Prefixed,
        QuotaHeaders::Structured,
    ] {
        let base = tempfile::tempdir().unwrap();
        let server = sandbox(SandboxConfig {
            quota_headers: Some(headers),
            ..limited("fixed_window=1800/m")
        });
        let started = Instant::now();
        let output = command(&server, base.path(), &task_ids(TASKS))
            .arg("-v")
            .output()
            .unwrap();
        let elapsed = started.elapsed();
        assert_eq!(summary(&output)["exported"], TASKS);
        assert_eq!(server.rejected(), 0, "{headers:?}");
        // A slow machine would not send more without the headers either.
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains("limited by headers"), "{printed}");
        // The first minute starts at different times, and a busy machine is slower.
        assert!(elapsed > expected * 3 / 4, "{headers:?}: {elapsed:?}");
        assert!(elapsed < expected * 3, "{headers:?}: {elapsed:?}");
    }
}

#[test]
fn a_given_rate_is_not_saved_as_learned() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    for rate in ["200", "max"] {
        let output = command(&server, base.path(), &task_ids(50))
            .args(["--rate", rate, "--refresh", "all"])
            .output()
            .unwrap();
        assert_eq!(summary(&output)["pace"], Value::Null);
        assert!(!memory(base.path()).exists());
    }
}
