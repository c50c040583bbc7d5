//! The directory of a feed: what it holds, what it keeps, and what a crash leaves.

use std::fs;
use std::path::Path;

use scale_export::tables::definition::TABLES;
use scale_export::{ChangesError, ChangesOptions, ChangesReport, FeedOptions, Format};
use serde_json::Value;

use super::{Api, Version, changes, feed};
use crate::support::table::Table;

/// Names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// An export with two publications.
fn exported(api: &Api, out: &Path) {
    for task in ["a", "b", "c"] {
        api.set(task, Version(3));
    }
    api.night(out, &["a", "b", "c"]);
    api.set("a", Version(5));
    api.set("d", Version(7));
    api.night(out, &["d", "b", "a"]);
}

fn into(out: &Path, directory: &Path, with_tables: bool) -> Result<ChangesReport, ChangesError> {
    changes(&ChangesOptions {
        new: out.to_owned(),
        feed: Some(FeedOptions {
            out: directory.to_owned(),
            format: None,
            with_tables,
        }),
        ..ChangesOptions::default()
    })
}

#[test]
fn a_feed_has_all_tables_with_the_rows_of_changed_tasks_and_whole_projects() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    exported(&api, &out);
    for format in [Format::Parquet, Format::Csv] {
        let (directory, report) = feed(&out, base.path(), "feed", format);
        let tables = TABLES.iter().map(|table| format.file_name(table.name));
        let mut expected: Vec<String> = tables
            .chain([format.file_name("changes"), "changes.json".to_owned()])
            .collect();
        expected.sort();
        assert_eq!(names(&directory), expected);
        for table in TABLES {
            let [all, copied] = [(&out, Format::Parquet), (&directory, format)]
                .map(|(directory, format)| Table::load(directory, format, table.name));
            let is_entity = ["projects", "batches"].contains(&table.name);
            let is_changed = |row: &&Vec<Option<String>>| {
                is_entity || [Some("a"), Some("d")].contains(&row[0].as_deref())
            };
            let expected: Vec<_> = all.rows.iter().filter(is_changed).collect();
            assert_eq!(
                copied.rows.iter().collect::<Vec<_>>(),
                expected,
                "{}",
                table.name
            );
        }
        let text = fs::read_to_string(directory.join("changes.json")).unwrap();
        assert_eq!(
            serde_json::from_str::<ChangesReport>(&text).unwrap(),
            report
        );
        let stated: Value = serde_json::from_str(&text).unwrap();
        for file in stated["files"].as_array().unwrap() {
            let content = fs::read(directory.join(file["path"].as_str().unwrap())).unwrap();
            let sha256 =
                scale_export::hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(&content));
            assert_eq!(file["sha256"], sha256.as_str());
            assert_eq!(file["bytes"], content.len());
        }
    }
    // The tables that the export selects, and the same feed again gives the same bytes.
    let first = crate::support::published(&base.path().join("feed"));
    feed(&out, base.path(), "feed", Format::Csv);
    assert!(crate::support::published(&base.path().join("feed")) == first);
}

