//! What a copied range may hold, and what must make it a new one. Each case compares with a new directory.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Output;

use scale_export::hex;
use scale_export::journal::format::{FLAG_FINAL, JournalRecord, JournalVersion, RecordKind};
use scale_export::journal::reader::JournalReader;
use scale_export::journal::writer::Journal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::RANGE_TASKS;
use super::nights::{Nights, TASKS};
use crate::flatten::{exported, flatten, stderr};
use crate::support::journal_versions::downgrade;
use crate::support::{program, published, task_ids};

/// A task of some kilobytes with these members.
fn task(task_id: &str, members: &Value) -> Vec<u8> {
    let mut task = json!({
        "task_id": task_id,
        "status": "completed",
        "threads": [{ "id": "thread", "turns": [{ "id": "turn", "messages": [
            { "role": "user", "content": { "text": task_id } }
        ] }] }],
    });
    let members = members.as_object().unwrap().clone();
    task.as_object_mut().unwrap().extend(members);
    task.to_string().into_bytes()
}

fn tasks(count: usize, members: impl Fn(usize) -> Value) -> BTreeMap<String, Vec<u8>> {
    let tasks = (1..=count).map(|number| {
        let task_id = format!("task_{number}");
        let body = task(&task_id, &members(number));
        (task_id, body)
    });
    tasks.collect()
}

