//! Delta tables in a store that misbehaves. Only in builds with the feature `delta`; `make delta` runs these.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::buckets::{Bucket, TABLES, assert_exit, stderr};
use crate::support::fake_s3::{MOMENT, StoreAction, StoreRequest};
use crate::support::task_ids;

/// The Delta tables in the tests.
const LAKE: &str = "s3://bucket/lake";

/// How soon a run ends that the user stops while the store does not respond.
const SOON: Duration = Duration::from_secs(10);

impl Bucket {
    fn lake_command(&self, out: &str, tasks: usize) -> Command {
        let list = self.path(&format!("ids-{tasks}.txt"));
        std::fs::write(&list, task_ids(tasks).join("\n")).unwrap();
        let mut command = self.program();
        command.args(["--sandbox", "--delta", LAKE, "--tables", TABLES]);
        command.arg("--ids").arg(list);
        command.arg("--out").arg(self.path(out));
        command
    }

    fn commit(&self, out: &str, tasks: usize) -> Output {
        self.lake_command(out, tasks).output().unwrap()
    }

    /// The files that a table consists of after each version of its log.
    fn versions(&self, table: &str) -> Vec<Vec<String>> {
        let mut files = BTreeSet::new();
        let mut versions = Vec::new();
        for version in 0.. {
            let name = format!("lake/{table}/_delta_log/{version:020}.json");
            let Some(log) = self.store.object(&name) else {
                break;
            };
            for line in String::from_utf8(log).unwrap().lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                if let Some(path) = action["remove"]["path"].as_str() {
                    assert!(files.remove(path), "{path}");
                }
                if let Some(path) = action["add"]["path"].as_str() {
                    files.insert(path.to_owned());
                }
            }
            versions.push(files.iter().cloned().collect());
        }
        versions
    }

    /// Checks that each table has one file, which is that of the export.
    #[track_caller]
    fn assert_lake(&self, out: &str, versions: usize) {
        for table in TABLES.split(',') {
            let found = self.versions(table);
            assert_eq!(found.len(), versions, "{table}");
            let [file] = found.last().unwrap().as_slice() else {
                panic!("{found:?}");
            };
            let object = self.store.object(&format!("lake/{table}/{file}"));
            let local = std::fs::read(self.path(out).join(format!("{table}.parquet")));
            assert!(object == Some(local.unwrap()), "{table}");
        }
    }
}

/// Whether a request commits a version.
fn is_commit(request: &StoreRequest) -> bool {
    request.is_change() && request.name.contains("/_delta_log/0")
}

/// A bucket whose store does something else with the first `count` requests of a kind.
fn bucket_with(count: usize, is_chosen: fn(&StoreRequest) -> bool, action: StoreAction) -> Bucket {
    let left = AtomicUsize::new(count);
    Bucket::with_rule(move |request| {
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if is_chosen(request) && left.fetch_update(order, order, take).is_ok() {
            action.clone()
        } else {
            StoreAction::Execute
        }
    })
}

#[test]
fn a_store_that_ignores_conditions_is_refused_before_anything_is_fetched() {
    let bucket = Bucket::with_rule(|request| {
        if request.headers.contains_key("if-none-match") {
            StoreAction::Ignore
        } else {
            StoreAction::Execute
        }
    });
    let output = bucket.commit("out", 2);
    assert_exit(&output, 2);
    let printed = stderr(&output);
    assert!(
        printed.contains("ignores the condition") && printed.contains("hint: "),
        "{printed}"
    );
    assert!(!bucket.path("out/manifest.json").exists());
    assert_eq!(bucket.store.names(), [""; 0]);
}

#[test]
fn commits_are_repeated_after_errors_that_pass() {
    for (status, code) in [
        (503, "SlowDown"),
        (500, "InternalError"),
        (409, "ConditionalRequestConflict"),
    ] {
        let bucket = bucket_with(2, is_commit, StoreAction::Fail(status, code, "again"));
        assert_exit(&bucket.commit("out", 2), 0);
        bucket.assert_lake("out", 1);
        assert_exit(&bucket.commit("out", 3), 0);
        bucket.assert_lake("out", 2);
    }
}

