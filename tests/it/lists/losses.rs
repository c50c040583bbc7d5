//! A journal that lost records before a run that lists the tasks.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use scale_export::journal::format::RecordKind;
use scale_export::journal::reader::JournalReader;
use serde_json::json;

use crate::journal_damage::damage_id;
use crate::lists::api::{Api, response};
use crate::support::published;

#[test]
fn journal_damage_is_reported_before_a_list_run_appends() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[120], |_, _| None);
    let batch = ["--batch", "b1", "-v"];
    let (out, _) = api.export(base.path(), "out", &batch, 0);
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();

    // The last block is lost. Its tasks are listed again, and their new block is as long.
    fs::write(&journal, &whole[..whole.len() - 5]).unwrap();
    let (_, _, summary) =
        JournalReader::open(&journal, None, |_| ControlFlow::Continue(())).unwrap();
    assert!(
        summary.lost.len() > 1 && summary.damaged == 0,
        "{summary:?}"
    );
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    let lost = printed
        .lines()
        .find(|line| line.contains("the journal lacks "));
    let lost = lost.unwrap_or_else(|| panic!("{printed}"));
    let bytes = lost.split("the journal lacks ").nth(1).unwrap();
    let bytes: u64 = bytes.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(bytes, summary.torn_bytes + 5, "{printed}");
    let first = format!("again: {}, ", summary.lost[0].task_id);
    assert!(printed.contains(&first), "{printed}");
    for lost in &summary.lost {
        assert!(printed.contains(&lost.task_id), "{printed}");
    }
    assert_eq!(printed.matches("the journal lacks").count(), 1);
    assert!(!printed.starts_with("Nothing to do"), "{printed}");
    assert!(published(&out) == before);

    // A run that ended in the middle of a record.
    let mut torn = fs::read(&journal).unwrap();
    torn.extend([1; 7]);
    fs::write(&journal, torn).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert!(
        printed.contains("removed 7 bytes from the end of the journal"),
        "{printed}"
    );

    fs::remove_file(&journal).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert!(
        printed.contains("are missing from `.scale-export`"),
        "{printed}"
    );
    assert!(published(&out) == before);

    let mut damaged = fs::read(&journal).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&journal, damaged).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert_eq!(
        printed.matches("damaged place in the journal").count(),
        1,
        "{printed}"
    );
    assert!(published(&out) == before);
}

#[test]
fn a_damaged_id_is_named_before_a_list_run_appends() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[10], |_, _| None);
    api.data().pending.push("task_1_2".to_owned());
    let batch = ["--batch", "b1"];
    let (out, _) = api.export(base.path(), "out", &batch, 0);
    api.data().pending.clear();
    api.export(base.path(), "out", &batch, 0);
    let before = published(&out);
    damage_id(&out, "task_1_2");
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert!(
        printed.contains("fetching the lost responses again: task_1_2\n"),
        "{printed}"
    );
    assert!(!printed.contains("includes task IDs"), "{printed}");
    assert!(published(&out) == before);
}

/// The number of records of each kind, and the size of the journal.
fn records(out: &Path) -> ([usize; 3], u64) {
    let mut counts = [0; 3];
    let journal = out.join(".scale-export/journal");
    JournalReader::open(&journal, None, |entry| {
        let kinds = [
            RecordKind::Response,
            RecordKind::Failure,
            RecordKind::Refused,
        ];
        if let Some(kind) = kinds.iter().position(|kind| *kind == entry.kind) {
            counts[kind] += 1;
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    (counts, fs::metadata(journal).unwrap().len())
}

#[test]
fn compaction_after_listing_keeps_tasks_that_left_the_list_and_bodies_of_failures() {
    let base = tempfile::tempdir().unwrap();
    // The list omits a member of every task, so each is fetched singly. One single response is not a task.
    let api = Api::new(&[6], |data, query| match query.path.as_str() {
        "/v2/tasks" => {
            let listed = data.batches["b1"].clone();
            let tasks = listed.iter().map(|id| {
                let mut task = data.task(id).unwrap();
                task.as_object_mut().unwrap().remove("metadata");
                task
            });
            let tasks: Vec<_> = tasks.collect();
            Some(response(200, &json!({ "tasks": tasks })))
        }
        _ if query.get("task_id") == Some("task_1_6") => {
            Some(response(200, &json!({"maintenance": true})))
        }
        _ => None,
    });
    let run = |options: &[&str]| {
        let options = [&["--batch", "b1", "-v", "--max-retries", "0"], options].concat();
        api.export(base.path(), "out", &options, 3)
    };
    let (out, printed) = run(&["--max-failures", "100%"]);
    assert_eq!(records(&out).0, [5, 1, 1], "{printed}");
    api.data().batches.get_mut("b1").unwrap().remove(0);
    let shrunk = [
        "--max-failures",
        "100%",
        "--max-shrink",
        "100%",
        "--refresh",
        "all",
    ];
    let mut is_compacted = false;
    for _ in 0..3 {
        let (_, printed) = run(&shrunk);
        if printed.contains("compacted the journal") {
            is_compacted = true;
            // Of the tasks in the list 4 have a response, and one left the list.
            assert_eq!(records(&out).0, [5, 1, 1], "{printed}");
        }
    }
    assert!(is_compacted);
}
