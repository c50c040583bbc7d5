//! Jobs without network publish in a store too: `flatten` and `combine`.

use std::process::Output;

use crate::buckets::{Bucket, TABLES, URL, assert_exit, local, stderr};
use crate::ranges::RANGE_TASKS;
use crate::support::{published, raw_responses, task_ids, to_lines};

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
    let other = bucket.offline("other", &["flatten", URL, "--out", "copy"]);
    assert_exit(&other, 2);
    let printed = stderr(&other);
    assert!(
        printed.contains("has published nothing there") && printed.contains("hint: "),
        "{printed}"
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
