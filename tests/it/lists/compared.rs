//! Tasks from list endpoints are compared with single responses before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::api::{Api, Data, Query, error, exit, page_response, response};
use super::{ids, one_by_one, pages, tasks};
use crate::support::server::MockResponse;
use crate::support::{manifest, published, raw_responses};

/// A page of a batch with changed tasks.
fn page_of(data: &Data, query: &Query, change: impl Fn(&str, &mut Value)) -> MockResponse {
    let batch = &data.batches[query.get("batch_id").unwrap()];
    let page = batch.iter().skip(query.offset()).take(query.limit());
    let page = page.map(|id| {
        let mut task = data.task(id).unwrap();
        change(id, &mut task);
        task
    });
    let end = query.offset() + query.limit();
    let next = (end < batch.len()).then(|| end.to_string());
    page_response(page, next.as_deref())
}

fn remove(task: &mut Value, member: &str) {
    task.as_object_mut().unwrap().remove(member);
}

fn singles(requests: &[String]) -> usize {
    requests.len() - pages(requests)
}

const WARNING: &str = "the list endpoint returns other JSON than GET /v2/task; fetching every task";

/// Tasks without `threads` would be exported with 0 messages and exit code 0.
#[test]
fn a_list_that_omits_threads_is_not_used() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[150, 40], |data, query| {
        let is_page = query.path == "/v2/tasks";
        is_page.then(|| page_of(data, query, |_, task| remove(task, "threads")))
    });
    let lists = ["--batch", "b1", "--batch", "b2"];
    let (out, printed) = api.export(base.path(), "out", &lists, 0);
    assert_eq!(printed.matches(WARNING).count(), 1, "{printed}");
    let requests = api.requests();
    assert_eq!((pages(&requests), singles(&requests)), (3, 190));
    assert_eq!(manifest(&out)["run"]["requests"], 193);
    assert_eq!(ids(&out), [tasks(1, 1..=150), tasks(2, 1..=40)].concat());
    assert!(published(&out) == one_by_one(&api, base.path(), &out));

    // All tasks are kept, so none needs a comparison.
    api.requests();
    let (_, printed) = api.export(base.path(), "out", &lists, 0);
    assert!(
        printed.starts_with("Nothing to do: all 190 tasks"),
        "{printed}"
    );
    assert_eq!(singles(&api.requests()), 0);
}

/// The first tasks are complete. Those with another status, later ones, and those with other members are not.
#[test]
fn a_list_that_omits_members_of_some_tasks_is_not_used() {
    let is_in = |id: &str, from: usize| {
        let number: usize = id.rsplit('_').next().unwrap().parse().unwrap();
        number >= from
    };
    for first_bad in [2, 90, 120] {
        let base = tempfile::tempdir().unwrap();
        let api = Api::new(&[150], move |data, query| {
            let is_page = query.path == "/v2/tasks";
            let change = |id: &str, task: &mut Value| {
                if is_in(id, first_bad) {
                    remove(task, "metadata");
                }
            };
            is_page.then(|| page_of(data, query, change))
        });
        let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
        assert_eq!(
            printed.matches(WARNING).count(),
            1,
            "{first_bad}: {printed}"
        );
        assert!(published(&out) == one_by_one(&api, base.path(), &out));
        for (task_id, body) in raw_responses(&out) {
            let task: Value = serde_json::from_slice(&body).unwrap();
            assert!(task.get("metadata").is_some(), "{task_id}");
        }
    }
}

/// The list endpoint ignores `--expand` and `--opts`.
#[test]
fn a_list_that_ignores_expand_or_opts_is_not_used() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[30], |data, query| {
        let task = data.task(query.get("task_id")?);
        (query.get("expand") == Some("batch")).then(|| {
            let mut task = task.unwrap();
            task["batch"] = json!({"id": task["batch"], "name": "Week 7"});
            response(200, &task)
        })
    });
    let options = ["--batch", "b1", "--expand", "batch"];
    let (_, printed) = api.export(base.path(), "out", &options, 0);
    assert!(printed.contains(WARNING), "{printed}");
    // The tables stand side by side in lines that are indented.
    let tables = printed.lines().filter(|line| line.starts_with("  "));
    let mut words = tables.flat_map(str::split_whitespace);
    assert!(words.any(|word| word == "batches"), "{printed}");
    assert_eq!(words.next(), Some("1"), "{printed}");
}