fn failures(nights: &Nights) -> Vec<Value> {
    let text = fs::read_to_string(nights.out.join("failures.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn ranges_of_failed_tasks_are_copied_and_an_export_of_nothing_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    // The first ranges, some in the middle, and the last one fail as a whole.
    let fails = |number: usize| number < 20 || (30..=40).contains(&number) || number > 50;
    for (index, task_id) in ids.iter().enumerate().filter(|(index, _)| fails(index + 1)) {
        nights
            .served()
            .statuses
            .insert(task_id.clone(), if index % 2 == 0 { 404 } else { 410 });
    }
    nights.export(&ids, &[]);
    nights.assert_same_as_new("first", &[]);
    // Another status is in the list of failures, and not in the tables.
    nights.served().statuses.insert("task_1".to_owned(), 403);
    let (ranges, copied) = nights.export(&ids, &[]);
    assert_eq!(copied, ranges);
    assert_eq!(failures(&nights)[0]["http_status"], 403);
    nights.assert_same_as_new("other failures", &[]);
    nights.change("task_45", 1);
    let (ranges, copied) = nights.export(&ids, &[]);
    assert_eq!(copied, ranges - 1);
    nights.assert_same_as_new("one change", &[]);
    // Now every task fails: the responses stay.
    for task_id in &ids {
        nights.served().statuses.insert(task_id.clone(), 404);
    }
    let (ranges, copied) = nights.export(&ids, &[]);
    assert_eq!(copied, ranges);
    nights.assert_same_as_new("all stale", &[]);
    // Without them, nothing is published, and the ranges of the last publication are copied later.
    let before = published(&nights.out);
    let output = nights.run(&ids, &["--drop-missing"]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert!(published(&nights.out) == before);
    nights.served().statuses.clear();
    nights.export(&ids, &[]);
    nights.assert_same_as_new("all there", &[]);
    assert!(failures(&nights).is_empty());
}

#[test]
fn a_stale_task_is_copied_and_a_dropped_one_is_not() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    nights.export(&ids, &[]);
    let rows = |name: &str| {
        let text = fs::read_to_string(nights.out.join("tasks.csv")).unwrap();
        text.lines()
            .filter(|line| line.starts_with(&format!("{name},")))
            .count()
    };
    let csv = ["--format", "csv"];
    nights.export(&ids, &csv);
    let statuses: [(Option<u16>, &[&str], bool, usize); 8] = [
        // The status of a task, other options, whether it is exported, and the number of ranges that are built.
        (Some(410), &[], true, 0),
        (Some(404), &[], true, 0),
        (Some(404), &["--drop-missing"], false, 1),
        (Some(404), &["--drop-missing"], false, 0),
        (Some(410), &["--drop-missing"], false, 0),
        (Some(404), &[], true, 1),
        (Some(400), &["--drop-missing"], true, 0),
        (None, &[], true, 0),
    ];
    for (night, (status, options, is_exported, built)) in statuses.into_iter().enumerate() {
        let what = format!("night {night}: {status:?} {options:?}");
        match status {
            Some(status) => drop(
                nights
                    .served()
                    .statuses
                    .insert("task_30".to_owned(), status),
            ),
            None => nights.served().statuses.clear(),
        }
        let options = [options, &["--format", "csv", "--max-shrink", "100%"]].concat();
        let (ranges, copied) = nights.export(&ids, &options);
        assert_eq!(copied, ranges - built, "{what}");
        assert_eq!(rows("task_30"), usize::from(is_exported), "{what}");
        let listed: Vec<_> = failures(&nights)
            .iter()
            .map(|line| line["exported"].clone())
            .collect();
        // Only stale tasks say so.
        let expected = status.map(|_| {
            if is_exported {
                Value::Bool(true)
            } else {
                Value::Null
            }
        });
        assert_eq!(listed, expected.into_iter().collect::<Vec<_>>(), "{what}");
        nights.assert_same_as_new(&what, &csv);
    }
}

#[test]
fn responses_that_cannot_be_used_fail_in_copied_ranges_too() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    nights.export(&ids, &[]);
    // A later version may have stored them.
    let path = nights.out.join(".scale-export/journal");
    let options = JournalReader::options(&path).unwrap();
    let (mut journal, _) = Journal::open(&path, &options, |_| ControlFlow::Continue(())).unwrap();
    let bodies: [(&str, &[u8]); 5] = [
        ("task_1", b"[1]"),
        ("task_5", br#"{"task_id":"task_6"}"#),
        ("task_6", b"not JSON"),
        ("task_30", br#"{"status":"completed"}"#),
        ("task_60", b""),
    ];
    for (task_id, body) in bodies {
        journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 1,
            time: 1,
            task_id,
            body,
            digest: None,
        });
    }
    journal.sync().unwrap();
    drop(journal);
    let (ranges, copied) = nights.rebuild(&[]);
    assert!(copied < ranges);
    nights.assert_same_as_new("built", &[]);
    let listed = failures(&nights);
    assert!(listed.len() >= 4, "{listed:?}");
    let (ranges, copied) = nights.rebuild(&[]);
    assert_eq!(copied, ranges);
    assert_eq!(failures(&nights), listed);
    nights.assert_same_as_new("copied", &[]);
    // Ranges with them move when an ID comes before them.
    let ids: Vec<String> = ["task_59".to_owned()]
        .into_iter()
        .chain(task_ids(TASKS))
        .collect();
    nights.export(&ids, &[]);
    nights.assert_same_as_new("fetched again", &[]);
    assert!(failures(&nights).is_empty());
}

#[test]
fn a_huge_task_in_a_range_is_copied_with_it() {
    let base = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = |bytes: usize| -> String { (0..bytes).map(|_| random.alphanumeric()).collect() };
    // Over the memory bound of encoded rows, and over that of cached responses.
    let texts = [text(100), text(2 << 20), text(5 << 20)];
    let message = |number: usize| match number {
        7 => &texts[1],
        20 => &texts[2],
        _ => &texts[0],
    };
    let bodies = tasks(30, |number| {
        json!({ "threads": [{ "id": "thread", "turns": [{ "id": "turn", "messages": [
            { "role": "user", "content": { "text": message(number) } }
        ] }] }] })
    });
    for format in ["parquet", "csv"] {
        let directory = base.path().join(format);
        fs::create_dir(&directory).unwrap();
        let nights = Nights::of(&directory, bodies.clone(), "4");
        let ids = task_ids(30);
        for (night, changed) in ["task_1", "task_8", "task_29", "task_20", "task_2"]
            .iter()
            .enumerate()
        {
            nights.change(changed, night);
            let options = ["--format", format, "--threads", super::THREADS[night % 4]];
            let (ranges, copied) = nights.export(&ids, &options);
            assert!(night == 0 || copied == ranges - 1, "{copied} of {ranges}");
            nights.assert_same_as_new(&format!("{format}, night {night}"), &options[..2]);
        }
    }
}

#[test]
fn other_tables_and_another_format_are_built_and_the_same_ones_copied() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    let shapes: [&[&str]; 12] = [
        &[],
        &["--tables", "tasks"],
        &["--tables", "tasks,messages"],
        &["--tables", "messages"],
        &["--tables", "projects,batches"],
        &["--tables", "projects"],
        &["--tables", "tasks,batches", "--format", "csv"],
        &["--format", "csv"],
        &["--tables", "batches", "--format", "csv"],
        &["--tables", "annotations", "--format", "csv"],
        &["--format", "csv"],
        &[],
    ];
    for (number, shape) in shapes.iter().enumerate() {
        let what = format!("{shape:?}");
        nights.change(&ids[number], number);
        let (_, copied) = nights.export(&ids, shape);
        assert_eq!(copied, 0, "{what}");
        nights.assert_same_as_new(&what, shape);
        nights.change(&ids[40], number);
        let (ranges, copied) = nights.export(&ids, shape);
        assert_eq!(copied, ranges - 1, "{what}");
        nights.assert_same_as_new(&what, shape);
        let (ranges, copied) = nights.rebuild(shape);
        assert_eq!(copied, ranges, "{what}");
        nights.assert_same_as_new(&what, shape);
    }
}

