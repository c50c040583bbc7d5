//! A good export is never replaced by a worse one: what is published after a bad night, and what is not.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::Value;

use crate::support::server::{Answer, Server, asked_id, task_answer};
use crate::support::{KEY, manifest, program, published, task_ids};

/// An API that answers as it is told to, by ID.
struct Api {
    server: Server,
    answers: Arc<Mutex<Answers>>,
}

type MakeAnswer = Box<dyn Fn() -> Answer + Send>;

/// Gives an answer in place of the task.
type Answers = Box<dyn Fn(&str) -> Option<Answer> + Send>;

impl Api {
    fn start() -> Self {
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let shared = Arc::clone(&answers);
        let server = Server::start(move |request| {
            let special = shared.lock().unwrap()(asked_id(request));
            special.unwrap_or_else(|| task_answer(request))
        });
        Self { server, answers }
    }

    /// From now on these IDs have this answer.
    fn answers(
        &self,
        is_affected: impl Fn(&str) -> bool + Send + 'static,
        answer: impl Fn() -> Answer + Send + 'static,
    ) {
        *self.answers.lock().unwrap() = Box::new(move |id| is_affected(id).then(&answer));
    }

    fn is_well(&self) {
        self.answers(|_| false, || status(200));
    }

    fn run(&self, out: &Path, ids: &[String], options: &[&str]) -> Output {
        program()
            .env("SCALE_API_KEY", KEY)
            .env("SCALE_EXPORT_MAX_RETRIES", "0")
            .args(["--base-url", &format!("http://{}", self.server.address)])
            .args(["--rate", "max", "--retry-timeout", "2s"])
            .arg("--out")
            .arg(out)
            .args(ids.iter().flat_map(|id| ["--id", id]))
            .args(options)
            .output()
            .unwrap()
    }

    /// Runs, and verifies what is published afterwards; gives what was said.
    fn ends(&self, code: i32, out: &Path, ids: &[String], options: &[&str]) -> String {
        let output = self.run(out, ids, options);
        let said = assert_exit(&output, code);
        if out.join("manifest.json").exists() {
            assert_exit(&program().arg("verify").arg(out).output().unwrap(), 0);
        }
        said
    }
}

fn status(code: u16) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"{\"message\": \"no\"}")));
    *answer.status_mut() = hyper::StatusCode::from_u16(code).unwrap();
    answer
}

fn redirect(to: &str) -> Answer {
    let mut answer = status(302);
    let to = hyper::header::HeaderValue::from_str(to).unwrap();
    answer.headers_mut().insert("location", to);
    answer
}

