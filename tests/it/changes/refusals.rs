//! Errors: what `changes` does not know, and what it does not overwrite.

use std::fs;

use scale_export::durable_fs::FileRef;
use scale_export::encode::format::{Format, Selection};
use scale_export::publish::output_dir::OutputDirectory;
use scale_export::{Table, TableSelection};
use serde_json::Value;

use super::{Api, Status, Version, between, command, damage, digests, id, last, run, stderr};
use crate::support::table::copy;

#[test]
fn the_result_is_one_line_or_json() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    for task in ["a", "b", "c"] {
        api.set(task, Version(1));
    }
    let path = out.to_str().unwrap();
    api.night(&out, &["a", "b"]);
    let first = id(&out);
    let said = stderr(&command(&[path], 0));
    assert_eq!(
        said,
        format!("First publication {first}: 2 tasks inserted\n")
    );
    api.night(&out, &["b", "c"]);
    let second = id(&out);
    let output = command(&[path], 0);
    let line = format!(
        "Changes from {first} to {second}: 1 task inserted, 0 updated, 1 deleted, 1 unchanged\n"
    );
    assert_eq!(stderr(&output), line);
    assert!(output.stdout.is_empty());
    let said = stderr(&command(&[path, "--since", &second], 0));
    assert_eq!(
        said,
        format!("No changes since publication {second}: 2 tasks unchanged\n")
    );
    let quiet = command(&[path, "-q"], 0);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
    let output = command(&[path, "--json"], 0);
    assert!(output.stderr.is_empty());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        [
            &report["from"],
            &report["to"],
            &report["insert"],
            &report["update"],
            &report["delete"]
        ],
        [
            &Value::from(first),
            &second.clone().into(),
            &1.into(),
            &0.into(),
            &1.into()
        ]
    );
    let output = command(&[path, "-q", "--summary", "-"], 0);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["exit_code"], &summary["unchanged"]),
        (&0.into(), &1.into())
    );
    let said = stderr(&command(&[path, "-q", "--since", "other"], 2));
    assert!(
        said.starts_with("error: could not list the changes since other: "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
    let said = stderr(&command(&[path, "--since", "other"], 2));
    let hint = format!("hint: load the whole export again, and continue with --since {second}\n");
    assert!(said.ends_with(&hint), "{said}");
}

#[test]
fn mistakes_are_explained() {
    let base = tempfile::tempdir().unwrap();
    let empty = base.path().to_str().unwrap();
    for (arguments, error, hint) in [
        (&[][..], "DIR", "try: scale-export changes export/"),
        (&["no/such", "-q"], "it does not exist", ""),
        (
            &[empty],
            "it has no manifest.json",
            "name the output directory",
        ),
        (
            &[empty, "--with-tables"],
            "--with-tables needs --out",
            "--help",
        ),
        (&[empty, "--format", "csv"], "--out is missing", ""),
        (
            &[empty, empty, "--since", "x"],
            "--since cannot be used with two directories",
            "--help",
        ),
        (&[empty, "--since", ""], "--since is empty", "--help"),
        (&[empty, empty, empty], "unexpected", ""),
    ] {
        let said = stderr(&command(arguments, 2));
        assert!(
            said.contains(error) && said.contains(hint),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_feed_inside_of_an_export_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let other = base.path().join("other");
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&out, &["a"]);
    api.night(&other, &["a"]);
    std::os::unix::fs::symlink(&out, base.path().join("link")).unwrap();
    let path = |name: &str| base.path().join(name).display().to_string();
    for (export, feed) in [
        ("out", "out/feed"),
        ("out", "out/.scale-export/feed"),
        ("out", "link/new/feed"),
        ("link", "out/feed"),
    ] {
        let said = stderr(&command(&[&path(export), "--out", &path(feed)], 2));
        assert!(
            said.contains("it is inside of the export"),
            "{feed}: {said}"
        );
        assert!(
            said.contains("hint: name a directory outside"),
            "{feed}: {said}"
        );
    }
    let said = stderr(&command(
        &[&path("other"), &path("out"), "--out", &path("other/feed")],
        2,
    ));
    assert!(said.contains("it is inside of the export"), "{said}");
    assert!(!out.join("feed").exists() && !out.join("new").exists());
    command(&[&path("out"), "--out", &path("output")], 0);
}

#[test]
fn other_options_need_a_reload() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&out, &["a"]);
    let tables: TableSelection = [Table::Tasks].into_iter().collect();
    run(api.options(&out, &["a"]).tables(tables)).unwrap();
    let error = last(&out).unwrap_err().to_string();
    assert!(error.ends_with("they differ in their --tables"), "{error}");
    let csv = Format::Csv;
    run(api.options(&out, &["a"]).tables(tables).format(csv)).unwrap();
    let error = last(&out).unwrap_err().to_string();
    assert!(error.ends_with("they differ in their --format"), "{error}");
    // The consumer that loaded the whole export continues from there.
    let current = id(&out);
    super::since(&out, &current).unwrap();
    let other = base.path().join("other");
    api.night(&other, &["a"]);
    let error = between(&out, &other).unwrap_err().to_string();
    assert!(error.contains("they differ in their"), "{error}");
}

