//! List endpoints: as the source of tasks, and instead of single requests.

mod api;
mod compared;
mod ids;
mod losses;
mod plan;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use scale_export::journal::reader::JournalReader;
use serde_json::Value;

use crate::support::{manifest, published, raw_responses};
use api::{Api, error, exit, page_response, response};

/// The IDs of an export in their order.
fn ids(out: &Path) -> Vec<String> {
    let list = fs::read_to_string(out.join(".scale-export/ids.txt")).unwrap();
    list.lines().map(str::to_owned).collect()
}

/// The IDs `task_<batch>_<number>`.
fn tasks(batch: usize, numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let numbers = numbers.into_iter();
    numbers
        .map(|number| format!("task_{batch}_{number}"))
        .collect()
}

/// Exports the same tasks in the same order with single requests.
fn one_by_one(api: &Api, base: &Path, out: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let list = out.join(".scale-export/ids.txt");
    let options = ["--plan", "ids", "--ids", list.to_str().unwrap()];
    let (singly, _) = api.export(base, "one_by_one", &options, 0);
    published(&singly)
}

fn pages(requests: &[String]) -> usize {
    requests
        .iter()
        .filter(|requests| requests.starts_with("/v2/tasks?"))
        .count()
}

#[test]
fn a_batch_gives_the_same_tables_as_single_requests() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[250, 30], |_, _| None);
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1", "--summary", "-"], 0);
    // The first task of the list is also requested alone and compared.
    assert_eq!(
        api.requests(),
        [
            "/v2/tasks?batch_id=b1&limit=100",
            "/v2/task?task_id=task_1_100",
            "/v2/tasks?batch_id=b1&limit=100&next_token=100",
            "/v2/tasks?batch_id=b1&limit=100&next_token=200",
        ]
    );
    assert!(printed.contains("Exported 250 of 250 tasks"), "{printed}");
    assert_eq!(ids(&out), tasks(1, 1..=250));
    assert_eq!(raw_responses(&out).len(), 250);
    assert_eq!(manifest(&out)["options"]["lists"][0], "batch b1");
    assert_eq!(manifest(&out)["run"]["requests"], 4);
    assert!(!out.join(".scale-export/listing").exists());
    assert!(published(&out) == one_by_one(&api, base.path(), &out));

    // Repeats the export without changes.
    api.requests();
    let (_, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    assert!(
        printed.starts_with("Nothing to do: all 250 tasks"),
        "{printed}"
    );
    assert_eq!(api.requests().len(), 3);
    assert!(!out.join(".scale-export/listing").exists());
    // A new task arrives with the list.
    let new = "task_1_999".to_owned();
    api.data().batches.get_mut("b1").unwrap().push(new.clone());
    let (_, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    assert!(printed.contains("Exported 251 of 251 tasks"), "{printed}");
    assert!(
        printed.contains("250 tasks kept from earlier runs"),
        "{printed}"
    );
    assert_eq!(api.requests().len(), 4);
    assert_eq!(ids(&out).last(), Some(&new));
}

#[test]
fn several_lists_are_exported_in_the_order_of_their_names() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[120, 30, 5], |_, _| None);
    // A task of two lists keeps its first position.
    api.data()
        .batches
        .get_mut("b3")
        .unwrap()
        .push("task_2_7".into());
    let batches = ["--batch", "b3", "--batch", "Name of b2", "--batch", "b1"];
    let (out, _) = api.export(base.path(), "out", &batches, 0);
    let mut expected = tasks(3, 1..=5);
    expected.extend(tasks(2, [7]));
    expected.extend(tasks(2, (1..=30).filter(|number| *number != 7)));
    expected.extend(tasks(1, 1..=120));
    assert_eq!(ids(&out), expected);
    assert_eq!(api.pages().len(), 5);
    assert!(published(&out) == one_by_one(&api, base.path(), &out));

    let (_, printed) = api.export(base.path(), "none", &["--batch", "b9"], 2);
    assert!(printed.starts_with("error: could not list batch `b9`: the API did not find it (status 404: batch not found)\nhint: "), "{printed}");
}

#[test]
fn filters_are_sent_to_the_api() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[10], |_, _| None);
    api.data().pending = tasks(1, 4..=10);
    let filters = ["--status", "completed", "--completed-after", "2024-01-31"];
    let (out, _) = api.export(
        base.path(),
        "out",
        &[&["--batch", "b1"], &filters[..]].concat(),
        0,
    );
    assert_eq!(ids(&out), tasks(1, 1..=3));
    let filter = "&status=completed&completed_after=2024-01-31T00%3A00%3A00Z";
    assert_eq!(
        api.pages(),
        [format!("/v2/tasks?batch_id=b1&limit=100{filter}")]
    );
    let lists = manifest(&out)["options"]["lists"][0].clone();
    assert_eq!(
        lists,
        "batch b1, status completed, completed_after 2024-01-31T00:00:00Z"
    );
}

