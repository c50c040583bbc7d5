//! What an export in a store has, and what later runs change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::buckets::{Bucket, URL, assert_exit, local, named_objects, stderr};
use crate::support::fake_s3::StoreAction;

#[test]
fn an_export_is_read_through_its_manifest_and_by_stable_names() {
    let bucket = Bucket::new();
    let output = bucket.export("state", 5, &[]);
    assert_exit(&output, 0);
    assert!(stderr(&output).contains(URL), "{}", stderr(&output));
    let objects = bucket.read_through_manifest().unwrap();
    assert_eq!(objects.len(), 6);
    bucket.assert_stable_names();
    for name in ["tasks.parquet", "failures.jsonl"] {
        assert_eq!(
            bucket.object(name),
            Some(local(&bucket.path("state"), name))
        );
    }
    assert!(!bucket.names().iter().any(|name| name.contains("probe")));
    assert_exit(&bucket.read(&["verify"]), 0);
    let status = bucket.read(&["status", "--json"]);
    assert_exit(&status, 0);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["directory"], URL);
    assert_eq!(status["publication"]["exported"], 5);
    assert_eq!(status["problems"], serde_json::json!([]));
    let copy = bucket.path("copy");
    std::fs::create_dir(&copy).unwrap();
    let mut download = bucket.program();
    let output = download.args(["download", URL]).arg(&copy).output();
    assert_exit(&output.unwrap(), 0);
    let verify = bucket.program().arg("verify").arg(&copy).output();
    assert_exit(&verify.unwrap(), 0);
    let report = bucket.path("report.html");
    let output = bucket.read(&["report", "--out", report.to_str().unwrap()]);
    assert_exit(&output, 0);
    assert!(std::fs::read_to_string(report).unwrap().contains("<svg"));
}

#[test]
fn a_run_that_changes_nothing_writes_no_object_but_its_probe() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let before = bucket.object("manifest.json");
    bucket.store.take_requests();
    assert_exit(&bucket.export("state", 5, &["--refresh", "none"]), 0);
    let changes = bucket.store.take_requests().into_iter();
    let changes = changes.filter(|request| request.is_change() && !request.name.contains("probe"));
    let changes: Vec<String> = changes.map(|request| request.name).collect();
    assert_eq!(changes, [""; 0]);
    assert_eq!(bucket.object("manifest.json"), before);
}

#[test]
fn missing_objects_and_copies_are_restored_also_where_nothing_else_changed() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let manifest = bucket.manifest().unwrap();
    let (lost, _) = named_objects(&manifest).remove(0);
    bucket.store.remove(&format!("exports/a/{lost}"));
    bucket.store.remove("exports/a/messages.parquet");
    assert_exit(&bucket.export("state", 5, &["--refresh", "none"]), 0);
    bucket.assert_stable_names();
}

#[test]
fn replaced_objects_stay_for_the_grace_period() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 3, &[]), 0);
    let old = named_objects(&bucket.manifest().unwrap());
    let tasks = &old
        .iter()
        .find(|(name, _)| name.contains("tasks"))
        .unwrap()
        .0;
    assert_exit(&bucket.export("state", 4, &[]), 0);
    assert!(bucket.object(tasks).is_some());
    assert!(bucket.manifest().unwrap()["superseded"][tasks].is_string());
    assert_exit(&bucket.export("state", 5, &[]), 0);
    assert!(bucket.object(tasks).is_some());
    // A later publication deletes what is old enough.
    assert_exit(&bucket.export("state", 6, &["--grace", "1ms"]), 0);
    assert!(bucket.object(tasks).is_none());
    bucket.assert_stable_names();
    assert_exit(&bucket.export("state", 6, &["--refresh", "none"]), 0);
    assert_exit(&bucket.read(&["verify"]), 0);
}

#[test]
fn another_format_leaves_no_stable_name_of_the_one_before() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 3, &[]), 0);
    // A user's own object under a name that this format does not have.
    bucket.store.put("exports/a/tasks.csv", b"mine");
    assert_exit(&bucket.export("state", 4, &[]), 0);
    assert_eq!(bucket.object("tasks.csv").unwrap(), b"mine");
    assert_exit(&bucket.export("state", 4, &["--format", "csv"]), 2);
    bucket.store.remove("exports/a/tasks.csv");
    assert_exit(&bucket.export("state", 4, &["--format", "csv"]), 0);
    let names = bucket.names();
    let names: Vec<&String> = names.iter().filter(|name| !name.contains('/')).collect();
    let expected = [
        "README.md",
        "failures.jsonl",
        "load.sql",
        "manifest.json",
        "messages.csv",
        "tasks.csv",
    ];
    assert_eq!(names, expected);
    bucket.assert_stable_names();
}

#[test]
fn a_users_own_readme_stays() {
    let bucket = Bucket::new();
    bucket.store.put("exports/a/README.md", b"mine");
    for tasks in [2, 3] {
        assert_exit(&bucket.export("state", tasks, &[]), 0);
        assert_eq!(bucket.object("README.md").unwrap(), b"mine");
    }
    assert_exit(&bucket.read(&["verify"]), 0);
}

#[test]
fn a_check_tests_the_bucket_and_leaves_nothing_there() {
    let bucket = Bucket::new();
    let check = |options: &[&str]| {
        let mut command = bucket.program();
        command.args(["check", "--sandbox", "--id", "task_1", "--out", URL]);
        command
            .arg("--state")
            .arg(bucket.path("state"))
            .args(options);
        command.output().unwrap()
    };
    let output = check(&[]);
    assert_exit(&output, 0);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(URL), "{printed}");
    assert_eq!(bucket.names(), [""; 0]);
    assert!(!bucket.path("state").exists());
    bucket.store.put("exports/a/tasks.parquet", b"mine");
    assert_exit(&check(&[]), 2);
    assert_exit(&check(&["--force"]), 0);
}

#[test]
fn a_copy_that_was_replaced_before_an_interruption_is_made_again() {
    let is_failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_failing);
    let bucket = Bucket::with_rule(move |request| {
        let is_copy = request.headers.contains_key("x-amz-copy-source");
        let is_chosen = is_copy && request.name.ends_with("failures.jsonl");
        if is_chosen && fails.load(Ordering::SeqCst) {
            // The copy is made, and the run does not get to know it.
            StoreAction::Lose
        } else {
            StoreAction::Execute
        }
    });
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let empty = bucket.object("failures.jsonl");
    is_failing.store(true, Ordering::SeqCst);
    let with_failure = ["--id", "no_such_task", "--max-retries", "1"];
    assert_exit(&bucket.export("state", 5, &with_failure), 6);
    assert_ne!(bucket.object("failures.jsonl"), empty);
    is_failing.store(false, Ordering::SeqCst);
    // The file is again the one whose copy was recorded before.
    assert_exit(&bucket.export("state", 5, &[]), 0);
    assert_eq!(bucket.object("failures.jsonl"), empty);
    bucket.assert_stable_names();
}