#[test]
fn a_feed_replaces_an_earlier_feed_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let [out, directory] = ["out", "feed"].map(|name| base.path().join(name));
    let api = Api::start();
    exported(&api, &out);
    let refused = |directory: &Path, name: &str| {
        let before = names(directory);
        let error = into(&out, directory, true).unwrap_err().to_string();
        let expected = format!("it has a `{name}` that is not part of an earlier feed");
        assert!(error.ends_with(&expected), "{error}");
        assert_eq!(names(directory), before);
    };
    refused(&out, ".scale-export");
    fs::create_dir(&directory).unwrap();
    fs::create_dir(directory.join("lost+found")).unwrap();
    into(&out, &directory, true).unwrap();
    fs::write(directory.join("notes.txt"), "mine").unwrap();
    into(&out, &directory, false).unwrap();
    let expected = ["changes.json", "changes.parquet", "lost+found", "notes.txt"];
    assert_eq!(names(&directory), expected);
    // A file that came since, under a name that a feed has.
    fs::write(directory.join("tasks.parquet"), "mine").unwrap();
    refused(&directory, "tasks.parquet");
    fs::remove_file(directory.join("tasks.parquet")).unwrap();
    // A description that scale-export did not write.
    fs::write(
        directory.join("changes.json"),
        "{\"files\": [{\"path\": \"notes.txt\"}]}",
    )
    .unwrap();
    refused(&directory, "changes.json");
    fs::remove_file(directory.join("changes.json")).unwrap();
    refused(&directory, "changes.parquet");
    // An error before the feed leaves no directory.
    let fresh = base.path().join("fresh");
    assert!(super::since(&out, "other").is_err());
    changes(&ChangesOptions {
        new: out.clone(),
        since: Some("other".to_owned()),
        feed: Some(FeedOptions {
            out: fresh.clone(),
            format: None,
            with_tables: false,
        }),
        ..ChangesOptions::default()
    })
    .unwrap_err();
    assert!(!fresh.exists());
}

#[cfg(debug_assertions)] // Only debug builds have numbered steps.
#[test]
fn a_crash_at_any_step_leaves_the_earlier_feed_or_none_and_the_next_run_completes_it() {
    use std::os::unix::process::ExitStatusExt as _;

    use super::id;
    use crate::support::program;

    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    exported(&api, &out);
    let write = |directory: &Path, failpoint: Option<String>| {
        let mut command = program();
        command
            .arg("changes")
            .arg(&out)
            .args(["--with-tables", "-q", "--out"])
            .arg(directory);
        if let Some(failpoint) = failpoint {
            command.env("SCALE_EXPORT_FAILPOINT", failpoint);
        }
        command.output().unwrap()
    };
    let directory = base.path().join("feed");
    let after = base.path().join("after");
    assert!(write(&directory, None).status.success());
    let earlier = crate::support::published(&directory);
    api.set("b", Version(9));
    api.night(&out, &["d", "b", "a"]);
    assert!(write(&after, None).status.success());
    let expected = crate::support::published(&after);
    let before = base.path().join("before");
    crate::support::table::copy(&directory, &before);
    let current = id(&out);
    let mut killed = 0;
    let mut without = 0;
    // Runs with a failpoint, and then without one. Returns whether the first run succeeded.
    let mut succeeds = |step: usize, action: &str| {
        fs::remove_dir_all(&directory).unwrap();
        crate::support::table::copy(&before, &directory);
        let output = write(&directory, Some(format!("output:{step}:{action}")));
        let what = format!("{action} at {step}");
        let code = (output.status.code(), output.status.signal());
        let expected_codes = [(Some(0), None), (Some(6), None), (None, Some(9))];
        assert!(expected_codes.contains(&code), "{what}: {code:?}");
        if directory.join("changes.json").exists() {
            let files = crate::support::published(&directory);
            let is_ours = |(name, _): &(&String, &Vec<u8>)| !name.starts_with('.');
            let is_new = String::from_utf8_lossy(&files["changes.json"])
                .contains(&format!("\"to\": \"{current}\""));
            let whole = if is_new { &expected } else { &earlier };
            assert!(files.iter().filter(is_ours).eq(whole.iter()), "{what}");
        } else {
            without += 1;
        }
        assert!(write(&directory, None).status.success(), "{what}");
        assert!(crate::support::published(&directory) == expected, "{what}");
        output.status.success()
    };
    while !succeeds(killed + 1, "kill") {
        killed += 1;
    }
    // Only the lock is not needed.
    let failed = (1..=killed).filter(|step| !succeeds(*step, "5")).count();
    assert_eq!(failed, killed - 1);
    assert!(
        killed > 80 && without > 30,
        "{killed} steps, {without} without a feed"
    );
}
