//! Later runs in the same directory: which tasks they request again, which tasks leave the tables, how the journal
//! changes, and when there is nothing to do.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use scale_export::journal::reader::JournalReader;
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use crate::support::server::{Server, requested_id, task_response};
use crate::support::{KEY, export, manifest, program, published, raw_responses, sandbox, task_ids};

pub(crate) fn assert_exit(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// Exports into `out`. Returns stderr and the number of requests.
fn run(server: &Sandbox, base: &Path, ids: &[String], options: &[&str]) -> (String, u64) {
    let before = server.requests();
    let (out, output) = export(server, base, "out", ids, options);
    let printed = assert_exit(&output, 0);
    let verified = program().arg("verify").arg(&out).output().unwrap();
    assert_exit(&verified, 0);
    (printed, server.requests() - before)
}

fn journal_bytes(base: &Path) -> u64 {
    let journal = base.join("out/.scale-export/journal");
    fs::metadata(journal).unwrap().len()
}

#[test]
fn a_run_with_nothing_to_do_reports_it_and_changes_no_file() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    // The sandbox makes all of these tasks final, by their number modulo 20.
    let ids = task_ids(12);
    run(&server, base.path(), &ids, &[]);
    let out = base.path().join("out");
    let made = || fs::metadata(out.join("manifest.json")).unwrap().modified();
    let before = (made().unwrap(), journal_bytes(base.path()));
    let (printed, requests) = run(&server, base.path(), &ids, &["--summary", "-"]);
    assert_eq!(requests, 0);
    assert!(
        printed.starts_with("Nothing to do: all 12 tasks are in "),
        "{printed}"
    );
    assert!(
        printed.ends_with("hint: --refresh all fetches them again\n"),
        "{printed}"
    );
    assert!((made().unwrap(), journal_bytes(base.path())) == before);

    // Tables with other options are written, without a request if none is needed.
    for options in [
        vec!["--format", "csv"],
        vec!["--tables", "tasks,messages"],
        vec![],
    ] {
        let (printed, requests) = run(&server, base.path(), &ids, &options);
        assert!(printed.contains("Exported 12 of 12 tasks"), "{printed}");
        assert_eq!(requests, 0);
    }
    fs::remove_file(out.join("turns.parquet")).unwrap();
    let (printed, requests) = run(&server, base.path(), &ids, &[]);
    assert!(printed.contains("Exported 12 of 12 tasks"), "{printed}");
    assert_eq!(requests, 0);
    let reversed: Vec<String> = ids.iter().rev().cloned().collect();
    let (printed, _) = run(&server, base.path(), &reversed, &[]);
    assert!(printed.contains("Exported 12 of 12 tasks"), "{printed}");
}

#[test]
fn removed_ids_leave_the_tables_and_are_saved_until_prune() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    run(&server, base.path(), &task_ids(12), &[]);
    let (printed, requests) = run(&server, base.path(), &task_ids(7), &[]);
    assert_eq!(requests, 0);
    assert!(
        printed.contains(
            "5 tasks are not in the list and not in the tables; --prune deletes saved responses"
        ),
        "{printed}"
    );
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 7);
    assert_eq!(raw_responses(&out).len(), 12);
    let (fresh, _) = export(&server, base.path(), "fresh", &task_ids(7), &[]);
    assert!(published(&out) == published(&fresh));

    // The tasks return without a request while their responses are in the journal.
    let (_, requests) = run(&server, base.path(), &task_ids(9), &[]);
    assert_eq!(requests, 0);
    let (printed, requests) = run(&server, base.path(), &task_ids(7), &["--prune"]);
    assert_eq!(requests, 0);
    assert!(
        printed.contains("saved responses of 5 tasks that are not in the list were deleted"),
        "{printed}"
    );
    assert_eq!(raw_responses(&out).len(), 7);
    assert!(published(&out) == published(&fresh));
    let (printed, _) = run(&server, base.path(), &task_ids(7), &["--prune"]);
    assert!(printed.starts_with("Nothing to do"), "{printed}");
    let (_, requests) = run(&server, base.path(), &task_ids(9), &[]);
    assert_eq!(requests, 2);
}

#[test]
fn the_journal_is_compacted_when_over_half_of_it_is_stale() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let ids = task_ids(12);
    // One request at a time, so that each response is alone in its block, and all arrive in order.
    run(&server, base.path(), &ids, &["--concurrency", "1"]);
    let singly = journal_bytes(base.path());
    let responses = raw_responses(&out);
    let tables = published(&out);
    let mut once = 0;
    for number in 0..3 {
        let options = ["--concurrency", "1", "--refresh", "all"];
        let (_, requests) = run(&server, base.path(), &ids, &options);
        assert_eq!(requests, 12);
        let bytes = journal_bytes(base.path());
        match number {
            // Compaction stores them together.
            0 => once = bytes,
            // They are less than half of all bytes, since each new response is alone in its block.
            1 => assert!(bytes > singly),
            _ => assert_eq!(bytes, once),
        }
        assert!(once < singly);
        assert!(raw_responses(&out) == responses);
        assert!(published(&out) == tables);
    }
    // Less than half.
    run(&server, base.path(), &task_ids(3), &["--refresh", "all"]);
    assert!(journal_bytes(base.path()) > once);
    assert_eq!(raw_responses(&out).len(), 12);
}

