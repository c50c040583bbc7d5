//! List endpoints instead of single requests: how many requests they need, and that they change no byte.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::api::{Api, error};
use super::{pages, tasks};
use crate::support::{manifest, published};

/// Exports some IDs. Returns the name of the directory, stderr and the requests.
fn run(api: &Api, base: &Path, ids: &[String], options: &[&str]) -> (String, Vec<String>) {
    let list = base.join("ids.txt");
    fs::write(&list, ids.join("\n")).unwrap();
    api.requests();
    let options = [&["--ids", list.to_str().unwrap()], options].concat();
    let (_, printed) = api.export(base, "out", &options, 0);
    (printed, api.requests())
}

/// Checks that `--plan ids` writes the same bytes in another directory.
fn assert_same_bytes(api: &Api, base: &Path) {
    let list = base.join("ids.txt");
    let options = ["--ids", list.to_str().unwrap(), "--plan", "ids"];
    let (singly, _) = api.export(base, "singly", &options, 0);
    assert!(published(&base.join("out")) == published(&singly));
}

/// Shuffles IDs into an order that no list has.
fn shuffled(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_by_key(|id| {
        id.bytes().fold(7_u32, |hash, byte| {
            hash.wrapping_mul(16_777_619) ^ u32::from(byte)
        })
    });
    ids
}

#[test]
fn whole_batches_are_fetched_from_list_endpoints() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[400, 330, 270], |_, _| None);
    let all = [tasks(1, 1..=400), tasks(2, 1..=330), tasks(3, 1..=270)].concat();
    let ids = shuffled(all);
    let (printed, requests) = run(&api, base.path(), &ids, &[]);
    assert!(requests.len() <= 35, "{}", requests.len());
    assert_eq!(pages(&requests), 11);
    assert!(
        printed.contains("pages of list endpoints, the rest from single requests"),
        "{printed}"
    );
    assert_eq!(
        manifest(&base.path().join("out"))["run"]["requests"],
        requests.len()
    );
    assert_same_bytes(&api, base.path());
}

#[test]
fn tasks_missing_from_lists_are_requested_singly() {
    let base = tempfile::tempdir().unwrap();
    // The list of the second batch omits every third task.
    let api = Api::new(&[200, 100], |data, query| {
        (query.get("batch_id") == Some("b2")).then(|| {
            let shown = tasks(2, (1..=100).filter(|number| number % 3 > 0));
            let shown = shown.iter().map(|id| data.task(id).unwrap());
            super::page_response(shown, None)
        })
    });
    let ids = shuffled([tasks(1, 1..=200), tasks(2, 1..=100)].concat());
    let (_, requests) = run(&api, base.path(), &ids, &[]);
    assert!((36..=60).contains(&requests.len()), "{}", requests.len());
    assert_same_bytes(&api, base.path());
}

#[test]
fn scattered_ids_cost_few_requests_more_than_single_requests() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[4_000; 5], |_, _| None);
    let every = |batch| tasks(batch, (1..=4_000).filter(|number| number % 40 == 7));
    let ids: Vec<String> = shuffled((1..=5).flat_map(every).collect());
    assert_eq!(ids.len(), 500);
    let (_, requests) = run(&api, base.path(), &ids, &[]);
    assert!(requests.len() <= 525, "{}", requests.len());
    assert!(pages(&requests) > 0);
    assert_same_bytes(&api, base.path());
    // `--plan lists` uses lists nevertheless.
    fs::remove_dir_all(base.path().join("out")).unwrap();
    let (_, requests) = run(&api, base.path(), &ids, &["--plan", "lists"]);
    assert!(pages(&requests) >= 200, "{}", pages(&requests));
    assert_same_bytes(&api, base.path());
}

#[test]
fn lists_that_give_other_json_are_not_used() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[200, 200], |data, query| {
        (query.path == "/v2/tasks").then(|| {
            let batch = &data.batches[query.get("batch_id").unwrap()];
            let page = batch.iter().skip(query.offset()).take(query.limit());
            let without = |id: &String| -> Value {
                let mut task = data.task(id).unwrap();
                task.as_object_mut().unwrap().remove("metadata");
                task
            };
            super::page_response(page.map(without), Some("100"))
        })
    });
    let ids = shuffled([tasks(1, 1..=200), tasks(2, 1..=200)].concat());
    let (printed, requests) = run(&api, base.path(), &ids, &[]);
    assert!(
        printed.contains(
            "the list endpoint returns other JSON than GET /v2/task; fetching every task"
        ),
        "{printed}"
    );
    assert_eq!(printed.matches("returns other JSON").count(), 1);
    assert!(
        pages(&requests) <= 2 && requests.len() <= 402,
        "{}",
        requests.len()
    );
    assert_same_bytes(&api, base.path());
}