fn assert_exit(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn failures(out: &Path) -> Vec<Value> {
    lines(&out.join("failures.jsonl"))
}

fn last_run(out: &Path) -> Value {
    let text = fs::read(out.join(".scale-export/last_run.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// What is published, without the failures.
fn tables(out: &Path) -> Vec<(String, Vec<u8>)> {
    let files = published(out).into_iter();
    files.filter(|(name, _)| name != "failures.jsonl").collect()
}

/// The tables that a flattening of the state into a new directory gives.
fn reference(base: &Path, out: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let fresh = base.join("reference");
    let _ = fs::remove_dir_all(&fresh);
    let output = program()
        .arg("flatten")
        .arg(out)
        .arg("--out")
        .arg(&fresh)
        .output()
        .unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    published(&fresh)
}

/// A good export of these tasks.
fn exported(api: &Api, base: &Path, ids: &[String]) -> PathBuf {
    let out = base.join("out");
    api.ends(0, &out, ids, &[]);
    out
}

#[test]
fn a_bad_night_leaves_every_task_in_the_tables_and_names_it_as_stale() {
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(12);
    let api = Api::start();
    let out = exported(&api, base.path(), &ids);
    let before = tables(&out);
    let other = Server::start(|_| status(200));
    let login = format!("http://{}/login", other.address);
    let nights: Vec<(&str, MakeAnswer)> = vec![
        ("not_found", Box::new(|| status(404))),
        ("http_error", Box::new(|| status(410))),
        ("http_error", Box::new(|| status(202))),
        ("http_error", Box::new(|| status(203))),
        ("http_error", Box::new(|| status(400))),
        ("http_error", Box::new(|| status(407))),
        ("redirect", Box::new(move || redirect(&login))),
    ];
    for (kind, answer) in nights {
        let text = format!("{kind} {}", answer().status());
        api.answers(|_| true, answer);
        let said = api.ends(3, &out, &ids, &["--refresh", "all"]);
        assert!(said.contains("12 stale"), "{text}: {said}");
        assert!(tables(&out) == before, "{text}");
        let made = manifest(&out)["ids"].clone();
        assert_eq!(
            (&made["exported"], &made["failed"], &made["stale"]),
            (&12.into(), &0.into(), &12.into())
        );
        for line in failures(&out) {
            assert_eq!(line["exported"], true, "{text}");
            assert_eq!(line["kind"], kind, "{text}");
        }
        assert!(reference(base.path(), &out) == published(&out), "{text}");
    }
    // Every run requests them again, and one good night ends it.
    api.is_well();
    let before_requests = api.server.seen().len();
    api.ends(0, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before_requests, 12);
    assert!(failures(&out).is_empty());
    assert!(tables(&out) == before);
}

#[test]
fn an_export_in_which_every_id_failed_is_not_published_and_binds_nothing() {
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(5);
    let out = base.path().join("out");
    let wrong = Api::start();
    wrong.answers(|_| true, || status(404));
    for options in [&[][..], &["--max-shrink", "100%"], &["--max-failures", "0"]] {
        let said = wrong.ends(8, &out, &ids, options);
        assert!(
            said.contains(
                "error: could not publish: none of 5 IDs could be exported (5 not_found)"
            ),
            "{said}"
        );
        assert!(said.contains("--base-url and the list of IDs"), "{said}");
        assert!(!out.join("manifest.json").exists());
        assert!(!out.join("tasks.parquet").exists());
    }
    assert_eq!(last_run(&out)["exit_code"], 8);
    let known = lines(&out.join(".scale-export/last_failures.jsonl"));
    assert_eq!(known.len(), 5);
    // Another server, another key, other options: nothing was received, so nothing is bound.
    let right = Api::start();
    right.ends(0, &out, &ids, &["--expand", "project"]);
    assert_eq!(manifest(&out)["ids"]["exported"], 5);
    assert_eq!(last_run(&out)["exit_code"], 0);
    // Once something was, it is.
    let said = right.ends(2, &out, &ids, &[]);
    assert!(said.contains("--expand"), "{said}");
}

#[test]
fn the_same_command_over_too_many_failures_ends_the_same_way_every_time() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = base.path().join("out");
    // Four of twenty, where a tenth is allowed.
    api.answers(
        |id| matches!(id, "task_3" | "task_7" | "task_8" | "task_20"),
        || status(404),
    );
    for _ in 0..6 {
        let said = api.ends(1, &out, &ids, &["--max-failures", "10%"]);
        assert!(
            said.contains("could not publish: 4 of 20 IDs failed (4 not_found), more than --max-failures 10% allows"),
            "{said}"
        );
        assert!(!out.join("manifest.json").exists());
    }
    // The failures of runs that ended by decision are requested again, the responses are not.
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &["--max-failures", "20%"]);
    assert_eq!(api.server.seen().len() - before, 4);
    // One deleted task among 99 good ones, with and without a previous export.
    for _ in 0..3 {
        let said = api.ends(1, &out, &ids, &["--fail-fast"]);
        assert!(said.contains("--fail-fast stops there"), "{said}");
        api.ends(3, &out, &ids, &["--max-failures", "4"]);
    }
}

#[test]
fn a_run_that_goes_on_after_an_outage_asks_for_no_failed_id_again_and_the_one_after_it_does() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(9);
    let out = base.path().join("out");
    // From the sixth ID on nothing succeeds; where that began, it goes on for all.
    let answer = |is_ending: bool| {
        let is_away = AtomicBool::new(false);
        let answers = move |id: &str| {
            let number: u32 = id.strip_prefix("task_").unwrap().parse().unwrap();
            if is_ending && number >= 6 {
                is_away.store(true, Ordering::Relaxed);
            }
            if is_away.load(Ordering::Relaxed) {
                return Some(status(503));
            }
            (number == 2).then(|| status(404))
        };
        *api.answers.lock().unwrap() = Box::new(answers);
    };
    answer(true);
    let options = ["--concurrency", "1", "--max-retries", "2"];
    let said = api.ends(5, &out, &ids, &options);
    assert!(said.contains("could not reach the API"), "{said}");
    assert_eq!(last_run(&out)["exit_code"], 5);
    assert_eq!(
        lines(&out.join(".scale-export/last_failures.jsonl")).len(),
        1
    );
    answer(false);
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before, 4);
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before, 1);
}