#[test]
fn a_failed_single_request_does_not_reject_the_list() {
    let base = tempfile::tempdir().unwrap();
    // The largest tasks cannot be fetched as single tasks.
    let api = Api::new(&[150], |_, query| {
        let is_gone = ["task_1_100", "task_1_99"].contains(&query.get("task_id")?);
        is_gone.then(|| error(404, "task not found"))
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    assert!(!printed.contains("warning"), "{printed}");
    assert_eq!(singles(&api.requests()), 3);
    assert_eq!(raw_responses(&out).len(), 150);
}

/// Deleted tasks appear only in the list.
#[test]
fn tasks_that_only_the_list_has_are_exported_with_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let deleted = |id: &str| id.ends_with('7');
    let api = Api::new(&[150], move |data, query| match query.get("task_id") {
        Some(id) => deleted(id).then(|| error(404, "task not found")),
        None => Some(page_of(data, query, |id, task| {
            if deleted(id) {
                task["status"] = "deleted".into();
            }
        })),
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    let warning =
        "could not compare 15 tasks with single requests; exporting what the list returned";
    assert!(printed.contains(warning), "{printed}");
    assert_eq!(raw_responses(&out).len(), 150);
    // Three of them, and one of the others.
    assert_eq!(singles(&api.requests()), 4);
}

/// If no single response equals the task of the list, the list is not used.
#[test]
fn a_list_without_a_comparable_task_is_not_used() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[20], |_, query| {
        query.get("task_id").map(|_| error(404, "task not found"))
    });
    let (out, _) = api.export(base.path(), "out", &["--batch", "b1"], 8);
    assert_eq!(raw_responses(&out).len(), 0);
}

#[test]
fn a_task_that_changes_during_the_comparison_is_not_a_difference() {
    let base = tempfile::tempdir().unwrap();
    let singles_so_far = AtomicUsize::new(0);
    let api = Api::new(&[30], move |data, query| {
        let id = query.get("task_id")?;
        // The first task that is fetched alone was completed in between.
        (singles_so_far.fetch_add(1, Ordering::Relaxed) == 0).then(|| {
            data.pending.retain(|pending| pending != id);
            response(200, &data.task(id).unwrap())
        })
    });
    api.data().pending = tasks(1, 1..=30);
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    assert!(!printed.contains("warning"), "{printed}");
    // Its new state is exported.
    let statuses: Vec<bool> = raw_responses(&out)
        .values()
        .map(|body| body.windows(9).any(|word| word == b"completed"))
        .collect();
    assert_eq!(
        statuses
            .iter()
            .filter(|is_completed| **is_completed)
            .count(),
        1
    );

    // Two tasks that differ are not a coincidence.
    let api = Api::new(&[30], |data, query| {
        let is_page = query.path == "/v2/tasks";
        is_page.then(|| page_of(data, query, |_, task| remove(task, "metadata")))
    });
    api.data().pending = tasks(1, 1..=30);
    let (out, printed) = api.export(base.path(), "pending", &["--batch", "b1"], 0);
    assert_eq!(printed.matches(WARNING).count(), 1, "{printed}");
    assert!(published(&out) == one_by_one(&api, base.path(), &out));
}

#[test]
fn a_run_interrupted_after_a_difference_resumes_with_single_requests() {
    let base = tempfile::tempdir().unwrap();
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let api = Api::new(&[150], move |data, query| match query.get("task_id") {
        // The API fails from the sixtieth single task on.
        Some(_) => {
            let singles = data
                .requests
                .iter()
                .filter(|requests| requests.starts_with("/v2/task?"));
            let fails = away.load(Ordering::Relaxed) && singles.count() > 60;
            fails.then(|| error(503, "away"))
        }
        None => Some(page_of(data, query, |_, task| remove(task, "threads"))),
    });
    let (out, _) = api.export(base.path(), "out", &["--batch", "b1"], 5);
    assert!(out.join(".scale-export/listing").exists());
    is_away.store(false, Ordering::Relaxed);
    api.requests();
    let (_, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    let requests = api.requests();
    assert_eq!(pages(&requests), 0, "{requests:?}");
    assert!(
        (90..=120).contains(&requests.len()),
        "{}: {printed}",
        requests.len()
    );
    assert!(published(&out) == one_by_one(&api, base.path(), &out));
}

#[test]
fn a_dry_run_counts_the_single_requests_that_a_difference_costs() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[80], |data, query| {
        let is_page = query.path == "/v2/tasks";
        is_page.then(|| page_of(data, query, |_, task| remove(task, "threads")))
    });
    let mut command = api.command(&base.path().join("out"));
    let command = command.args(["--batch", "b1", "--dry-run", "--summary", "-"]);
    let output = command.output().unwrap();
    let printed = exit(&output, 0);
    assert!(printed.contains(WARNING), "{printed}");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = ["requests", "single", "pages"].map(|name| plan[name].as_u64().unwrap());
    assert_eq!(figures, [81, 80, 1]);
}