#[test]
fn an_export_without_its_state_cannot_be_compared() {
    let base = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| base.path().join(name));
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&new, &["a"]);
    copy(&new, &old);
    fs::remove_dir_all(old.join(".scale-export")).unwrap();
    let paths = [&old, &new].map(|path| path.to_str().unwrap());
    let said = stderr(&command(&paths, 2));
    assert!(
        said.contains("the file is missing\nhint: load the whole export"),
        "{said}"
    );
    // The failures of an export say which of its tasks were not fetched.
    fs::write(new.join("failures.jsonl"), "changed").unwrap();
    let error = between(&new, &new).unwrap_err().to_string();
    assert!(
        error.ends_with("its failures.jsonl or its list of IDs was changed"),
        "{error}"
    );
}

#[test]
fn damaged_digests_are_an_error_and_no_change() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.set("b", Version(1));
    api.night(&out, &["a", "b"]);
    let first = id(&out);
    api.set("b", Version(2));
    api.night(&out, &["a", "b"]);
    let second = id(&out);
    let whole = base.path().join("whole");
    copy(&out, &whole);
    for damaged in [&first, &second] {
        let _ = fs::remove_dir_all(&out);
        copy(&whole, &out);
        let path = digests(&out, damaged);
        let middle = fs::metadata(&path).unwrap().len() / 2;
        damage(&path, usize::try_from(middle).unwrap());
        let said = stderr(&command(&[out.to_str().unwrap()], 2));
        assert!(said.contains("the file is damaged ("), "{said}");
        assert!(
            said.contains("hint: load the whole export; the next run restores"),
            "{said}"
        );
    }
}

#[test]
fn a_run_does_not_keep_changes_out_and_an_incomplete_publication_does() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&out, &["a"]);
    let all = Selection {
        format: Format::Parquet,
        tables: TableSelection::all(),
    };
    let locked = OutputDirectory::open(&out, all, false).unwrap();
    last(&out).unwrap();
    drop(locked);
    fs::write(out.join(".scale-export/publication"), "{}").unwrap();
    let error = last(&out).unwrap_err().to_string();
    assert!(
        error.ends_with("its publication is not complete"),
        "{error}"
    );
    // The next run recovers.
    api.set("b", Status(500));
    api.night(&out, &["a", "b"]);
    last(&out).unwrap();
}

#[test]
fn tables_that_lack_a_changed_task_give_no_feed() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.set("b", Version(1));
    run(api.options(&out, &["a", "b"]).format(Format::Csv)).unwrap();
    let mut tasks = crate::support::table::Table::load(&out, Format::Csv, "tasks");
    tasks.set(1, "task_id", Some("other".to_owned()));
    tasks.save(&out);
    let path = base.path().join("feed");
    let arguments = [
        out.to_str().unwrap(),
        "--with-tables",
        "--out",
        path.to_str().unwrap(),
    ];
    let said = stderr(&command(&arguments, 2));
    assert!(
        said.contains("table `tasks` has 1 of 2\nhint: list what is wrong"),
        "{said}"
    );
    assert!(!path.join("changes.json").exists());
    // Without the tables, the digests are enough.
    command(&[out.to_str().unwrap(), "--out", path.to_str().unwrap()], 0);
    let report: Value =
        serde_json::from_slice(&fs::read(path.join("changes.json")).unwrap()).unwrap();
    let files: Vec<FileRef> = serde_json::from_value(report["files"].clone()).unwrap();
    assert_eq!(files.len(), 1);
}