#[test]
fn tolerated_failures_end_with_0_and_are_still_listed() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = base.path().join("out");
    api.answers(|id| id == "task_3", || status(404));
    api.ends(3, &out, &ids, &[]);
    for (tolerated, code) in [("0", 3), ("1", 0), ("4.9%", 3), ("5%", 0)] {
        api.ends(code, &out, &ids, &["--tolerate", tolerated]);
        assert_eq!(failures(&out).len(), 1);
    }
    // Stale tasks count like failed ones.
    api.is_well();
    api.ends(0, &out, &ids, &[]);
    api.answers(|id| matches!(id, "task_4" | "task_5"), || status(404));
    api.ends(3, &out, &ids, &["--tolerate", "1", "--refresh", "all"]);
    api.ends(0, &out, &ids, &["--tolerate", "2"]);
    let said = assert_exit(&api.run(&out, &ids, &["--max-failures", "1"]), 1);
    assert!(said.contains("2 of 20 IDs failed"), "{said}");
}

#[test]
fn an_export_does_not_shrink_by_more_than_it_may() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(60);
    let out = exported(&api, base.path(), &ids);
    let before = published(&out);
    // Thirteen of sixty are more than a fifth; twelve are not. Edits of the list count.
    let said = api.ends(8, &out, &task_ids(47), &[]);
    assert!(
        said.contains(
            "13 of the 60 tasks exported before would disappear, more than --max-shrink 20% allows"
        ),
        "{said}"
    );
    assert!(
        said.contains("13 of 60 tasks with --max-shrink 13"),
        "{said}"
    );
    assert!(published(&out) == before);
    // So does another list of the same length.
    let others: Vec<String> = (31..=90).map(|number| format!("task_{number}")).collect();
    let said = api.ends(8, &out, &others, &[]);
    assert!(said.contains("30 of the 60 tasks"), "{said}");
    assert!(published(&out) == before);
    api.ends(0, &out, &task_ids(48), &[]);
    api.ends(0, &out, &task_ids(5), &["--max-shrink", "43"]);
    // A few tasks are a large share of a small export.
    api.ends(0, &out, &task_ids(2), &[]);
    api.ends(8, &out, &task_ids(1), &["--max-shrink", "0"]);
    assert_eq!(manifest(&out)["ids"]["exported"], 2);
}

#[test]
fn damaged_state_does_not_disable_the_guard() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(40);
    for format in ["parquet", "csv"] {
        for lost in [
            &[".scale-export/ids.txt"][..],
            &["manifest.json"],
            &["failures.jsonl"],
            &[".scale-export/ids.txt", "manifest.json"],
            &[".scale-export/ids.txt", "failures.jsonl"],
            &[".scale-export/journal"],
        ] {
            let out = base.path().join("out");
            let _ = fs::remove_dir_all(&out);
            api.ends(0, &out, &ids, &["--format", format]);
            let tasks = fs::read(out.join(format!("tasks.{format}"))).unwrap();
            for name in lost {
                let path = out.join(name);
                let mut bytes = fs::read(&path).unwrap();
                bytes.truncate(bytes.len() / 2);
                fs::write(&path, bytes).unwrap();
            }
            let output = api.run(&out, &task_ids(10), &["--format", format]);
            let said = assert_exit(&output, 8);
            assert!(said.contains("30 of the 40 tasks"), "{lost:?}: {said}");
            assert!(fs::read(out.join(format!("tasks.{format}"))).unwrap() == tasks);
        }
    }
}

