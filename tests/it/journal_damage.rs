//! Damage to the head of a record hides its ID, and so does the lost end of a journal. The digests of the published export
//! name it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::journal::reader::JournalReader;

use crate::flatten::{assert_verified, stderr};
use crate::ranges::RANGE_TASKS;
use crate::refresh::assert_exit;
use crate::support::server::{Server, requested_id};
use crate::support::{KEY, program, published, task_ids};

/// An API whose tasks change with each version.
struct VersionedApi {
    server: Server,
    version: Arc<AtomicUsize>,
}

impl VersionedApi {
    fn start() -> Self {
        let version = Arc::new(AtomicUsize::new(1));
        let current = Arc::clone(&version);
        let server = Server::start(move |request| {
            let version = current.load(Ordering::Relaxed);
            let task_id = requested_id(request);
            let is_deleted = version == 0 && task_id == "task_4";
            let status = if is_deleted { 410 } else { 200 };
            let body = format!(
                r#"{{"task_id":"{task_id}","status":"completed","instruction":"version {version}"}}"#
            );
            let response = Response::builder().status(status);
            response.body(Full::new(Bytes::from(body))).unwrap()
        });
        Self { server, version }
    }

    fn command(&self, out: &Path, ids: &[String], options: &[&str]) -> Command {
        let mut command = program();
        command
            .env("SCALE_API_KEY", KEY)
            .env(RANGE_TASKS, "2")
            .args(["--base-url", &format!("http://{}", self.server.address)])
            .args([
                "--rate",
                "max",
                "--concurrency",
                "1",
                "--plan",
                "ids",
                "--out",
            ])
            .arg(out)
            .args(ids.iter().flat_map(|id| ["--id", id]))
            .args(options);
        command
    }

    fn run(&self, out: &Path, ids: &[String], options: &[&str]) -> Output {
        self.command(out, ids, options).output().unwrap()
    }

    /// Exports tasks; returns what is printed, and the IDs that were requested.
    fn export(&self, out: &Path, ids: &[String], options: &[&str]) -> (String, Vec<String>) {
        let before = self.server.seen().len();
        let printed = assert_exit(&self.run(out, ids, options), 0);
        let seen = self.server.seen();
        let requested = seen[before..].iter().map(|seen| {
            let query = seen
                .uri
                .split("task_id=")
                .nth(1)
                .unwrap_or_else(|| panic!("{}", seen.uri));
            query.split('&').next().unwrap().to_owned()
        });
        (printed, requested.collect())
    }

    /// An export of ten tasks. The journal has two versions of the first three, and the tables the second one.
    fn refreshed(&self, base: &Path) -> PathBuf {
        let out = base.join("out");
        self.export(&out, &task_ids(10), &[]);
        self.version.store(2, Ordering::Relaxed);
        let (_, requested) = self.export(
            &out,
            &task_ids(3),
            &["--refresh", "all", "--max-shrink", "100%"],
        );
        assert_eq!(requested, ["task_1", "task_2", "task_3"]);
        let (_, requested) = self.export(&out, &task_ids(10), &[]);
        assert!(requested.is_empty());
        out
    }
}

/// Damages the ID in the last record of a task.
pub(crate) fn damage_id(out: &Path, task_id: &str) {
    let journal = out.join(".scale-export/journal");
    let mut place = None;
    JournalReader::open(&journal, None, |entry| {
        if entry.task_id == task_id {
            place = Some(entry.location.offset());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    let head = usize::try_from(place.unwrap()).unwrap();
    let found = bytes[head..].windows(task_id.len());
    let at = found
        .into_iter()
        .position(|part| part == task_id.as_bytes());
    bytes[head + at.unwrap()] ^= 1;
    fs::write(&journal, bytes).unwrap();
}

#[test]
fn a_record_whose_id_is_damaged_is_named_and_fetched_again() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let before = published(&out);
    damage_id(&out, "task_2");
    let (printed, requested) = api.export(&out, &task_ids(10), &[]);
    assert_eq!(requested, ["task_2"], "{printed}");
    assert!(
        printed.contains(
            "warning: skipped 1 damaged place in the journal; fetching the lost responses again: task_2\n"
        ),
        "{printed}"
    );
    assert!(
        !printed.contains("the damage includes task IDs"),
        "{printed}"
    );
    assert!(published(&out) == before);
    assert_verified(&out);
}

#[test]
fn a_damaged_id_that_no_digest_names_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    damage_id(&out, "task_2");
    for digests in fs::read_dir(out.join(".scale-export")).unwrap() {
        let path = digests.unwrap().path();
        if path.to_string_lossy().contains("digests") {
            fs::remove_file(path).unwrap();
        }
    }
    let (printed, requested) = api.export(&out, &task_ids(10), &[]);
    assert!(requested.is_empty(), "{printed}");
    assert!(
        printed.contains("the damage includes task IDs"),
        "{printed}"
    );
}

/// Cuts the journal off within the head of its last record, which then has no ID. Returns its task.
fn cut_last_head(out: &Path) -> String {
    let journal = out.join(".scale-export/journal");
    let mut last = None;
    JournalReader::open(&journal, None, |entry| {
        last = Some((entry.task_id.to_owned(), entry.location.offset()));
        ControlFlow::Continue(())
    })
    .unwrap();
    let (task_id, head) = last.unwrap();
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..usize::try_from(head).unwrap() + 20]).unwrap();
    task_id
}