#[test]
fn an_interrupted_refresh_resumes_and_fetches_no_task_twice() {
    let base = tempfile::tempdir().unwrap();
    let refused_id = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&refused_id);
    let server = Server::start(move |request| {
        let mut response = task_response(request);
        if *shared.lock().unwrap() == Some(requested_id(request).to_owned()) {
            *response.status_mut() = hyper::StatusCode::UNAUTHORIZED;
        }
        response
    });
    let requests = |options: &[&str], code: i32| {
        let before = server.seen().len();
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args(["--rate", "max", "--concurrency", "1", "--out"])
            .arg(base.path().join("out"))
            .args(task_ids(10).iter().flat_map(|id| ["--id", id]))
            .args(options)
            .output()
            .unwrap();
        assert_exit(&output, code);
        server.seen().len() - before
    };
    assert_eq!(requests(&[], 0), 10);
    let before = published(&base.path().join("out"));
    *refused_id.lock().unwrap() = Some("task_7".to_owned());
    assert_eq!(requests(&["--refresh", "all"], 4), 7);
    assert!(published(&base.path().join("out")) == before);
    *refused_id.lock().unwrap() = None;
    assert_eq!(requests(&["--refresh", "all"], 0), 4);
    assert_eq!(requests(&["--refresh", "all"], 0), 10);
    assert!(published(&base.path().join("out")) == before);
}

#[test]
fn damage_in_the_journal_loses_one_task_and_is_reported() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    run(&server, base.path(), &task_ids(12), &["--concurrency", "1"]);
    let before = published(&out);
    let path = out.join(".scale-export/journal");
    let mut places = Vec::new();
    JournalReader::open(&out.join(".scale-export/journal"), None, |entry| {
        places.push((entry.task_id.to_owned(), entry.location));
        ControlFlow::Continue(())
    })
    .unwrap();
    let (task_id, place) = &places[5];
    assert_eq!(task_id, "task_6");
    let mut bytes = fs::read(&path).unwrap();
    let middle = usize::try_from(place.offset() + place.bytes() / 2).unwrap();
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let (printed, requests) = run(&server, base.path(), &task_ids(12), &["--refresh", "none"]);
    assert_eq!(requests, 1);
    assert!(
        printed.contains(
            "warning: skipped 1 damaged place in the journal; fetching the lost responses again: task_6\n"
        ),
        "{printed}"
    );
    assert!(published(&out) == before);
}

#[test]
fn a_journal_or_a_manifest_of_a_newer_version_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    run(&server, base.path(), &task_ids(3), &[]);
    let refused = |path: &Path, version: u8, newer: Vec<u8>| {
        let kept = fs::read(path).unwrap();
        fs::write(path, newer).unwrap();
        let (_, output) = export(
            &server,
            base.path(),
            "out",
            &task_ids(3),
            &["--refresh", "all"],
        );
        let printed = assert_exit(&output, 2);
        let newer = format!("version {version} is newer than this");
        assert!(printed.contains(&newer), "{printed}");
        assert!(printed.contains("hint: use the version of "), "{printed}");
        let mut verify = program();
        let output = verify.arg("verify").arg(base.path().join("out")).output();
        let printed = assert_exit(&output.unwrap(), 2);
        assert!(
            printed.contains(&newer) && printed.contains("hint: use the version"),
            "{printed}"
        );
        fs::write(path, kept).unwrap();
    };
    let journal = base.path().join("out/.scale-export/journal");
    let mut bytes = fs::read(&journal).unwrap();
    // The version follows the eight bytes that begin a journal.
    bytes[8] = 4;
    refused(&journal, 4, bytes);
    let manifest = base.path().join("out/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replace("\"format_version\": 1", "\"format_version\": 2");
    // With this version's name, the manifest would be damaged instead of newer.
    let newer = newer.replace(env!("CARGO_PKG_VERSION"), "99.0.0");
    refused(&manifest, 2, newer.into_bytes());
    run(&server, base.path(), &task_ids(3), &[]);
}

