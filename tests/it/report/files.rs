//! The file of a report, and exports without a report.

use std::fs;
use std::os::unix::fs::symlink;

use super::{flatten, report, run, sandbox_export};
use crate::support::{manifest, program};

/// The tasks of an export with one task.
const ONE: &str = "{\"task_id\": \"a\"}\n";

#[test]
fn an_earlier_report_is_replaced_and_no_other_file() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", ONE, &[]);
    let other = flatten(
        base.path(),
        "other",
        "{\"task_id\": \"a\"}\n{\"task_id\": \"b\"}\n",
        &[],
    );
    let file = base.path().join("report.html");
    let run = |export: &std::path::Path| run(export, file.to_str().unwrap(), &[]);
    assert!(run(&out).status.success());
    let first = fs::read_to_string(&file).unwrap();
    assert!(run(&other).status.success());
    assert!(fs::read_to_string(&file).unwrap() != first);
    // `mktemp` makes an empty file.
    fs::write(&file, "").unwrap();
    assert!(run(&out).status.success());
    assert!(fs::read_to_string(&file).unwrap() == first);
    fs::write(&file, "<!doctype html>\n<p>mine").unwrap();
    let output = run(&out);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("a file that is not a report exists there\nhint: "),
        "{stderr}"
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "<!doctype html>\n<p>mine"
    );
}

#[test]
fn a_link_keeps_its_place() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", ONE, &[]);
    let (target, link) = (
        base.path().join("target.html"),
        base.path().join("link.html"),
    );
    fs::write(&target, "").unwrap();
    symlink(&target, &link).unwrap();
    assert!(run(&out, link.to_str().unwrap(), &[]).status.success());
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&target).unwrap() == report(&out, &[]));
    fs::remove_file(&target).unwrap();
    assert_eq!(
        run(&out, link.to_str().unwrap(), &[]).status.code(),
        Some(6)
    );
}

#[test]
fn places_where_no_report_belongs_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", ONE, &[]);
    let before = manifest(&out);
    for (place, exit, cause) in [
        ("out", 2, "it is a directory"),
        ("out/errors.csv", 2, "exports have files of this name"),
        (
            "out/.scale-export/report.html",
            2,
            "exports have files of this name",
        ),
        ("none/report.html", 6, "No such file or directory"),
        ("fifo", 2, "it is not a regular file"),
    ] {
        let fifo = base.path().join("fifo");
        if !fifo.exists() {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &fifo,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR,
                0,
            )
            .unwrap();
        }
        let output = run(&out, base.path().join(place).to_str().unwrap(), &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{place}: {stderr}");
        assert!(
            stderr.contains(cause) && stderr.contains("\nhint: "),
            "{place}: {stderr}"
        );
    }
    assert_eq!(manifest(&out), before);
}

#[test]
fn the_default_file_is_in_the_current_directory() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", ONE, &[]);
    let output = program()
        .current_dir(base.path())
        // The variable of exports does not name the file of a report.
        .env("SCALE_EXPORT_OUT", "out")
        .args(["report", "out", "--summary", "-"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let html = fs::read_to_string(base.path().join("report.html")).unwrap();
    assert!(html == report(&out, &[]));
    assert!(
        stderr.starts_with("Wrote a report of 1 task to report.html ("),
        "{stderr}"
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["exported"], 1);
    assert_eq!(summary["bytes"], html.len());
    assert_eq!(summary["exit_code"], 0);
}

#[test]
fn exports_that_cannot_be_read_have_no_report() {
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(base.path(), "out", 20, &[]);
    let file = base.path().join("report.html");
    let refused = |cause: &str| {
        let output = run(&out, file.to_str().unwrap(), &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains(cause) && stderr.contains("\nhint: "),
            "{stderr}"
        );
        assert!(!file.exists());
    };
    let table = out.join("messages.parquet");
    let intact = fs::read(&table).unwrap();
    let mut damaged = intact.clone();
    damaged[100..200].fill(0xFF);
    fs::write(&table, &damaged).unwrap();
    refused("could not read table `messages`");
    fs::write(&table, &intact[1..]).unwrap();
    refused("could not read table `messages`");
    fs::remove_file(&table).unwrap();
    refused("messages.parquet");
    fs::write(&table, &intact).unwrap();
    let text = fs::read_to_string(out.join("manifest.json")).unwrap();
    let newer = text.replace("\"schema_version\": \"2.", "\"schema_version\": \"99.");
    assert_ne!(newer, text);
    fs::write(out.join("manifest.json"), newer).unwrap();
    refused("its tables have schema version 99.");
    fs::remove_file(out.join("manifest.json")).unwrap();
    refused("it has no manifest.json");
}

#[test]
fn a_report_takes_no_lock() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", ONE, &[]);
    let lock = fs::File::open(out.join(".scale-export/lock")).unwrap();
    lock.lock().unwrap();
    report(&out, &[]);
}