fn run(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = program();
    command.env(RANGE_TASKS, "2").args(arguments).args(paths);
    command.output().unwrap()
}

#[test]
fn a_record_that_was_cut_off_is_named_and_no_earlier_response_counts() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let before = published(&out);
    assert_eq!(cut_last_head(&out), "task_3");
    let (printed, _) = api.export(&out, &task_ids(10), &["--dry-run"]);
    assert!(printed.contains("tasks: 1 of 10 to fetch"), "{printed}");
    let (printed, requested) = api.export(&out, &task_ids(10), &[]);
    assert!(printed.contains("the journal lacks "), "{printed}");
    assert!(printed.contains("again: task_3\n"), "{printed}");
    assert_eq!(requested, ["task_3"]);
    assert!(published(&out) == before);
}

#[test]
fn flatten_and_verify_name_a_task_whose_record_is_lost_and_the_next_run_fetches_it() {
    let lose: [fn(&Path); 2] = [
        |out| damage_id(out, "task_3"),
        |out| assert_eq!(cut_last_head(out), "task_3"),
    ];
    for lose in lose {
        let base = tempfile::tempdir().unwrap();
        let api = VersionedApi::start();
        let out = api.refreshed(base.path());
        let before = published(&out);
        lose(&out);
        let printed = assert_exit(&run(&["verify"], &[&out]), 7);
        assert!(printed.contains("task_3"), "{printed}");
        let hint = "hint: responses are lost: run the export again, which fetches them";
        assert!(printed.contains(hint), "{printed}");
        for target in [base.path().join("copy"), out.clone()] {
            let options = [
                "flatten",
                "--max-shrink",
                "100%",
                "--format",
                "csv",
                "--out",
            ];
            let printed = assert_exit(&run(&options, &[&target, &out]), 3);
            assert!(printed.contains("left out: task_3\n"), "{printed}");
            let tasks = fs::read_to_string(target.join("tasks.csv")).unwrap();
            assert!(
                tasks.contains("\ntask_2,") && !tasks.contains("task_3"),
                "{tasks}"
            );
            let failures = fs::read_to_string(target.join("failures.jsonl")).unwrap();
            assert!(failures.contains("task_3"), "{failures}");
        }
        let (printed, requested) = api.export(&out, &task_ids(10), &[]);
        assert_eq!(requested, ["task_3"], "{printed}");
        assert!(published(&out) == before);
        assert_verified(&out);
    }
}

#[test]
fn a_list_that_is_given_to_flatten_does_not_lose_other_tasks() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    damage_id(&out, "task_2");
    let ids = base.path().join("ids");
    fs::write(&ids, "task_2\ntask_7\n").unwrap();
    let options = ["flatten", "--max-shrink", "100%", "--ids"];
    let flags = Path::new("--out");
    let printed = assert_exit(&run(&options, &[&ids, flags, &out, &out]), 3);
    assert!(printed.contains("left out: task_2\n"), "{printed}");
}

#[test]
fn a_lost_failure_brings_no_deleted_task_back_and_is_requested_again() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = base.path().join("out");
    api.export(&out, &task_ids(10), &[]);
    // Version 0 does not have the task any more.
    api.version.store(0, Ordering::Relaxed);
    let options = [
        "--refresh",
        "all",
        "--max-failures",
        "100%",
        "--drop-missing",
    ];
    let refresh = api.run(
        &out,
        &task_ids(10),
        &[&options[..], &["--max-shrink", "100%"]].concat(),
    );
    assert_exit(&refresh, 0);
    let before = published(&out);
    assert!(!fs::read(out.join("failures.jsonl")).unwrap().is_empty());
    damage_id(&out, "task_4");
    let flatten = run(&["flatten", "--max-shrink", "100%", "--out"], &[&out, &out]);
    let printed = stderr(&flatten);
    assert!(printed.contains("left out: task_4\n"), "{printed}");
    assert!(published(&out)["tasks.parquet"] == before["tasks.parquet"]);
    let again = api.run(
        &out,
        &task_ids(10),
        &["--drop-missing", "--max-shrink", "100%"],
    );
    let printed = stderr(&again);
    assert!(published(&out) == before, "{printed}");
}

