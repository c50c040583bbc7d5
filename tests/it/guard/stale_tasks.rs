//! Runs in which tasks could not be refreshed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Api, MakeResponse, assert_exit, exported, failures, last_run, lines, redirect, reference,
    status, tables,
};
use crate::support::server::Server;
use crate::support::{manifest, program, published, task_ids};

#[test]
fn failed_refreshes_keep_every_task_and_mark_it_stale() {
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(12);
    let api = Api::start();
    let out = exported(&api, base.path(), &ids);
    let before = tables(&out);
    let other = Server::start(|_| status(200));
    let login = format!("http://{}/login", other.address);
    let nights: Vec<(&str, MakeResponse)> = vec![
        ("not_found", Box::new(|| status(404))),
        ("http_error", Box::new(|| status(410))),
        ("http_error", Box::new(|| status(202))),
        ("http_error", Box::new(|| status(203))),
        ("http_error", Box::new(|| status(400))),
        ("http_error", Box::new(|| status(407))),
        ("redirect", Box::new(move || redirect(&login))),
    ];
    for (kind, response) in nights {
        let text = format!("{kind} {}", response().status());
        api.responses(|_| true, response);
        let printed = api.ends(3, &out, &ids, &["--refresh", "all"]);
        assert!(printed.contains("12 stale"), "{text}: {printed}");
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
    // Every run requests them again, until one succeeds.
    api.succeeds();
    let before_requests = api.server.seen().len();
    api.ends(0, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before_requests, 12);
    assert!(failures(&out).is_empty());
    assert!(tables(&out) == before);
}

#[test]
fn too_many_failures_give_the_same_exit_code_every_time() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = base.path().join("out");
    // Four of twenty, while a tenth is allowed.
    api.responses(
        |id| matches!(id, "task_3" | "task_7" | "task_8" | "task_20"),
        || status(404),
    );
    for _ in 0..6 {
        let printed = api.ends(1, &out, &ids, &["--max-failures", "10%"]);
        assert!(
            printed.contains("could not publish: 4 of 20 IDs failed (4 not_found), more than --max-failures 10% allows"),
            "{printed}"
        );
        assert!(!out.join("manifest.json").exists());
    }
    // Failures of runs that ended deliberately are requested again, responses are not.
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &["--max-failures", "20%"]);
    assert_eq!(api.server.seen().len() - before, 4);
    // One deleted task among 99 others, with and without a previous export.
    for _ in 0..3 {
        let printed = api.ends(1, &out, &ids, &["--fail-fast"]);
        assert!(printed.contains("--fail-fast stops there"), "{printed}");
        api.ends(3, &out, &ids, &["--max-failures", "4"]);
    }
}

#[test]
fn failed_ids_are_requested_again_by_the_run_after_a_resumed_run() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(9);
    let out = base.path().join("out");
    // If `is_ending`, no request succeeds from the sixth ID on.
    let response = |is_ending: bool| {
        let is_away = AtomicBool::new(false);
        let responses = move |id: &str| {
            let number: u32 = id.strip_prefix("task_").unwrap().parse().unwrap();
            if is_ending && number >= 6 {
                is_away.store(true, Ordering::Relaxed);
            }
            if is_away.load(Ordering::Relaxed) {
                return Some(status(503));
            }
            (number == 2).then(|| status(404))
        };
        *api.responses.lock().unwrap() = Box::new(responses);
    };
    response(true);
    let options = ["--concurrency", "1", "--max-retries", "2"];
    let printed = api.ends(5, &out, &ids, &options);
    assert!(
        printed.contains("the API responds with errors (status 503"),
        "{printed}"
    );
    assert_eq!(last_run(&out)["exit_code"], 5);
    assert_eq!(
        lines(&out.join(".scale-export/last_failures.jsonl")).len(),
        1
    );
    response(false);
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before, 4);
    let before = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - before, 1);
}

