//! What counts as a change: stale, failed, lost, unlisted and deleted tasks.

use std::ops::ControlFlow;
use std::path::Path;

use scale_export::Format;
use scale_export::journal::reader::JournalReader;

use super::{Api, Status, Version, between, changed, counts, feed, guard, id, last, run, since};

#[test]
fn a_first_publication_inserts_all_tasks_and_the_next_one_only_what_differs() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    for task in ["a", "b", "c"] {
        api.set(task, Version(1));
    }
    api.night(&out, &["a", "b", "c"]);
    let first = last(&out).unwrap();
    assert_eq!(first.from, None);
    assert_eq!(counts(&first), [3, 0, 0, 0, 0]);
    api.set("b", Version(2));
    api.set("d", Version(1));
    api.night(&out, &["d", "c", "b"]);
    let second = last(&out).unwrap();
    assert_eq!(second.from.as_ref(), Some(&first.to));
    assert_eq!(counts(&second), [1, 1, 1, 1, 0]);
    // In the order of the new list, then of the old one.
    let (directory, report) = feed(&out, base.path(), "feed", Format::Csv);
    assert_eq!((report.from, report.to), (second.from, second.to));
    let expected = [("d", "insert"), ("b", "update"), ("a", "delete")];
    assert_eq!(
        changed(&directory),
        expected.map(|(task, change)| (task.to_owned(), change.to_owned()))
    );
}

#[test]
fn a_consumer_that_missed_a_publication_is_told_so() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    let mut ids = Vec::new();
    for version in 1..=3 {
        api.set("a", Version(version));
        api.night(&out, &["a"]);
        ids.push(id(&out));
    }
    assert_eq!(counts(&since(&out, &ids[1]).unwrap()), [0, 1, 0, 0, 0]);
    let current = since(&out, &ids[2]).unwrap();
    assert_eq!(counts(&current), [0, 0, 0, 1, 0]);
    assert_eq!(current.from, Some(current.to));
    for missed in [ids[0].as_str(), "", "nonsense"] {
        let error = since(&out, missed).unwrap_err().to_string();
        let expected = format!(
            "could not list the changes since {missed}: the last publication is {}, and the one before is {}",
            ids[2], ids[1]
        );
        assert_eq!(error, expected);
    }
    // Only the digests of two publications stay.
    let state = std::fs::read_dir(out.join(".scale-export")).unwrap();
    let names = state.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("digests")).count(), 2);
}

#[test]
fn a_run_that_changes_no_task_does_not_hide_the_last_change() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.set("b", Version(1));
    api.night(&out, &["a", "b"]);
    api.set("b", Version(2));
    api.night(&out, &["a", "b"]);
    let change = last(&out).unwrap();
    // The same responses, a stale task, and an ID that never existed.
    api.night(&out, &["a", "b"]);
    assert_eq!(last(&out).unwrap(), change);
    api.set("a", Status(500));
    assert_eq!(api.night(&out, &["a", "b", "new"]).stale, 1);
    assert_eq!(last(&out).unwrap(), change);
    // There and back again: the first publication is the last one again, and the one before differs.
    api.set("a", Version(1));
    api.set("b", Version(1));
    api.night(&out, &["a", "b"]);
    let back = last(&out).unwrap();
    assert_eq!((back.from, Some(back.to)), (Some(change.to), change.from));
}

#[test]
fn a_failed_fetch_is_not_a_delete_and_a_deleted_task_is_one() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    let ids = ["a", "b", "c"];
    for task in ids {
        api.set(task, Version(1));
    }
    api.night(&out, &ids);
    let first = id(&out);
    // A stale task stays in the tables, whatever the failure.
    for status in [500, 404, 410, 403] {
        api.set("a", Status(status));
        assert_eq!(api.night(&out, &ids).stale, 1, "{status}");
        assert_eq!(id(&out), first, "{status}");
    }
    // With --drop-missing, a task that the API reports as missing is deleted.
    api.set("a", Status(404));
    api.set("b", Status(500));
    run(api.options(&out, &ids).guard(guard(true))).unwrap();
    assert_eq!(counts(&last(&out).unwrap()), [0, 0, 1, 2, 0]);
    // Without it, its last response is restored.
    api.night(&out, &ids);
    assert_eq!(counts(&last(&out).unwrap()), [1, 0, 0, 2, 0]);
    // A task that leaves the list is deleted, also while its fetches fail.
    api.night(&out, &["b", "c"]);
    assert_eq!(counts(&last(&out).unwrap()), [0, 0, 1, 2, 0]);
    api.night(&out, &["c"]);
    assert_eq!(counts(&last(&out).unwrap()), [0, 0, 1, 1, 0]);
}