#[test]
fn a_write_that_a_crash_interrupted_replaces_nothing() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    // A run that publishes nothing, and whose last response is not whole.
    let refused = api.run(
        &out,
        &task_ids(1),
        &["--refresh", "all", "--max-shrink", "0"],
    );
    assert_exit(&refused, 8);
    let journal = out.join(".scale-export/journal");
    let mut end = 0;
    JournalReader::open(&journal, None, |entry| {
        if entry.task_id == "task_1" {
            end = entry.next;
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..usize::try_from(end).unwrap() - 3]).unwrap();
    let before = published(&out);
    let printed = assert_exit(&run(&["flatten", "--out"], &[&out, &out]), 0);
    assert!(!printed.contains("left out"), "{printed}");
    assert!(published(&out) == before);
}

#[test]
fn flatten_reports_a_list_that_is_not_the_published_one() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let list = out.join(".scale-export/ids.txt");
    let whole = fs::read_to_string(&list).unwrap();
    let copy = base.path().join("copy");
    let flatten = || {
        let options = ["flatten", "--max-shrink", "100%", "--out"];
        let output = run(&options, &[&copy, &out]);
        assert_exit(&output, 0)
    };
    assert!(!flatten().contains("the list of IDs"));
    fs::write(&list, whole.replace("task_10\n", "")).unwrap();
    assert!(flatten().contains("is damaged: give the list with --ids"));
    fs::remove_file(&list).unwrap();
    assert!(flatten().contains("is missing: give the list with --ids"));
}

#[test]
fn a_run_behind_a_cut_journal_does_not_hide_what_was_lost() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();
    assert_eq!(cut_last_head(&out), "task_3");
    // A run without the lost task appends more than was lost, and publishes nothing.
    let mut others = task_ids(10);
    others.remove(2);
    others.extend((11..40).map(|number| format!("task_{number}")));
    let output = api.run(&out, &others, &["--max-shrink", "0", "--drop-missing"]);
    assert_exit(&output, 8);
    assert!(fs::metadata(&journal).unwrap().len() > whole.len() as u64);
    let (printed, requested) = api.export(&out, &task_ids(10), &[]);
    assert!(requested.contains(&"task_3".to_owned()), "{printed}");
    assert!(published(&out) == before);
}

#[test]
fn a_damaged_id_of_a_task_that_is_not_published_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let mut others = task_ids(10);
    others.remove(1);
    api.export(&out, &others, &["--max-shrink", "100%"]);
    damage_id(&out, "task_2");
    let (printed, _) = api.export(&out, &task_ids(10), &[]);
    assert!(
        printed.contains("the damage includes task IDs"),
        "{printed}"
    );
}

#[test]
fn a_run_whose_index_hides_damage_reads_the_whole_journal_and_fetches_what_is_lost() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let before = published(&out);
    // More than the digest of the index covers follows the damage.
    api.export(&out, &task_ids(60), &[]);
    let indexed = api
        .command(&out, &task_ids(60), &[])
        .env("SCALE_EXPORT_INDEX_BYTES", "1")
        .output();
    assert_exit(&indexed.unwrap(), 0);
    damage_id(&out, "task_2");
    // A new task, so that the tables are built.
    fs::remove_file(out.join(".scale-export/ranges")).unwrap();
    let (printed, requested) = api.export(&out, &task_ids(61), &[]);
    assert!(
        printed.contains("; reading the whole journal\n"),
        "{printed}"
    );
    assert!(requested.contains(&"task_2".to_owned()), "{requested:?}");
    let (_, requested) = api.export(&out, &task_ids(10), &["--max-shrink", "100%"]);
    assert!(requested.is_empty());
    assert!(published(&out) == before);
}

#[test]
fn a_shard_whose_last_record_is_damaged_is_not_combined() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let shards = ["0/2", "1/2"].map(|shard| {
        let out = base.path().join(shard.replace('/', "_of_"));
        api.export(&out, &task_ids(20), &["--shard", shard]);
        out
    });
    api.version.store(2, Ordering::Relaxed);
    for (shard, out) in ["0/2", "1/2"].iter().zip(&shards) {
        api.export(out, &task_ids(20), &["--shard", shard, "--refresh", "all"]);
    }
    let combined = base.path().join("combined");
    let combine = || {
        let out = Path::new("--out");
        run(&["combine"], &[&shards[0], &shards[1], out, &combined])
    };
    assert_exit(&combine(), 0);
    let last = cut_last_head(&shards[1]);
    let printed = assert_exit(&combine(), 2);
    assert!(printed.contains("raw responses are damaged"), "{printed}");
    // The same length as before: the end of the file does not show that.
    damage_id(&shards[0], &last_id(&shards[0]));
    let (printed, requested) = api.export(&shards[1], &task_ids(20), &["--shard", "1/2"]);
    // Compaction may have put its records into one block.
    assert!(requested.contains(&last), "{printed}");
    let printed = assert_exit(&combine(), 2);
    assert!(printed.contains("raw responses are damaged"), "{printed}");
}

/// The task of the last record.
fn last_id(out: &Path) -> String {
    let mut last = String::new();
    let journal = out.join(".scale-export/journal");
    JournalReader::open(&journal, None, |entry| {
        entry.task_id.clone_into(&mut last);
        ControlFlow::Continue(())
    })
    .unwrap();
    last
}