#[test]
fn missing_tasks_leave_the_tables_only_where_that_is_asked_for() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(40);
    let out = exported(&api, base.path(), &ids);
    api.answers(|id| id == "task_3", || status(404));
    api.ends(3, &out, &ids, &["--refresh", "all"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
    let said = api.ends(0, &out, &ids, &["--drop-missing"]);
    assert!(said.contains("1 deleted"), "{said}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 39);
    assert_eq!(manifest(&out)["ids"]["failed"], 1);
    let listed = failures(&out);
    assert_eq!(listed[0]["task_id"], "task_3");
    assert_eq!(listed[0].get("exported"), None);
    assert!(reference(base.path(), &out) == published(&out));
    // Another failure is no deletion, and too many deletions are guarded.
    api.answers(|id| id == "task_3", || status(400));
    api.ends(3, &out, &ids, &["--drop-missing"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
    api.answers(|id| id.len() == 7, || status(410));
    let said = api.ends(8, &out, &ids, &["--drop-missing", "--refresh", "all"]);
    assert!(said.contains("31 of the 40 tasks"), "{said}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
}

#[test]
fn a_night_that_was_not_published_changes_no_later_flattening() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    api.answers(|id| id == "task_5", || status(404));
    let out = base.path().join("out");
    api.ends(3, &out, &ids, &[]);
    let before = published(&out);
    api.answers(|_| true, || status(404));
    api.ends(1, &out, &ids, &["--fail-fast", "--refresh", "all"]);
    api.ends(1, &out, &ids, &["--max-failures", "1", "--refresh", "all"]);
    assert!(published(&out) == before);
    assert!(reference(base.path(), &out) == before);
    let output = program()
        .arg("flatten")
        .arg(&out)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = assert_exit(&output, 3);
    assert!(said.contains("nothing changed"), "{said}");
    assert!(published(&out) == before);
}

#[test]
fn flattening_obeys_the_same_guard() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let flatten = |source: &Path, out: &Path, options: &[&str]| {
        program()
            .arg("flatten")
            .arg(source)
            .arg("--out")
            .arg(out)
            .args(options)
            .output()
            .unwrap()
    };
    let large = exported(&api, base.path(), &task_ids(40));
    let small = base.path().join("small");
    api.ends(0, &small, &task_ids(10), &[]);
    let tables = base.path().join("tables");
    assert_exit(&flatten(&large, &tables, &[]), 0);
    let said = assert_exit(&flatten(&small, &tables, &[]), 8);
    assert!(said.contains("30 of the 40 tasks"), "{said}");
    assert_eq!(manifest(&tables)["ids"]["exported"], 40);
    assert_exit(&flatten(&small, &tables, &["--max-shrink", "30"]), 0);
    let list = base.path().join("other.txt");
    fs::write(&list, "task_77\ntask_78\n").unwrap();
    let list = list.to_str().unwrap();
    let said = assert_exit(&flatten(&small, &tables, &["--ids", list]), 8);
    assert!(said.contains("2 missing"), "{said}");
    assert_eq!(manifest(&tables)["ids"]["exported"], 10);
}

#[test]
fn a_run_that_changes_nothing_leaves_the_files_as_they_are() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(5);
    let out = exported(&api, base.path(), &ids);
    let identities = || {
        let names = published(&out).into_keys();
        let identity = |name: &String| {
            let metadata = fs::metadata(out.join(name)).unwrap();
            (metadata.ino(), metadata.mtime_nsec(), metadata.mtime())
        };
        names
            .map(|name| (identity(&name), name))
            .collect::<Vec<_>>()
    };
    let before = identities();
    let summary = |options: &[&str]| -> Value {
        let output = api.run(&out, &ids, &[options, &["--summary", "-"]].concat());
        assert_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let made = fs::read(out.join("manifest.json")).unwrap();
    let end = summary(&["--refresh", "all"]);
    assert_eq!(end["unchanged"], true);
    assert_eq!(end["requests"], 5);
    assert!(identities() == before);
    // After a request the manifest is written again, and without one it is not.
    assert!(fs::read(out.join("manifest.json")).unwrap() != made);
    let made = fs::read(out.join("manifest.json")).unwrap();
    assert_eq!(summary(&[])["unchanged"], true);
    assert!(fs::read(out.join("manifest.json")).unwrap() == made);
    // A file that was changed is written again, whatever its size.
    let mut bytes = fs::read(out.join("tasks.parquet")).unwrap();
    bytes[10] ^= 1;
    fs::write(out.join("tasks.parquet"), bytes).unwrap();
    let end = summary(&["--refresh", "all"]);
    assert_eq!(end["unchanged"], false);
    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
}

#[test]
fn a_quiet_run_says_one_line_and_only_when_it_does_not_end_with_0() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    let out = base.path().join("out");
    assert_eq!(api.ends(0, &out, &ids, &["-q"]), "");
    api.answers(|id| id == "task_3", || status(404));
    let said = api.ends(3, &out, &ids, &["-q", "--refresh", "all"]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("Exported 12 of 12 tasks to "), "{said}");
    assert!(said.contains("; 1 stale"), "{said}");
    api.answers(|_| true, || status(404));
    let said = api.ends(1, &out, &ids, &["-q", "--refresh", "all", "--fail-fast"]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("error: could not "), "{said}");
    let fresh = base.path().join("fresh");
    let said = api.ends(8, &fresh, &ids, &["-q"]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("error: could not publish"), "{said}");
}

#[test]
fn several_exports_are_flattened_in_the_order_of_their_lists() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = |numbers: &[u32]| -> Vec<String> {
        numbers
            .iter()
            .map(|number| format!("task_{number}"))
            .collect()
    };
    let (one, two) = (base.path().join("one"), base.path().join("two"));
    // Arrival is in another order than the list.
    let first = ids(&[9, 1, 5, 3]);
    api.ends(0, &one, &ids(&[3, 5, 1, 9]), &[]);
    api.ends(0, &one, &first, &[]);
    api.answers(|id| id == "task_7", || status(404));
    let second = ids(&[7, 5, 2, 1]);
    api.ends(0, &two, &ids(&[2, 1]), &[]);
    api.ends(3, &two, &second, &[]);
    // What left a list does not come back.
    api.is_well();
    api.ends(0, &one, &ids(&[9, 1, 5, 3, 100]), &[]);
    api.ends(0, &one, &first, &[]);
    let out = base.path().join("both");
    let output = program()
        .arg("flatten")
        .args([&one, &two])
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert_exit(&output, 3);
    let list = fs::read_to_string(out.join(".scale-export/ids.txt")).unwrap();
    assert_eq!(list, "task_9\ntask_1\ntask_5\ntask_3\ntask_7\ntask_2\n");
    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
}

#[test]
fn a_journal_of_version_1_is_read_and_upgraded_by_the_next_publication() {
    use scale_export::journal::format::{Version, encode};
    use scale_export::journal::{Compressor, JournalReader};
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    api.answers(|id| id == "task_4", || status(404));
    let out = base.path().join("out");
    api.ends(3, &out, &ids, &[]);
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let upgraded = fs::read(&journal).unwrap();
    // The same journal as the version before wrote it.
    let mut records = Vec::new();
    let (mut reader, ..) = JournalReader::open(&out.join(".scale-export"), None, |entry| {
        records.push((
            entry.kind,
            entry.is_final,
            entry.task_id.to_owned(),
            entry.location,
        ));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let first = usize::try_from(records[0].3.offset()).unwrap();
    let mut bytes = upgraded[..first].to_vec();
    bytes[8] = 1;
    for (kind, is_final, task_id, location) in &records {
        let mut body = Vec::new();
        let head = reader.read(task_id, *location, &mut body).unwrap();
        let record = scale_export::journal::format::Record {
            kind: *kind,
            flags: u16::from(*is_final),
            attempts: head.attempts,
            time: head.time,
            task_id,
            body: &body,
        };
        encode(
            &record,
            Version::One,
            &mut Compressor::default(),
            &mut bytes,
        );
    }
    let version_1 = bytes.len();
    fs::write(&journal, &bytes).unwrap();
    let path = out.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        &format!("\"journal_bytes\": {}", upgraded.len()),
        &format!("\"journal_bytes\": {version_1}"),
    );
    fs::write(&path, text).unwrap();

    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
    assert!(reference(base.path(), &out) == before);
    // A run that is not published leaves the version; its mark counts in it.
    api.ends(1, &out, &ids, &["--fail-fast"]);
    assert_eq!(fs::read(&journal).unwrap()[8], 1);
    assert!(reference(base.path(), &out) == before);
    let requests = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - requests, 1);
    assert_eq!(fs::read(&journal).unwrap()[8], 2);
    assert!(published(&out) == before);
    assert!(reference(base.path(), &out) == before);
}

#[test]
fn a_list_that_turns_out_empty_replaces_no_export() {
    let base = tempfile::tempdir().unwrap();
    let listed = Arc::new(Mutex::new(3));
    let shared = Arc::clone(&listed);
    let server = Server::start(move |request| {
        if request.uri().path() == "/v2/task" {
            return task_answer(request);
        }
        let tasks = task_ids(*shared.lock().unwrap());
        let tasks: Vec<_> = tasks
            .iter()
            .map(|id| serde_json::json!({"task_id": id, "status": "completed", "threads": []}))
            .collect();
        let page = serde_json::json!({"tasks": tasks, "next_token": null});
        Response::new(Full::new(Bytes::from(page.to_string())))
    });
    let out = base.path().join("out");
    let run = |code: i32, options: &[&str]| {
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args(["--batch", "b", "--rate", "max", "--out"])
            .arg(&out)
            .args(options)
            .output()
            .unwrap();
        assert_exit(&output, code)
    };
    // On a first run there is nothing to lose.
    *listed.lock().unwrap() = 0;
    let said = run(0, &[]);
    assert!(said.contains("warning: "), "{said}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 0);
    *listed.lock().unwrap() = 3;
    run(0, &[]);
    let before = published(&out);
    *listed.lock().unwrap() = 0;
    let said = run(8, &["--status", "complete"]);
    assert!(
        said.contains("`complete` of --status is not a known value: did you mean `completed`?"),
        "{said}"
    );
    assert!(
        said.contains("the 3 tasks exported before would disappear"),
        "{said}"
    );
    assert!(said.contains("--max-shrink 100%"), "{said}");
    assert!(published(&out) == before);
    run(0, &["--max-shrink", "100%"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 0);
}

#[test]
fn a_range_of_times_in_which_no_task_can_be_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let refused = |after: &str, before: &str| {
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .env("SCALE_EXPORT_COMPLETED_BEFORE", before)
            .args(["--batch", "b", "--out"])
            .arg(base.path().join("out"))
            .args(["--completed-after", after])
            .args(["--base-url", "http://127.0.0.1:1", "--retry-timeout", "1s"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    for (after, before) in [
        ("2024-02-01", "2024-01-31"),
        ("2024-02-01", "2024-02-01"),
        ("2024-02-01T00:30:00Z", "2024-02-01T01:00:00+02:00"),
    ] {
        let (code, said) = refused(after, before);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("is not before SCALE_EXPORT_COMPLETED_BEFORE ("),
            "{said}"
        );
    }
    assert_ne!(refused("2024-02-01", "2024-02-02").0, Some(2));
}
