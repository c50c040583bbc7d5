//! Results that are not published, and the messages about them.

use std::fs;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

use super::{Api, assert_exit, exported, last_run, lines, status};
use crate::support::server::{Server, task_response};
use crate::support::{KEY, manifest, program, published, task_ids};

#[test]
fn an_export_in_which_every_id_failed_is_not_published_and_sets_no_options() {
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(5);
    let out = base.path().join("out");
    let wrong = Api::start();
    wrong.responses(|_| true, || status(404));
    for options in [&[][..], &["--max-shrink", "100%"], &["--max-failures", "0"]] {
        let printed = wrong.ends(8, &out, &ids, options);
        assert!(
            printed.contains("error: could not publish: none of 5 IDs was exported (5 not_found)"),
            "{printed}"
        );
        assert!(
            printed.contains("--base-url and the list of IDs"),
            "{printed}"
        );
        assert!(!out.join("manifest.json").exists());
        assert!(!out.join("tasks.parquet").exists());
    }
    assert_eq!(last_run(&out)["exit_code"], 8);
    let time = |name: &str| last_run(&out)[name].as_str().unwrap().to_owned();
    assert!(time("started_at") <= time("finished_at"));
    let known = lines(&out.join(".scale-export/last_failures.jsonl"));
    assert_eq!(known.len(), 5);
    // Another server, key and options: the first run received nothing, so the directory is not bound to them.
    let right = Api::start();
    right.ends(0, &out, &ids, &["--expand", "project"]);
    assert_eq!(manifest(&out)["ids"]["exported"], 5);
    assert_eq!(last_run(&out)["exit_code"], 0);
    // After a response is received, the directory is bound.
    let printed = right.ends(2, &out, &ids, &[]);
    assert!(printed.contains("--expand"), "{printed}");
}

#[test]
fn an_export_does_not_shrink_by_more_than_it_may() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(60);
    let out = exported(&api, base.path(), &ids);
    let before = published(&out);
    // Thirteen of sixty are more than a fifth, twelve are not. Edits of the list count.
    let printed = api.ends(8, &out, &task_ids(47), &[]);
    assert!(
        printed.contains(
            "13 of the 60 tasks in the previous export would disappear, more than --max-shrink 20% allows"
        ),
        "{printed}"
    );
    assert!(
        printed.contains("if the loss is intended, use --max-shrink 13"),
        "{printed}"
    );
    assert!(published(&out) == before);
    // Another list of the same length counts too.
    let others: Vec<String> = (31..=90).map(|number| format!("task_{number}")).collect();
    let printed = api.ends(8, &out, &others, &[]);
    assert!(printed.contains("30 of the 60 tasks"), "{printed}");
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
            let dry = ["--format", format, "--dry-run"];
            if *lost != [".scale-export/journal"] {
                assert_exit(&api.run(&out, &task_ids(10), &dry), 8);
            }
            let output = api.run(&out, &task_ids(10), &["--format", format]);
            let printed = assert_exit(&output, 8);
            assert!(
                printed.contains("30 of the 40 tasks"),
                "{lost:?}: {printed}"
            );
            assert!(fs::read(out.join(format!("tasks.{format}"))).unwrap() == tasks);
        }
    }
}