#[test]
fn a_conflict_that_stays_ends_the_run_and_the_next_one_commits() {
    let is_refusing = Arc::new(AtomicBool::new(false));
    let refuses = Arc::clone(&is_refusing);
    let bucket = Bucket::with_rule(move |request| {
        if is_commit(request) && refuses.load(Ordering::SeqCst) {
            StoreAction::Fail(409, "ConditionalRequestConflict", "again")
        } else {
            StoreAction::Execute
        }
    });
    assert_exit(&bucket.commit("out", 2), 0);
    is_refusing.store(true, Ordering::SeqCst);
    let output = bucket.commit("out", 3);
    assert!(
        matches!(output.status.code(), Some(2 | 6)),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
    assert_eq!(bucket.versions("tasks").len(), 1);
    is_refusing.store(false, Ordering::SeqCst);
    assert_exit(&bucket.commit("out", 3), 0);
    bucket.assert_lake("out", 2);
}

#[test]
fn a_lost_response_to_a_commit_does_not_fail_the_run() {
    let bucket = bucket_with(1, is_commit, StoreAction::Lose);
    assert_exit(&bucket.commit("out", 2), 0);
    bucket.assert_lake("out", 1);
}

#[test]
fn expired_credentials_end_with_6_and_the_next_run_commits() {
    let is_expired = Arc::new(AtomicBool::new(false));
    let expired = Arc::clone(&is_expired);
    let bucket = Bucket::with_rule(move |request| {
        if request.name.contains("lake/messages") && expired.load(Ordering::SeqCst) {
            StoreAction::Fail(403, "ExpiredToken", "in vain")
        } else {
            StoreAction::Execute
        }
    });
    assert_exit(&bucket.commit("out", 2), 0);
    is_expired.store(true, Ordering::SeqCst);
    let output = bucket.commit("out", 3);
    assert_exit(&output, 6);
    let printed = stderr(&output);
    assert!(printed.contains("ExpiredToken"), "{printed}");
    assert!(!printed.contains("very-secret"), "{printed}");
    // The tables are read before anything is fetched.
    assert_eq!(bucket.versions("tasks").len(), 1);
    is_expired.store(false, Ordering::SeqCst);
    assert_exit(&bucket.commit("out", 3), 0);
    bucket.assert_lake("out", 2);
}

/// A kind of request, and whether the export is published when it is sent.
type Step = (&'static str, fn(&StoreRequest) -> bool, bool);

#[test]
fn a_run_ends_soon_when_it_is_stopped_while_the_store_hangs() {
    let steps: [Step; 4] = [
        ("probe", |request| request.name.contains("probe"), false),
        // The library's own requests.
        (
            "log",
            |request| request.method == "GET" && request.name.contains("/_delta_log/0"),
            false,
        ),
        (
            "upload",
            |request| request.is_change() && request.name.contains("tasks-"),
            true,
        ),
        ("commit", is_commit, true),
    ];
    for (name, is_chosen, is_published) in steps {
        let is_hanging = Arc::new(AtomicBool::new(false));
        let has_hung = Arc::new(AtomicBool::new(false));
        let (hangs, hung) = (Arc::clone(&is_hanging), Arc::clone(&has_hung));
        let bucket = Bucket::with_rule(move |request| {
            if hangs.load(Ordering::SeqCst) && is_chosen(request) {
                hung.store(true, Ordering::SeqCst);
                StoreAction::Hang
            } else {
                StoreAction::Execute
            }
        });
        assert_exit(&bucket.commit("out", 2), 0);
        is_hanging.store(true, Ordering::SeqCst);
        let mut command = bucket.lake_command("out", 3);
        let run = command.stderr(Stdio::piped()).spawn().unwrap();
        while !has_hung.load(Ordering::SeqCst) {
            std::thread::sleep(MOMENT);
        }
        let stopped = Instant::now();
        let process = i32::try_from(run.id()).unwrap();
        kill_process(Pid::from_raw(process).unwrap(), Signal::TERM).unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(stopped.elapsed() < SOON, "{name}: {:?}", stopped.elapsed());
        assert_exit(&output, 143);
        let printed = stderr(&output);
        assert!(printed.contains("interrupted: "), "{name}: {printed}");
        let manifest = std::fs::read_to_string(bucket.path("out/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let exported = if is_published { 3 } else { 2 };
        assert_eq!(manifest["ids"]["exported"], exported, "{name}");
        is_hanging.store(false, Ordering::SeqCst);
        assert_exit(&bucket.commit("out", 3), 0);
        bucket.assert_lake("out", 2);
    }
}