#[test]
fn a_list_that_begins_with_failing_ids_exits_with_3_every_time() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = exported(&api, base.path(), &ids);
    // One task that was exported before is deleted, and two respond with a permanent error.
    let responses = |id: &str| match id {
        "task_1" => Some(status(404)),
        "task_2" | "task_3" => Some(status(500)),
        _ => None,
    };
    *api.responses.lock().unwrap() = Box::new(responses);
    api.ends(3, &out, &ids, &["--refresh", "all"]);
    for _ in 0..3 {
        let before = api.server.seen().len();
        api.ends(3, &out, &ids, &[]);
        assert!(api.server.seen().len() - before < 20);
        assert_eq!(manifest(&out)["ids"]["stale"], 3);
    }
}

#[test]
fn tolerated_failures_exit_with_0_and_are_listed() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = base.path().join("out");
    api.responses(|id| id == "task_3", || status(404));
    api.ends(3, &out, &ids, &[]);
    for (tolerated, code) in [("0", 3), ("1", 0), ("4.9%", 3), ("5%", 0)] {
        api.ends(code, &out, &ids, &["--tolerate", tolerated]);
        assert_eq!(failures(&out).len(), 1);
    }
    // Stale tasks count like failed ones.
    api.succeeds();
    api.ends(0, &out, &ids, &[]);
    api.responses(|id| matches!(id, "task_4" | "task_5"), || status(404));
    api.ends(3, &out, &ids, &["--tolerate", "1", "--refresh", "all"]);
    api.ends(0, &out, &ids, &["--tolerate", "2"]);
    let printed = assert_exit(&api.run(&out, &ids, &["--max-failures", "1"]), 1);
    assert!(printed.contains("2 of 20 IDs failed"), "{printed}");
}

#[test]
fn missing_tasks_leave_the_tables_only_with_drop_missing() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(40);
    let out = exported(&api, base.path(), &ids);
    api.responses(|id| id == "task_3", || status(404));
    api.ends(3, &out, &ids, &["--refresh", "all"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
    let printed = api.ends(0, &out, &ids, &["--drop-missing"]);
    assert!(printed.contains("1 deleted"), "{printed}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 39);
    assert_eq!(manifest(&out)["ids"]["failed"], 1);
    let listed = failures(&out);
    assert_eq!(listed[0]["task_id"], "task_3");
    assert_eq!(listed[0].get("exported"), None);
    assert!(reference(base.path(), &out) == published(&out));
    api.ends(0, &out, &ids, &["--drop-missing", "--fail-fast"]);
    api.ends(1, &out, &ids, &["--fail-fast"]);
    // Another failure is not a deletion, and the guard stops too many deletions.
    api.responses(|id| id == "task_3", || status(400));
    api.ends(3, &out, &ids, &["--drop-missing"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
    api.responses(|id| id.len() == 7, || status(410));
    let printed = api.ends(8, &out, &ids, &["--drop-missing", "--refresh", "all"]);
    assert!(printed.contains("31 of the 40 tasks"), "{printed}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 40);
}

#[test]
fn an_unpublished_run_does_not_change_flatten() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    api.responses(|id| id == "task_5", || status(404));
    let out = base.path().join("out");
    api.ends(3, &out, &ids, &[]);
    let before = published(&out);
    api.responses(|_| true, || status(404));
    api.ends(1, &out, &ids, &["--fail-fast", "--refresh", "all"]);
    api.ends(1, &out, &ids, &["--max-failures", "1", "--refresh", "all"]);
    assert!(published(&out) == before);
    assert!(reference(base.path(), &out) == before);
    // A first run that is not published does not count either.
    let first = base.path().join("first");
    api.responses(|id| id == "task_5", || status(404));
    api.ends(1, &first, &ids, &["--max-failures", "0"]);
    let rebuilt = base.path().join("rebuilt");
    let output = program()
        .arg("flatten")
        .arg(&first)
        .arg("--out")
        .arg(&rebuilt)
        .output();
    assert_exit(&output.unwrap(), 0);
    assert_eq!(manifest(&rebuilt)["ids"]["requested"], 11);
    let output = program()
        .arg("flatten")
        .arg(&out)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let printed = assert_exit(&output, 3);
    assert!(printed.contains("nothing changed"), "{printed}");
    assert!(published(&out) == before);
}