#[test]
fn contradictory_list_options_are_refused_before_any_request() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[1], |_, _| None);
    for (options, reason) in [
        (
            vec!["--batch", "b1", "--id", "x"],
            "--batch cannot be used with --id",
        ),
        (
            vec!["--batch", "b1", "--project", "p"],
            "--project cannot be used with --batch",
        ),
        (
            vec!["--status", "completed"],
            "--status needs --project or --batch",
        ),
        (
            vec!["--delivery", "d", "--status", "x"],
            "--delivery cannot be used with --status",
        ),
        (vec!["--batch", " "], "--batch is empty"),
        (
            vec!["--batch", "b1", "--completed-after", "soon"],
            "expected a time like",
        ),
    ] {
        let (_, printed) = api.export(base.path(), "out", &options, 2);
        assert!(printed.contains(reason), "{printed}");
    }
    assert!(api.requests().is_empty());
    assert!(!base.path().join("out").exists());
    // The command line has precedence over the environment.
    let mut command = api.command(&base.path().join("out"));
    let command = command
        .env("SCALE_EXPORT_IDS", "no/such/file")
        .args(["--batch", "b1"]);
    api::exit(&command.output().unwrap(), 0);
    assert_eq!(api.pages(), ["/v2/tasks?batch_id=b1&limit=100"]);
}

#[test]
fn a_repeated_page_token_ends_the_list_with_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[250], |data, query| {
        (query.offset() == 200).then(|| {
            let page = tasks(1, 201..=250);
            let page = page.iter().map(|id| data.task(id).unwrap());
            page_response(page, Some("100"))
        })
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 3);
    assert_eq!(ids(&out), tasks(1, 1..=250));
    assert!(
        printed.contains("warning: batch `b1` is irregular: 1 loop\n"),
        "{printed}"
    );
    assert!(printed.contains("the list may be incomplete"), "{printed}");
    assert_eq!(api.pages().len(), 3);
}

/// An API that returns the same page with new tokens must not be read forever. Without a limit, that would be 20,000
/// requests in 15 s.
#[test]
fn a_list_of_known_tasks_under_new_tokens_ends() {
    const MOST_PAGES: usize = 1_100;
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[3], |data, query| {
        let page = tasks(1, 1..=3);
        let page = page.iter().map(|id| data.task(id).unwrap());
        let next = (query.offset() + 1).to_string();
        (query.path == "/v2/tasks").then(|| page_response(page, Some(&next)))
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 3);
    assert_eq!(ids(&out), tasks(1, 1..=3));
    assert!(printed.contains("the list may be incomplete"), "{printed}");
    assert!(api.requests().len() <= MOST_PAGES);
}

#[test]
fn an_empty_page_does_not_end_a_list() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[250], |_, query| match query.offset() {
        100 => Some(page_response([], Some("1000100"))),
        _ => None,
    });
    let api_of_the_rest = Api::new(&[250], |data, query| match query.offset() {
        100 => Some(page_response([], Some("1000100"))),
        1_000_100 => {
            let page = tasks(1, 101..=200);
            let page = page.iter().map(|id| data.task(id).unwrap());
            Some(page_response(page, Some("200")))
        }
        _ => None,
    });
    let (out, printed) = api_of_the_rest.export(base.path(), "out", &["--batch", "b1"], 0);
    assert_eq!(ids(&out), tasks(1, 1..=250));
    assert!(printed.contains("is irregular: 1 empty page"), "{printed}");
    // The responses after the last page are not pages.
    let (out, _) = api.export(base.path(), "cut", &["--batch", "b1"], 0);
    assert_eq!(ids(&out), tasks(1, 1..=100));
}

