//! Jobs without network publish in a store too: `flatten` and `combine`.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::buckets::{Bucket, TABLES, URL, assert_exit, local, stderr};
use crate::ranges::RANGE_TASKS;
use crate::support::fake_s3::StoreAction;
use crate::support::{published, raw_responses, task_ids, to_lines};

/// Another place in the same store.
const OTHER: &str = "s3://bucket/exports/b";

/// The minimum length of ranges in the test of shards, so that both have tasks.
const RANGE_LENGTH: &str = "7";

impl Bucket {
    /// Runs a command with a state of this name.
    fn offline(&self, state: &str, arguments: &[&str]) -> Output {
        let mut command = self.program();
        command.current_dir(self.base.path());
        command.args(arguments).arg("--state").arg(self.path(state));
        command.output().unwrap()
    }

    fn remove_all(&self) {
        for name in self.store.names() {
            self.store.remove(&name);
        }
    }
}

#[test]
fn flatten_rebuilds_an_export_in_a_store_from_its_state() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let before = bucket.read_through_manifest();
    bucket.remove_all();
    let flatten = ["flatten", URL, "--out", URL, "--tables", TABLES];
    let output = bucket.offline("state", &flatten);
    assert_exit(&output, 0);
    assert!(stderr(&output).contains(URL), "{}", stderr(&output));
    // Everything but the manifest, which has the times of this run.
    assert_eq!(bucket.read_through_manifest(), before);
    bucket.assert_stable_names();
    assert_exit(&bucket.read(&["verify"]), 0);

    let output = bucket.offline("state", &[&flatten[..], &["--format", "csv"]].concat());
    assert_exit(&output, 0);
    assert_eq!(
        bucket.object("messages.csv"),
        Some(local(&bucket.path("state"), "messages.csv"))
    );
    assert_eq!(bucket.object("messages.parquet"), None);
    assert_exit(&bucket.read(&["verify"]), 0);
    // The next run of the export goes on from there.
    let again = bucket.export("state", 5, &["--refresh", "none"]);
    assert_exit(&again, 0);
    let printed = stderr(&again);
    assert!(printed.contains("all 5 tasks kept"), "{printed}");
    assert_eq!(bucket.read_through_manifest(), before);
}

#[test]
fn flatten_reads_the_state_of_an_export_in_a_store() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    bucket.store.take_requests();
    let output = bucket.offline("state", &["flatten", URL, "--out", "copy"]);
    assert_exit(&output, 0);
    assert_eq!(bucket.store.take_requests().len(), 0);
    assert_eq!(
        raw_responses(&bucket.path("copy")),
        raw_responses(&bucket.path("state/out"))
    );
}

#[test]
fn a_state_that_is_not_that_of_a_url_is_refused() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let before = bucket.store.names();
    let record = bucket.path("state/out/.scale-export/bucket.json");
    let refused = |state: &str, arguments: &[&str], text: &str| {
        let output = bucket.offline(state, arguments);
        assert_exit(&output, 2);
        let printed = stderr(&output);
        assert!(
            printed.contains(text) && printed.contains("hint: "),
            "{printed}"
        );
    };
    refused(
        "missing",
        &["flatten", URL, "--out", "b"],
        "no state of an export",
    );
    refused(
        "state",
        &["flatten", OTHER, "--out", "b"],
        "no record of a publication",
    );
    // It would forget the first URL.
    refused(
        "state",
        &["flatten", URL, "--out", OTHER],
        "belongs to one URL",
    );
    std::fs::write(&record, "{").unwrap();
    refused(
        "state",
        &["flatten", URL, "--out", "b"],
        "no record of a publication",
    );
    // The directory itself is a source all the same.
    let directory = ["flatten", "state/out", "--out", URL, "--tables", TABLES];
    assert_exit(&bucket.offline("state", &directory), 0);
    assert_exit(
        &bucket.offline("state", &["flatten", URL, "--out", "copy"]),
        0,
    );
    assert_eq!(bucket.store.names(), before);
    assert!(!bucket.path("b").exists() && !bucket.path("missing").exists());
    // A summary must not replace what is published.
    for (name, arguments) in [
        ("flatten", ["flatten", "state/out", "--out", URL]),
        ("combine", ["combine", "shard", "--out", URL]),
    ] {
        let summary = ["--summary", "state/out/manifest.json"];
        let manifest = std::fs::read(bucket.path("state/out/manifest.json")).unwrap();
        let output = bucket.offline("state", &[&arguments[..], &summary].concat());
        assert_exit(&output, 6);
        let printed = stderr(&output);
        assert!(printed.contains("an input of this command"), "{printed}");
        let kept = std::fs::read(bucket.path("state/out/manifest.json")).unwrap();
        assert!(kept == manifest, "{name}");
    }
}

