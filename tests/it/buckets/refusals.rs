//! What ends a run before it publishes in a store.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::buckets::{Bucket, URL, assert_exit, stderr};
use crate::support::fake_s3::{MOMENT, StoreAction};
use crate::support::program;

/// Checks the exit code, and that the error has a text.
#[track_caller]
fn assert_refused(output: &Output, code: i32, text: &str) {
    assert_exit(output, code);
    let printed = stderr(output);
    assert!(
        printed.contains(text) && printed.contains("hint: "),
        "{printed}"
    );
    assert!(!printed.contains("very-secret"), "{printed}");
}

#[test]
fn a_url_needs_a_state_and_a_directory_has_its_own() {
    let base = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program();
        command
            .args(["--sandbox", "--id", "task_1"])
            .args(arguments);
        command.current_dir(base.path()).output().unwrap()
    };
    assert_refused(&run(&["--out", URL]), 2, "--state is missing");
    let output = run(&["--out", "out", "--state", "elsewhere"]);
    assert_refused(&output, 2, "--state can be another directory only if");
    for url in [
        "https://user:very-secret@host/a",
        "s3://",
        "s3://a/../b",
        "gs://a?b",
    ] {
        assert_refused(
            &run(&["--out", url, "--state", "s"]),
            2,
            "could not use the URL",
        );
    }
    assert_eq!(base.path().read_dir().unwrap().count(), 0);
    assert_exit(&run(&["--out", "out", "--state", "out/.scale-export"]), 0);
}

#[test]
fn commands_that_need_raw_responses_refuse_a_url() {
    let base = tempfile::tempdir().unwrap();
    for arguments in [
        &["combine", URL, "--out", "b"][..],
        &["verify", "a", URL],
        &["changes", URL],
    ] {
        let output = program().args(arguments).current_dir(base.path()).output();
        assert_refused(&output.unwrap(), 2, "needs a local directory");
    }
    for arguments in [
        &["flatten", URL, "--out", "b"][..],
        &["flatten", "a", "--out", URL],
        &["combine", "a", "--out", URL],
    ] {
        let output = program().args(arguments).current_dir(base.path()).output();
        assert_refused(&output.unwrap(), 2, "--state is missing");
    }
    // It is not read, so that a configuration of exports does not concern local jobs.
    for (option, code) in [(true, 2), (false, 0)] {
        std::fs::write(base.path().join("a.jsonl"), r#"{"task_id":"a"}"#).unwrap();
        let mut command = program();
        command.args(["flatten", "a.jsonl", "--out", "b"]);
        if option {
            command.args(["--state", "elsewhere"]);
        } else {
            command.env("SCALE_EXPORT_STATE", "elsewhere");
        }
        let output = command.current_dir(base.path()).output().unwrap();
        assert_exit(&output, code);
    }
    assert!(!base.path().join("elsewhere").exists());
}

#[test]
fn a_store_that_ignores_conditions_is_refused_before_anything_is_fetched() {
    for ignored in ["if-none-match", "if-match"] {
        let bucket = Bucket::with_rule(move |request| {
            if request.headers.contains_key(ignored) {
                StoreAction::Ignore
            } else {
                StoreAction::Execute
            }
        });
        let output = bucket.export("state", 2, &[]);
        assert_refused(&output, 2, "ignores the condition");
        assert_eq!(bucket.names(), [""; 0]);
        assert!(!bucket.path("state/out/manifest.json").exists());
    }
}

#[test]
fn of_two_publishers_one_wins_and_the_other_ends_with_2() {
    let is_first = AtomicBool::new(true);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let bucket = Bucket::with_rule(move |request| {
        if request.name.contains("data/tasks")
            && request.is_change()
            && is_first.swap(false, Ordering::SeqCst)
        {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(MOMENT);
            }
        }
        StoreAction::Execute
    });
    let mut slow = bucket.command("slow", 3, &[]);
    let slow = slow.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !bucket.path("slow/out/manifest.json").exists() {
        std::thread::sleep(MOMENT);
    }
    // It has read what is published; the other one starts and ends meanwhile.
    assert_exit(&bucket.export("fast", 4, &[]), 0);
    let winner = bucket.object("manifest.json");
    is_over.store(true, Ordering::SeqCst);
    let output = slow.wait_with_output().unwrap();
    assert_refused(&output, 2, "another run has published there");
    assert_eq!(bucket.object("manifest.json"), winner);
    bucket.assert_stable_names();
    // The next run publishes what this one has built.
    assert_exit(&bucket.export("slow", 3, &["--refresh", "none"]), 0);
    assert_eq!(bucket.manifest().unwrap()["ids"]["exported"], 3);
    bucket.assert_stable_names();
}

#[test]
fn objects_of_others_are_not_overwritten_without_force() {
    let bucket = Bucket::new();
    bucket.store.put("exports/a/tasks.parquet", b"mine");
    assert_refused(&bucket.export("state", 2, &[]), 2, "`tasks.parquet`");
    assert_eq!(bucket.object("tasks.parquet").unwrap(), b"mine");
    assert_exit(&bucket.export("state", 2, &["--force"]), 0);
    bucket.assert_stable_names();

    let bucket = Bucket::new();
    bucket
        .store
        .put("exports/a/manifest.json", b"{\"mine\": 1}");
    assert_refused(&bucket.export("state", 2, &[]), 2, "manifest.json");
    assert_exit(&bucket.export("state", 2, &["--force"]), 0);
    bucket.assert_stable_names();
}

#[test]
fn a_lost_state_does_not_disable_the_guard() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 40, &[]), 0);
    let before = bucket.object("manifest.json");
    assert_refused(&bucket.export("new", 2, &[]), 8, "38 of the 40 tasks");
    assert_eq!(bucket.object("manifest.json"), before);
    assert_exit(&bucket.export("new", 2, &["--max-shrink", "100%"]), 0);
    assert_eq!(bucket.manifest().unwrap()["ids"]["exported"], 2);
}

#[test]
fn plain_http_to_another_host_needs_permission() {
    let bucket = Bucket::new();
    let mut command = bucket.command("state", 1, &[]);
    command.env("AWS_ENDPOINT_URL", "http://store.invalid");
    assert_refused(&command.output().unwrap(), 6, "--allow-http");
}