#[test]
fn options_that_change_responses_are_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    run(&server, base.path(), &task_ids(3), &[]);
    let before = published(&base.path().join("out"));
    for (options, named) in [
        (vec!["--expand", "project"], "--expand"),
        (vec!["--opts", "annotation_details"], "--opts"),
        (vec!["--keep-secrets"], "--keep-secrets"),
    ] {
        let (out, output) = export(&server, base.path(), "out", &task_ids(3), &options);
        let printed = assert_exit(&output, 2);
        assert!(
            printed.contains(&format!("it was written with {named} ")),
            "{printed}"
        );
        assert!(
            printed
                .contains("hint: use the same options as before, or export to an empty directory"),
            "{printed}"
        );
        assert!(published(&out) == before);
    }
    // The order of names in an option has no effect.
    let order = "model_parameters,annotation_details,attachment_details";
    run(&server, base.path(), &task_ids(3), &["--opts", order]);
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args([
            "--base-url",
            "http://127.0.0.1:9",
            "--id",
            "task_1",
            "--out",
        ])
        .arg(base.path().join("out"))
        .output()
        .unwrap();
    assert!(assert_exit(&output, 2).contains("it was written with --base-url "));
}

#[test]
fn refresh_all_requests_all_tasks_after_an_interrupted_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    run(&server, base.path(), &task_ids(9), &[]);
    fs::remove_file(base.path().join("out/manifest.json")).unwrap();
    let (_, requests) = run(&server, base.path(), &task_ids(9), &["--refresh", "all"]);
    assert_eq!(requests, 9);
}

#[test]
fn after_a_refused_key_failed_ids_are_requested_again() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        failed_ids: vec![
            "404=task_2".parse().unwrap(),
            "403=task_4".parse().unwrap(),
            "401=task_7".parse().unwrap(),
        ],
        ..SandboxConfig::default()
    });
    let run = |ids: &[String]| {
        let before = server.requests();
        let options = ["--concurrency", "1"];
        let (_, output) = export(&server, base.path(), "out", ids, &options);
        (output.status.code(), server.requests() - before)
    };
    assert_eq!(run(&task_ids(9)), (Some(4), 7));
    // A rejected key ends a run deliberately. Its failures are requested again. For the forbidden ID, so is one that
    // succeeded before, which shows whether the key is the cause.
    let without = |id: &str| -> Vec<String> {
        task_ids(9)
            .into_iter()
            .filter(|other| other != id)
            .collect()
    };
    assert_eq!(run(&without("task_7")), (Some(3), 5));
    assert_eq!(run(&without("task_7")), (Some(3), 3));
}

#[test]
fn a_truncated_journal_that_grew_again_is_not_the_published_one() {
    let base = tempfile::tempdir().unwrap();
    let changing = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&changing);
    let server = Server::start(move |request| {
        let id = requested_id(request);
        if id == "task_9" && shared.lock().unwrap().ends_with("401") {
            let mut refused = task_response(request);
            *refused.status_mut() = hyper::StatusCode::UNAUTHORIZED;
            return refused;
        }
        let text = shared.lock().unwrap().clone();
        let body = serde_json::json!({"task_id": id, "status": "completed", "note": text});
        hyper::Response::new(http_body_util::Full::new(body.to_string().into()))
    });
    let run = |code: i32| {
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args(["--rate", "max", "--concurrency", "1", "--out"])
            .arg(base.path().join("out"))
            .args(task_ids(9).iter().flat_map(|id| ["--id", id]))
            .output()
            .unwrap();
        assert_exit(&output, code)
    };
    run(0);
    let journal = base.path().join("out/.scale-export/journal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() / 2]).unwrap();
    // The task is longer than before, and the run does not complete.
    *changing.lock().unwrap() = "x".repeat(20) + &"changed ".repeat(9) + "401";
    let printed = run(4);
    assert!(
        printed.contains("bytes that the published export was built from"),
        "{printed}"
    );
    assert!(fs::metadata(&journal).unwrap().len() > bytes.len() as u64);
    *changing.lock().unwrap() = "another".to_owned();
    let printed = run(0);
    assert!(
        printed.contains("warning: the published export was built from another journal"),
        "{printed}"
    );
    let verified = program()
        .arg("verify")
        .arg(base.path().join("out"))
        .output()
        .unwrap();
    assert_exit(&verified, 0);
    assert!(run(0).starts_with("Nothing to do"));
}

#[test]
fn a_journal_that_is_a_dangling_link_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    run(&server, base.path(), &task_ids(3), &[]);
    let journal = base.path().join("out/.scale-export/journal");
    fs::remove_file(&journal).unwrap();
    std::os::unix::fs::symlink("/no/such/file", &journal).unwrap();
    let (_, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(3),
        &["--refresh", "all"],
    );
    let printed = assert_exit(&output, 6);
    assert!(
        printed.contains("/journal`: it is a symbolic link"),
        "{printed}"
    );
}