#[test]
fn a_list_that_shrinks_grows_and_is_reordered_gives_the_tables_of_its_tasks() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let all = task_ids(TASKS);
    let reversed: Vec<String> = all.iter().rev().cloned().collect();
    let turned = [&all[31..], &all[..31]].concat();
    let lists: [&[String]; 10] = [
        &all,
        &all[..30],
        &all[..1],
        &all[..0],
        &all[..1],
        &all[20..],
        &reversed,
        &turned,
        &all,
        &all[..59],
    ];
    for (night, ids) in lists.iter().enumerate() {
        let what = format!("night {night}");
        let output = nights.run(ids, &["--max-shrink", "100%"]);
        if ids.is_empty() {
            // An empty file is rather an accident than a list.
            assert_eq!(output.status.code(), Some(2), "{what}: {}", stderr(&output));
            continue;
        }
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        nights.assert_same_as_new(&what, &[]);
    }
}

#[test]
fn thousands_of_ranges_of_one_task_are_copied() {
    const RANGES: usize = 3_000;
    let base = tempfile::tempdir().unwrap();
    let bodies = tasks(RANGES, |number| json!({ "metadata": { "number": number } }));
    let nights = Nights::of(base.path(), bodies, "1");
    let mut ids = task_ids(RANGES);
    nights.export(&ids, &["--tables", "tasks,messages"]);
    nights.change("task_1500", 1);
    ids.swap(3, 2_900);
    let (ranges, copied) = nights.export(&ids, &["--tables", "tasks,messages", "--threads", "8"]);
    assert_eq!((ranges, copied), (RANGES, RANGES - 1));
    nights.assert_same_as_new("ranges of one task", &["--tables", "tasks,messages"]);
}

#[test]
fn versions_of_projects_stay_when_the_range_that_had_them_first_goes_away() {
    let base = tempfile::tempdir().unwrap();
    // Each version comes in several ranges, and some in one range only.
    let bodies = tasks(48, |number| {
        let project =
            |version: usize| json!({ "id": "p", "name": format!("v{version}"), "new": version });
        let batch = json!({ "id": format!("b{}", number % 2), "name": number / 20, "project": project(number % 3) });
        json!({ "project": project(number / 10), "batch": batch })
    });
    let nights = Nights::of(base.path(), bodies, "4");
    let all = task_ids(48);
    let csv = ["--format", "csv"];
    let lists: [&[String]; 6] = [&all, &all[9..], &all[20..], &all[9..45], &all, &all[..48]];
    for (night, ids) in lists.iter().enumerate() {
        if night == 4 {
            // The versions of the first range change as well.
            nights.change("task_1", night);
        }
        let options = [&csv[..], &["--max-shrink", "100%"]].concat();
        let (ranges, copied) = nights.export(ids, &options);
        assert!(
            night == 0 || copied > 0,
            "night {night}: {copied} of {ranges}"
        );
        nights.assert_same_as_new(&format!("night {night}"), &csv);
        // Ranges are not visible.
        let whole = base.path().join(format!("whole_{night}"));
        let output = flatten(&nights.out, &whole, &csv);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(published(&whole) == published(&nights.out), "night {night}");
    }
}