#[test]
fn without_permission_to_list_tasks_are_requested_singly() {
    for status in [401, 402, 403, 404, 400] {
        let base = tempfile::tempdir().unwrap();
        let api = Api::new(&[200], move |_, query| {
            (query.path == "/v2/tasks").then(|| error(status, "not for you"))
        });
        let (printed, requests) = run(&api, base.path(), &tasks(1, 1..=200), &["-v"]);
        assert!(printed.contains("could not list batch `b1`: "), "{printed}");
        assert!(requests.len() <= 202, "{}", requests.len());
    }
}

#[test]
fn a_resumed_run_uses_lists_for_the_rest() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[300], |_, _| None);
    run(&api, base.path(), &tasks(1, 1..=100), &[]);
    let (printed, requests) = run(&api, base.path(), &tasks(1, 1..=300), &[]);
    assert!(printed.contains("100 of 300 tasks kept"), "{printed}");
    assert!(requests.len() <= 8, "{}", requests.len());
    assert_same_bytes(&api, base.path());
    // A few tasks are not worth listing.
    api.data().pending = tasks(1, 1..=20);
    fs::remove_dir_all(base.path().join("out")).unwrap();
    run(&api, base.path(), &tasks(1, 1..=300), &[]);
    let (_, requests) = run(&api, base.path(), &tasks(1, 1..=300), &[]);
    assert_eq!((requests.len(), pages(&requests)), (20, 0));
}

#[test]
fn a_dry_run_prints_the_requests_and_writes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[700, 300], |_, _| None);
    let ids = shuffled([tasks(1, 1..=700), tasks(2, 1..=300)].concat());
    let dry = |options: &[&str]| -> Value {
        let list = base.path().join("ids.txt");
        fs::write(&list, ids.join("\n")).unwrap();
        let mut command = api.command(&base.path().join("out"));
        command.args(["--dry-run", "--summary", "-"]).args(options);
        if !options.contains(&"--batch") {
            command.arg("--ids").arg(&list);
        }
        let output = command.output().unwrap();
        super::api::exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let plan = dry(&["--rate", "5"]);
    let expected = plan["requests"].as_u64().unwrap();
    assert!((15..=35).contains(&expected), "{plan}");
    assert_eq!(plan["asked"], api.requests().len());
    assert!(plan["asked"].as_u64().unwrap() <= 12, "{plan}");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let seconds = expected as f64 / 5.0;
    assert_eq!(plan["seconds"], seconds);
    let size = api.data().task("task_1_500").unwrap().to_string().len();
    let bytes = plan["bytes"].as_f64().unwrap() / 1_000.0;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let difference = (bytes - size as f64).abs();
    assert!(difference < 3.0, "{plan}");
    assert!(!base.path().join("out").exists());

    // In a plan with single requests, one request finds out whether the key is accepted, and how large a task is.
    let plan = dry(&["--plan", "ids"]);
    assert_eq!(
        (&plan["requests"], &plan["asked"]),
        (&1_000.into(), &1.into())
    );
    assert!(plan["bytes"].as_f64().unwrap() > 1_000.0, "{plan}");
    assert_eq!(api.requests().len(), 1);
    let plan = dry(&["--batch", "b2"]);
    assert_eq!(
        (&plan["requests"], &plan["is_least"]),
        (&3.into(), &true.into())
    );
    assert_eq!(
        api.requests(),
        [
            "/v2/tasks?batch_id=b2&limit=100",
            "/v2/task?task_id=task_2_100"
        ]
    );
    // Kept tasks are not fetched again.
    let (_, requests) = run(&api, base.path(), &ids, &[]);
    assert!(
        requests.len().abs_diff(usize::try_from(expected).unwrap()) <= 8,
        "{}",
        requests.len()
    );
    let plan = dry(&[]);
    assert_eq!(
        (&plan["requests"], &plan["held"], &plan["asked"]),
        (&0.into(), &1_000.into(), &0.into())
    );
}
