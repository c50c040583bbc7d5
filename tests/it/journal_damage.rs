//! Damage to the head of a record hides its ID, and so does the lost end of a journal. The digests of the published export
//! name it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::journal::reader::JournalReader;

use crate::flatten::assert_verified;
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
            let body = format!(
                r#"{{"task_id":"{task_id}","status":"completed","instruction":"version {version}"}}"#
            );
            Response::new(Full::new(Bytes::from(body)))
        });
        Self { server, version }
    }

    /// Exports tasks; returns what is printed, and the IDs that were requested.
    fn export(&self, out: &Path, ids: &[String], options: &[&str]) -> (String, Vec<String>) {
        let before = self.server.seen().len();
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", self.server.address)])
            .args(["--rate", "max", "--concurrency", "1", "--out"])
            .arg(out)
            .args(ids.iter().flat_map(|id| ["--id", id]))
            .args(options)
            .output()
            .unwrap();
        let printed = assert_exit(&output, 0);
        let seen = self.server.seen();
        let requested = seen[before..].iter();
        let requested = requested.map(|seen| {
            seen.uri
                .split("task_id=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap()
                .to_owned()
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

#[test]
fn a_record_that_was_cut_off_is_named_and_no_earlier_response_counts() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();
    // Without its whole head, the last record has no ID.
    let mut last = 0;
    JournalReader::open(&journal, None, |entry| {
        last = entry.location.offset();
        ControlFlow::Continue(())
    })
    .unwrap();
    fs::write(&journal, &whole[..usize::try_from(last).unwrap() + 20]).unwrap();
    let copy = base.path().join("copy");
    let output = program()
        .arg("flatten")
        .arg(&out)
        .arg("--out")
        .arg(&copy)
        .output();
    let printed = assert_exit(&output.unwrap(), 0);
    assert!(
        printed.contains("that its tables were built from; the lost responses are left out: "),
        "{printed}"
    );
    assert!(printed.contains("task_3\n"), "{printed}");
    let (printed, requested) = api.export(&out, &task_ids(10), &[]);
    assert!(printed.contains("the journal lacks "), "{printed}");
    assert!(printed.contains("task_3\n"), "{printed}");
    assert!(requested.contains(&"task_3".to_owned()), "{requested:?}");
    assert!(requested.len() < 4, "{requested:?}");
    assert!(published(&out) == before);
}

#[test]
fn flatten_and_verify_name_a_task_whose_id_is_damaged() {
    let base = tempfile::tempdir().unwrap();
    let api = VersionedApi::start();
    let out = api.refreshed(base.path());
    damage_id(&out, "task_2");
    let run = |arguments: &[&str]| -> Output {
        let mut command = program();
        command.args(arguments).arg(&out);
        command.output().unwrap()
    };
    let printed = assert_exit(&run(&["verify"]), 7);
    assert!(printed.contains("task_2"), "{printed}");
    let copy = base.path().join("copy");
    let printed = assert_exit(&run(&["flatten", "--out", copy.to_str().unwrap()]), 3);
    assert!(printed.contains("left out: task_2\n"), "{printed}");
}