#[test]
fn sources_that_replace_a_journal_are_copied_only_where_they_are_the_same() {
    let base = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let directory = base.path().join(name);
        fs::create_dir(&directory).unwrap();
        Nights::new(&directory)
    });
    one.export(&task_ids(40), &[]);
    other.change("task_12", 1);
    other.export(&task_ids(TASKS).split_off(10), &[]);
    let out = base.path().join("both");
    let merge = |out: &std::path::Path| {
        let mut command = crate::support::program();
        command.env(super::RANGE_TASKS, "4").arg("flatten");
        command.args([&one.out, &other.out]).arg("--out").arg(out);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        published(out)
    };
    for night in 0..4 {
        one.change(&format!("task_{}", 1 + night), night);
        one.export(&task_ids(40 - 3 * night), &["--max-shrink", "100%"]);
        let merged = merge(&out);
        let new = base.path().join(format!("new_{night}"));
        assert!(merge(&new) == merged, "night {night}");
    }
}

#[test]
fn a_journal_without_digests_is_never_copied() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    nights.export(&ids, &[]);
    let before = published(&nights.out);
    let journal = nights.out.join(".scale-export/journal");
    // The journal of the same list in another state.
    let other = base.path().join("other");
    fs::create_dir(&other).unwrap();
    let changed = Nights::of(&other, nights.served().bodies.clone(), "4");
    for (night, task_id) in ids.iter().step_by(9).enumerate() {
        changed.change(task_id, night);
    }
    changed.export(&ids, &[]);
    downgrade(&changed.out, JournalVersion::One);
    fs::copy(changed.out.join(".scale-export/journal"), &journal).unwrap();
    let (ranges, copied) = nights.rebuild(&[]);
    assert!(ranges > 5);
    assert_eq!(copied, 0);
    nights.assert_same_as_new("version 1", &[]);
    assert!(published(&nights.out) != before);
    assert!(published(&nights.out) == published(&changed.out));
    // The other versions have digests.
    for version in [JournalVersion::Two, JournalVersion::Three] {
        downgrade(&changed.out, version);
        fs::copy(changed.out.join(".scale-export/journal"), &journal).unwrap();
        let (ranges, copied) = nights.rebuild(&[]);
        assert_eq!(copied, ranges, "{version:?}");
        nights.assert_same_as_new("with digests", &[]);
    }
    downgrade(&changed.out, JournalVersion::One);
    changed.change("task_3", 1);
    changed.export(&ids, &["--refresh", "none"]);
    changed.assert_same_as_new("continued", &[]);
    changed.export(&ids, &[]);
    changed.assert_same_as_new("fetched", &[]);
}

/// What `flatten` in place says with `--verbose`.
fn reflattened(out: &Path) -> String {
    let output = flatten_verbose(out);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    stderr(&output)
}

fn flatten_verbose(out: &Path) -> Output {
    let mut command = program();
    command.env(RANGE_TASKS, "7").arg("flatten");
    command.arg(out).arg("--out").arg(out).arg("-v");
    command.output().unwrap()
}

#[test]
fn a_run_that_cannot_copy_ranges_says_why() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    reflattened(&out);
    let (ranges, table) = (
        out.join(".scale-export/ranges"),
        out.join("messages.parquet"),
    );
    let (intact, rows) = (fs::read(&ranges).unwrap(), fs::read(&table).unwrap());
    let line = intact.iter().position(|byte| *byte == b'\n').unwrap();
    let newer =
        String::from_utf8_lossy(&intact[line + 1..]).replacen("\"version\":1", "\"version\":9", 1);
    let newer = format!("{}\n{newer}", hex::encode(&Sha256::digest(&newer)));
    for (content, cause) in [
        (&intact[..intact.len() / 2], "it is damaged"),
        (b"", "it is damaged"),
        (
            newer.as_bytes(),
            "it has version 9, and this program reads version 1",
        ),
    ] {
        fs::write(&ranges, content).unwrap();
        let expected =
            format!("cannot copy ranges from the published tables: .scale-export/ranges: {cause}");
        let text = reflattened(&out);
        assert!(text.contains(&expected), "{text}");
        assert_eq!(fs::read(&ranges).unwrap(), intact, "{cause}");
    }
    fs::write(&table, &rows[..rows.len() - 9]).unwrap();
    let text = reflattened(&out);
    assert!(
        text.contains("published tables: `messages`: it has other bytes than were written"),
        "{text}"
    );
    assert!(fs::read(&table).unwrap() == rows);
    fs::remove_file(&ranges).unwrap();
    assert!(!reflattened(&out).contains("cannot copy"));
}