/// Damages the record of a task in the journal.
fn lose(out: &Path, lost: &str) {
    let path = out.join(".scale-export/journal");
    let mut place = None;
    JournalReader::open(&path, None, |entry| {
        if entry.task_id == lost {
            place = Some(entry.location);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let place = place.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // Its head, since other records share its block.
    let head = usize::try_from(place.offset()).unwrap();
    bytes[head] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_task_whose_response_was_lost_is_not_deleted_until_it_leaves_the_list() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    let ids = ["a", "b", "c"];
    let lose_some = || {
        for task in ids {
            api.set(task, Version(1));
        }
        let _ = std::fs::remove_dir_all(&out);
        api.night(&out, &ids);
        for task in ["a", "c"] {
            lose(&out, task);
            api.set(task, Status(404));
        }
        assert_eq!(api.night(&out, &ids).failed, 2);
        let report = last(&out).unwrap();
        assert_eq!(counts(&report), [0, 0, 0, 1, 2]);
        let (directory, _) = feed(&out, base.path(), "feed", Format::Csv);
        assert!(changed(&directory).is_empty());
    };
    lose_some();
    // A consumer that loaded the whole export meanwhile does not have the task, so it comes back as an update.
    api.set("a", Version(1));
    api.night(&out, &ids);
    assert_eq!(counts(&last(&out).unwrap()), [0, 1, 0, 1, 1]);
    // Still lost, and then not listed any more.
    api.set("b", Version(2));
    api.night(&out, &ids);
    assert_eq!(counts(&last(&out).unwrap()), [0, 1, 0, 1, 1]);
    api.night(&out, &["a", "b"]);
    assert_eq!(counts(&last(&out).unwrap()), [0, 0, 1, 2, 0]);
    lose_some();
    // With --drop-missing, the lost tasks are deleted ones.
    run(api.options(&out, &ids).guard(guard(true))).unwrap();
    assert_eq!(counts(&last(&out).unwrap()), [0, 0, 2, 1, 0]);
}

#[test]
fn two_exports_are_compared_by_their_last_publications() {
    let base = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| base.path().join(name));
    let api = Api::start();
    for task in ["a", "b", "c", "d"] {
        api.set(task, Version(1));
    }
    api.night(&old, &["a", "b", "c", "d"]);
    // A first run elsewhere: one task fails, one is not listed, one differs, one is the same.
    api.set("a", Status(500));
    api.set("b", Version(2));
    api.set("e", Version(1));
    api.night(&new, &["a", "b", "d", "e"]);
    let report = between(&old, &new).unwrap();
    assert_eq!(counts(&report), [1, 1, 1, 1, 1]);
    assert_eq!(report.from.as_ref().unwrap().as_str(), id(&old));
    assert_eq!(report.to.as_str(), id(&new));
    assert_eq!(counts(&between(&new, &new).unwrap()), [0, 0, 0, 3, 0]);
    // The other way round, the task that failed is new.
    assert_eq!(counts(&between(&new, &old).unwrap()), [2, 1, 1, 1, 0]);
    // With --drop-missing, a missing task is a deleted one.
    api.set("a", Status(404));
    let ids = ["a", "b", "d", "e"];
    run(api.options(&new, &ids).guard(guard(true))).unwrap();
    assert_eq!(counts(&between(&old, &new).unwrap()), [1, 1, 2, 1, 0]);
}
