//! Reuse of kept responses by later runs and by `flatten`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use scale_export::journal::format::JournalVersion;
use serde_json::Value;

use super::{Api, assert_exit, exported, reference, status};
use crate::support::journal_versions::downgrade;
use crate::support::{manifest, program, published, task_ids};

#[test]
fn flatten_obeys_the_same_guard() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let flatten = |source: &Path, out: &Path, options: &[&str]| {
        program()
            .arg("flatten")
            .arg(source)
            .arg("--out")
            .arg(out)
            .args(options)
            .output()
            .unwrap()
    };
    let large = exported(&api, base.path(), &task_ids(40));
    let small = base.path().join("small");
    api.ends(0, &small, &task_ids(10), &[]);
    let tables = base.path().join("tables");
    assert_exit(&flatten(&large, &tables, &[]), 0);
    let printed = assert_exit(&flatten(&small, &tables, &[]), 8);
    assert!(printed.contains("30 of the 40 tasks"), "{printed}");
    assert_eq!(manifest(&tables)["ids"]["exported"], 40);
    assert_exit(&flatten(&small, &tables, &["--max-shrink", "30"]), 0);
    let list = base.path().join("other.txt");
    fs::write(&list, "task_77\ntask_78\n").unwrap();
    let list = list.to_str().unwrap();
    let printed = assert_exit(&flatten(&small, &tables, &["--ids", list]), 8);
    assert!(printed.contains("2 missing"), "{printed}");
    assert_eq!(manifest(&tables)["ids"]["exported"], 10);
}

#[test]
fn a_run_that_changes_nothing_leaves_the_files_as_they_are() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(5);
    let out = exported(&api, base.path(), &ids);
    let identities = || {
        let names = published(&out).into_keys();
        let identity = |name: &String| {
            let metadata = fs::metadata(out.join(name)).unwrap();
            (metadata.ino(), metadata.mtime_nsec(), metadata.mtime())
        };
        names
            .map(|name| (identity(&name), name))
            .collect::<Vec<_>>()
    };
    let before = identities();
    let summary = |options: &[&str]| -> Value {
        let output = api.run(&out, &ids, &[options, &["--summary", "-"]].concat());
        assert_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let made = fs::read(out.join("manifest.json")).unwrap();
    let end = summary(&["--refresh", "all"]);
    assert_eq!(end["unchanged"], true);
    assert_eq!(end["requests"], 5);
    assert!(identities() == before);
    // After a request the manifest is rewritten, and without one it is not.
    assert!(fs::read(out.join("manifest.json")).unwrap() != made);
    let made = fs::read(out.join("manifest.json")).unwrap();
    assert_eq!(summary(&[])["unchanged"], true);
    assert!(fs::read(out.join("manifest.json")).unwrap() == made);
    // A changed file is rewritten, even if its size is the same.
    let mut bytes = fs::read(out.join("tasks.parquet")).unwrap();
    bytes[10] ^= 1;
    fs::write(out.join("tasks.parquet"), bytes).unwrap();
    let end = summary(&["--refresh", "all"]);
    assert_eq!(end["unchanged"], false);
    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
}

#[test]
fn failed_ids_are_requested_again_when_the_manifest_is_lost() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(20);
    let out = base.path().join("out");
    api.responses(|id| id == "task_4", || status(404));
    for manifest in [None, Some("{")] {
        let _ = fs::remove_dir_all(&out);
        api.responses(|id| id == "task_4", || status(404));
        api.ends(3, &out, &ids, &[]);
        match manifest {
            Some(text) => fs::write(out.join("manifest.json"), text).unwrap(),
            None => fs::remove_file(out.join("manifest.json")).unwrap(),
        }
        api.succeeds();
        let before = api.server.seen().len();
        api.ends(0, &out, &ids, &[]);
        assert_eq!(api.server.seen().len() - before, 1);
    }
}

#[test]
fn several_exports_are_flattened_in_the_order_of_their_lists() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = |numbers: &[u32]| -> Vec<String> {
        numbers
            .iter()
            .map(|number| format!("task_{number}"))
            .collect()
    };
    let (one, two) = (base.path().join("one"), base.path().join("two"));
    // Responses arrive in another order than the list.
    let first = ids(&[9, 1, 5, 3]);
    api.ends(0, &one, &ids(&[3, 5, 1, 9]), &[]);
    api.ends(0, &one, &first, &[]);
    api.responses(|id| id == "task_7", || status(404));
    let second = ids(&[7, 5, 2, 1]);
    api.ends(0, &two, &ids(&[2, 1]), &[]);
    api.ends(3, &two, &second, &[]);
    // A task that left the list does not return.
    api.succeeds();
    api.ends(0, &one, &ids(&[9, 1, 5, 3, 100]), &[]);
    api.ends(0, &one, &first, &[]);
    let out = base.path().join("both");
    let output = program()
        .arg("flatten")
        .args([&one, &two])
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert_exit(&output, 3);
    let list = fs::read_to_string(out.join(".scale-export/ids.txt")).unwrap();
    assert_eq!(list, "task_9\ntask_1\ntask_5\ntask_3\ntask_7\ntask_2\n");
    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
}

#[test]
fn a_journal_of_an_earlier_version_is_read_and_upgraded_by_the_next_publication() {
    for version in [JournalVersion::One, JournalVersion::Two] {
        upgrade(version);
    }
}

/// Continues a journal of an earlier version.
fn upgrade(version: JournalVersion) {
    let number = version as u8;
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    let ids = task_ids(12);
    api.responses(|id| id == "task_4", || status(404));
    let out = base.path().join("out");
    api.ends(3, &out, &ids, &[]);
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    downgrade(&out, version);

    assert_exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
    assert!(reference(base.path(), &out) == before);
    // A run that is not published does not change the version, and its mark counts in that version.
    api.ends(1, &out, &ids, &["--fail-fast"]);
    assert_eq!(fs::read(&journal).unwrap()[8], number);
    assert!(reference(base.path(), &out) == before);
    let requests = api.server.seen().len();
    api.ends(3, &out, &ids, &[]);
    assert_eq!(api.server.seen().len() - requests, 1);
    assert_eq!(fs::read(&journal).unwrap()[8], 3);
    assert!(published(&out) == before);
    assert!(reference(base.path(), &out) == before);
}