#[test]
fn tasks_that_move_between_pages_are_exported_once() {
    let base = tempfile::tempdir().unwrap();
    let moves = AtomicUsize::new(0);
    let api = Api::new(&[250], move |data, query| {
        // While the list is read, one task moves to the front, and one to the end.
        if query.path == "/v2/tasks"
            && query.offset() == 100
            && moves.fetch_add(1, Ordering::Relaxed) == 0
        {
            let batch = data.batches.get_mut("b1").unwrap();
            let late = batch.remove(150);
            batch.insert(0, late);
            let early = batch.remove(5);
            batch.push(early);
        }
        None
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    let mut found = ids(&out);
    assert_eq!(found.len(), 250);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 250);
    assert!(
        printed.contains("1 repeated task, 1 task that appeared late"),
        "{printed}"
    );
    assert!(published(&out) == one_by_one(&api, base.path(), &out));
}

#[test]
fn a_list_that_changes_is_read_twice() {
    let base = tempfile::tempdir().unwrap();
    let has_moved = AtomicBool::new(false);
    let api = Api::new(&[150], move |data, query| {
        // A task is removed from the first page and added again, so no task appears twice and one is skipped.
        if query.path == "/v2/tasks"
            && query.offset() == 100
            && !has_moved.swap(true, Ordering::Relaxed)
        {
            let batch = data.batches.get_mut("b1").unwrap();
            let moved = batch.remove(120);
            batch.insert(3, moved);
            batch.remove(10);
        }
        None
    });
    api.data().pending = tasks(1, [150]);
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    let mut found = ids(&out);
    found.sort();
    assert_eq!(found.len(), 150);
    assert!(printed.contains("1 task that appeared late"), "{printed}");
    assert_eq!(pages(&api.requests()), 6);
}

#[test]
fn an_expired_token_restarts_the_list() {
    let base = tempfile::tempdir().unwrap();
    let has_expired = AtomicBool::new(false);
    let api = Api::new(&[350], move |_, query| {
        let expires = query.offset() == 200 && !has_expired.swap(true, Ordering::Relaxed);
        expires.then(|| error(400, "next_token has expired"))
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1", "-v"], 0);
    assert_eq!(ids(&out), tasks(1, 1..=350));
    assert!(
        printed.contains("is irregular: 1 expired token\n"),
        "{printed}"
    );
    assert!(
        printed.contains("page 3 of batch `b1`: status 400: next_token has expired"),
        "{printed}"
    );
    // Final tasks that appear twice are kept once.
    assert_eq!(api.pages().len(), 7);
    let mut kept = 0;
    JournalReader::open(&out.join(".scale-export/journal"), None, |_| {
        kept += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(kept, 350);
    one_by_one(&api, base.path(), &out);

    let never = Api::new(&[350], |_, query| {
        (query.offset() == 200).then(|| error(410, "gone"))
    });
    let (out, printed) = never.export(base.path(), "never", &["--batch", "b1"], 5);
    assert!(
        printed.contains("could not list batch `b1`: could not fetch page 3: status 410: gone"),
        "{printed}"
    );
    assert!(!out.join("manifest.json").exists());
}

#[test]
fn an_interrupted_list_resumes_at_its_last_page() {
    let base = tempfile::tempdir().unwrap();
    let is_away = std::sync::Arc::new(AtomicBool::new(true));
    let away = std::sync::Arc::clone(&is_away);
    let api = Api::new(&[450, 20], move |_, query| {
        let fails = query.offset() == 300 && away.load(Ordering::Relaxed);
        fails.then(|| error(503, "away"))
    });
    let lists = ["--batch", "Name of b1", "--batch", "b2"];
    let (out, printed) = api.export(base.path(), "out", &lists, 5);
    // Either error may come first: that the API does not respond, or that this page failed.
    assert!(
        printed.contains("no request succeeded for") || printed.contains("could not fetch page 4"),
        "{printed}"
    );
    assert!(out.join(".scale-export/listing").exists());
    is_away.store(false, Ordering::Relaxed);
    api.requests();
    let (_, printed) = api.export(base.path(), "out", &[&lists[..], &["-v"]].concat(), 0);
    let token =
        |offset| format!("/v2/tasks?batch_name=Name%20of%20b1&limit=100&next_token={offset}");
    assert_eq!(api.pages(), [token(300), token(400)]);
    assert!(
        printed.contains("an earlier run listed 320 tasks"),
        "{printed}"
    );
    assert_eq!(ids(&out), [tasks(1, 1..=450), tasks(2, 1..=20)].concat());
    assert!(published(&out) == one_by_one(&api, base.path(), &out));

    // Other lists, and `--refresh all`, start from the first page.
    is_away.store(true, Ordering::Relaxed);
    api.export(base.path(), "other", &lists, 5);
    api.requests();
    let (other, _) = api.export(base.path(), "other", &["--batch", "b2"], 0);
    assert_eq!(api.pages(), ["/v2/tasks?batch_id=b2&limit=100"]);
    assert_eq!(ids(&other), tasks(2, 1..=20));
    is_away.store(true, Ordering::Relaxed);
    let all = [&lists[..], &["--refresh", "all"]].concat();
    api.export(base.path(), "out", &all, 5);
    is_away.store(false, Ordering::Relaxed);
    api.requests();
    api.export(base.path(), "out", &all, 0);
    assert_eq!(api.pages(), [token(300), token(400)]);
}

#[test]
fn an_interrupted_list_reports_the_saved_tasks() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[450], |_, query| {
        (query.offset() == 300).then(|| error(503, "away"))
    });
    let out = base.path().join("out");
    let mut command = api.command(&out);
    command.args(["--batch", "b1"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let listing = out.join(".scale-export/listing");
    // The first line of the file, and three pages.
    while fs::read_to_string(&listing)
        .unwrap_or_default()
        .lines()
        .count()
        < 4
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before the kill"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let printed = exit(&child.wait_with_output().unwrap(), 130);
    assert!(
        printed.contains(
            "interrupted: 300 tasks listed and saved; no tables were written\nhint: run the same command"
        ),
        "{printed}"
    );
    assert_eq!(raw_responses(&out).len(), 300);
}

#[test]
fn a_damaged_list_checkpoint_restarts_the_list() {
    let base = tempfile::tempdir().unwrap();
    let is_away = std::sync::Arc::new(AtomicBool::new(true));
    let away = std::sync::Arc::clone(&is_away);
    let api = Api::new(&[250], move |_, query| {
        let fails = query.offset() == 200 && away.load(Ordering::Relaxed);
        fails.then(|| error(503, "away"))
    });
    let (out, _) = api.export(base.path(), "out", &["--batch", "b1"], 5);
    let file = out.join(".scale-export/listing");
    let whole = fs::read_to_string(&file).unwrap();
    is_away.store(false, Ordering::Relaxed);
    let second_line = whole.split_inclusive('\n').nth(1).unwrap().len();
    let last_line = whole.len() - whole.trim_end().rfind('\n').unwrap() - 1;
    assert!(second_line > 0 && last_line > 10);
    for (content, pages) in [
        // A torn line repeats its page. A file without a valid line repeats all pages.
        (whole[..whole.len() - 5].to_owned(), 2),
        (format!("{whole}{{\"list\":9"), 1),
        ("garbage".to_owned(), 3),
        (String::new(), 3),
    ] {
        fs::remove_dir_all(base.path().join("copy")).ok();
        let copy = base.path().join("copy");
        fs::create_dir_all(copy.join(".scale-export")).unwrap();
        let journal = ".scale-export/journal";
        fs::copy(out.join(journal), copy.join(journal)).unwrap();
        fs::write(copy.join(".scale-export/listing"), &content).unwrap();
        api.requests();
        api.export(base.path(), "copy", &["--batch", "b1"], 0);
        assert_eq!(ids(&copy), tasks(1, 1..=250));
        assert_eq!(self::pages(&api.requests()), pages, "{content:?}");
    }
}

#[test]
fn a_page_over_the_size_limit_is_requested_in_smaller_pages() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[60], |data, query| {
        // One task is as large as all others together.
        if query.path == "/v2/task" {
            return None;
        }
        let page = data.batches["b1"]
            .iter()
            .skip(query.offset())
            .take(query.limit());
        let has_large = page.clone().any(|id| id == "task_1_30");
        (has_large && query.limit() > 30).then(|| response(200, &Value::from("x".repeat(20_000))))
    });
    let (out, printed) = api.export(
        base.path(),
        "out",
        &["--batch", "b1", "--max-body", "16KiB"],
        0,
    );
    assert_eq!(ids(&out), tasks(1, 1..=60));
    assert!(
        printed.contains("2 pages that were too large or too slow"),
        "{printed}"
    );
    let limits: Vec<String> = api
        .pages()
        .iter()
        .map(|requests| requests.split("limit=").nth(1).unwrap().to_owned())
        .collect();
    // After a page that arrived, the page size doubles.
    let expected = [
        "100",
        "25",
        "50&next_token=25",
        "12&next_token=25",
        "24&next_token=37",
    ];
    assert_eq!(limits, expected);
}

#[test]
fn list_items_that_are_not_tasks_are_skipped_with_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[3], |data, query| {
        let task = |id: &str| data.task(id).unwrap();
        let mut blank = task("task_1_2");
        blank["task_id"] = "with space".into();
        let page = vec![
            task("task_1_1"),
            Value::Null,
            blank,
            serde_json::json!({"id": "x"}),
            task("task_1_3"),
        ];
        (query.path == "/v2/tasks").then(|| page_response(page, None))
    });
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 3);
    assert_eq!(ids(&out), tasks(1, [1, 3]));
    assert!(
        printed.contains("3 elements that are not tasks"),
        "{printed}"
    );
}

#[test]
fn an_empty_list_gives_empty_tables() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[0], |_, _| None);
    let (out, printed) = api.export(base.path(), "out", &["--batch", "b1"], 0);
    assert!(
        printed.contains("warning: the lists have no tasks"),
        "{printed}"
    );
    assert_eq!(manifest(&out)["ids"]["requested"], 0);
}

#[test]
fn a_key_without_permission_to_list_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    for status in [401, 402, 403] {
        let api = Api::new(&[3], move |_, _| Some(error(status, "not for you")));
        let (_, printed) = api.export(base.path(), "out", &["--batch", "b1"], 4);
        assert!(printed.contains("the API refused the key"), "{printed}");
    }
}