#[test]
fn a_quiet_run_prints_one_line_unless_it_exits_with_0() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    let out = base.path().join("out");
    assert_eq!(api.ends(0, &out, &ids, &["-q"]), "");
    api.responses(|id| id == "task_3", || status(404));
    let printed = api.ends(3, &out, &ids, &["-q", "--refresh", "all"]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(
        printed.starts_with("Exported 12 of 12 tasks to "),
        "{printed}"
    );
    assert!(printed.contains("; 1 stale"), "{printed}");
    api.responses(|_| true, || status(404));
    let printed = api.ends(1, &out, &ids, &["-q", "--refresh", "all", "--fail-fast"]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(printed.starts_with("error: could not "), "{printed}");
    let fresh = base.path().join("fresh");
    let printed = api.ends(8, &fresh, &ids, &["-q"]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(printed.starts_with("error: could not publish"), "{printed}");
}

#[test]
fn a_lost_manifest_does_not_disable_the_guard_where_tasks_are_not_exported() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let out = base.path().join("out");
    let options = ["--tables", "messages"];
    for lost in [0, 1] {
        let _ = fs::remove_dir_all(&out);
        api.ends(0, &out, &task_ids(40), &options);
        if lost == 0 {
            fs::write(out.join("manifest.json"), "{").unwrap();
        } else {
            fs::remove_file(out.join("manifest.json")).unwrap();
        }
        let printed = assert_exit(&api.run(&out, &task_ids(10), &options), 8);
        assert!(printed.contains("30 of the 40 tasks"), "{printed}");
        api.ends(0, &out, &task_ids(40), &options);
    }
}

#[test]
fn an_empty_list_response_replaces_no_export() {
    let base = tempfile::tempdir().unwrap();
    let listed = Arc::new(Mutex::new(3));
    let shared = Arc::clone(&listed);
    let server = Server::start(move |request| {
        if request.uri().path() == "/v2/task" {
            return task_response(request);
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
    // A first run has no export to lose.
    *listed.lock().unwrap() = 0;
    let printed = run(0, &[]);
    assert!(printed.contains("warning: "), "{printed}");
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 0);
    // Later runs treat it as any other export.
    let printed = run(0, &[]);
    assert!(!printed.contains("journal"), "{printed}");
    let copy = base.path().join("copy");
    for to in [&copy, &out] {
        let output = program()
            .arg("flatten")
            .arg(&out)
            .arg("--out")
            .arg(to)
            .output();
        assert_exit(&output.unwrap(), 0);
    }
    assert!(published(&copy) == published(&out));
    *listed.lock().unwrap() = 3;
    run(0, &[]);
    *listed.lock().unwrap() = 0;
    // The list is read in each run: a refused list does not bind later runs.
    run(8, &[]);
    *listed.lock().unwrap() = 4;
    run(0, &[]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 4);
    *listed.lock().unwrap() = 3;
    run(0, &[]);
    let before = published(&out);
    // A run with nothing to do made a request, so its counters are written.
    let made = fs::read(out.join("manifest.json")).unwrap();
    run(0, &[]);
    assert!(fs::read(out.join("manifest.json")).unwrap() != made);
    assert!(published(&out) == before);
    *listed.lock().unwrap() = 0;
    let dry = run(8, &["--dry-run"]);
    assert!(dry.contains("there are no tasks to export"), "{dry}");
    let printed = run(8, &["--status", "complete"]);
    assert!(
        printed.contains("`complete` of --status is not a known value: did you mean `completed`?"),
        "{printed}"
    );
    assert!(
        printed.contains("the 3 tasks in the previous export would disappear"),
        "{printed}"
    );
    assert!(printed.contains("--max-shrink 100%"), "{printed}");
    assert!(published(&out) == before);
    run(0, &["--max-shrink", "100%"]);
    assert_eq!(manifest(&out)["tables"]["tasks"]["rows"], 0);
}

#[test]
fn an_empty_time_range_is_refused() {
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
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), printed)
    };
    for (after, before) in [
        ("2024-02-01", "2024-01-31"),
        ("2024-02-01", "2024-02-01"),
        ("2024-02-01T00:30:00Z", "2024-02-01T01:00:00+02:00"),
    ] {
        let (code, printed) = refused(after, before);
        assert_eq!(code, Some(2), "{printed}");
        assert!(
            printed.contains("is not before SCALE_EXPORT_COMPLETED_BEFORE ("),
            "{printed}"
        );
    }
    assert_ne!(refused("2024-02-01", "2024-02-02").0, Some(2));
}