#[test]
fn a_store_that_fails_during_an_upload_is_continued() {
    let is_failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_failing);
    let bucket = Bucket::with_rule(move |request| {
        let is_data = request.name.contains("data/messages") && request.is_change();
        if is_data && fails.load(Ordering::SeqCst) {
            StoreAction::Fail(403, "ExpiredToken", "in vain")
        } else {
            StoreAction::Execute
        }
    });
    assert_exit(&bucket.export("state", 40, &[]), 0);
    let before = bucket.object("manifest.json");
    let flatten = [
        "flatten", URL, "--out", URL, "--format", "csv", "--tables", TABLES,
    ];
    is_failing.store(true, Ordering::SeqCst);
    let output = bucket.offline("state", &flatten);
    assert_exit(&output, 6);
    assert!(
        stderr(&output).contains("ExpiredToken"),
        "{}",
        stderr(&output)
    );
    assert_eq!(bucket.object("manifest.json"), before);
    is_failing.store(false, Ordering::SeqCst);
    assert_exit(&bucket.offline("state", &flatten), 0);
    assert_eq!(bucket.manifest().unwrap()["options"]["format"], "csv");
    bucket.assert_stable_names();
    // The guard by the numbers of tasks: the list of an offline job has no key to check.
    let ids = bucket.path("few.txt");
    std::fs::write(&ids, "task_1").unwrap();
    let few = ["flatten", "state/out", "--ids", "few.txt", "--out", URL];
    let output = bucket.offline("new", &few);
    assert_exit(&output, 8);
    assert!(
        stderr(&output).contains("the sources"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn flatten_publishes_files_of_tasks_in_a_store() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 5, &[]), 0);
    let bodies = raw_responses(&bucket.path("state/out"));
    std::fs::write(bucket.path("tasks.jsonl"), to_lines(bodies.values())).unwrap();
    bucket.remove_all();
    let flatten = ["flatten", "tasks.jsonl", "--out", URL];
    // It has responses of the API, which a file must not replace.
    let output = bucket.offline("state", &flatten);
    assert_exit(&output, 2);
    assert_eq!(bucket.names(), [""; 0]);
    assert_exit(&bucket.offline("new", &flatten), 0);
    assert_eq!(bucket.manifest().unwrap()["ids"]["exported"], 5);
    bucket.assert_stable_names();
    let mut verify = bucket.program();
    verify.arg("verify").arg(bucket.path("new/out"));
    assert_exit(&verify.output().unwrap(), 0);
}

#[test]
fn combine_publishes_in_a_store() {
    let bucket = Bucket::new();
    std::fs::write(bucket.path("ids.txt"), task_ids(60).join("\n")).unwrap();
    for shard in ["0", "1"] {
        let mut export = bucket.program();
        export.env(RANGE_TASKS, RANGE_LENGTH);
        export.current_dir(bucket.base.path());
        export.args(["--sandbox", "--ids", "ids.txt", "--tables", TABLES]);
        export.args(["--shard", &format!("{shard}/2")]);
        export.args(["--out", &format!("shard-{shard}")]);
        assert_exit(&export.output().unwrap(), 0);
    }
    let shards = ["combine", "shard-1", "shard-0", "--out"];
    let output = bucket.offline("state", &[&shards[..], &[URL]].concat());
    assert_exit(&output, 0);
    bucket.assert_stable_names();
    let mut beside = bucket.program();
    beside.current_dir(bucket.base.path());
    assert_exit(&beside.args(shards).arg("beside").output().unwrap(), 0);
    assert_eq!(
        published(&bucket.path("state/out")),
        published(&bucket.path("beside"))
    );
    let mut verify = bucket.program();
    verify.current_dir(bucket.base.path());
    let verify = verify.args(["verify", URL, "shard-0", "shard-1"]).output();
    assert_exit(&verify.unwrap(), 0);
}
