//! `verify` finds every kind of damage, and nothing else. The manifest is updated each time: these tests cover what
//! checksums cannot detect.

mod bombs;
mod files;
mod open_files;
mod ranges;
mod rows;
mod statistics;

use std::fs;
use std::path::{Path, PathBuf};

use scale_export::encode::format::Format;
use scale_export::event::Events;
use scale_export::jobs::report::JobEnd;
use scale_export::jobs::verify::report::VerifyReport;
use scale_export::jobs::verify::verification::{VerifyOptions, verify};
use scale_export::sandbox::config::SandboxConfig;

use crate::support::table::{Table, copy};
use crate::support::{export, raw_responses, sandbox, task_ids, to_lines};
use files::damaged_files;
use rows::{damaged_cells, damaged_rows};

/// Tasks of the damaged export: enough for every table to have rows.
const TASKS: usize = 120;

const FORMATS: [Format; 2] = [Format::Parquet, Format::Csv];

/// A task with members that the sandbox's tasks do not have.
const BY_HAND: &str = r#"{"task_id":"by_hand","status":"","threads":[{"id":"","annotations":[{"id":"a","value":""},{"id":"f","type":"file","value":{"content":"LONG"}}],"turns":[{"messages":[{"role":"user","content":{"text":""}}]}]}],"errors":[],"n":123456789012345678901234567890}"#;

/// Writes tasks of the sandbox with drift, and the one above, to a file.
fn tasks_with_drift(base: &Path) -> PathBuf {
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let options = ["--expand", "project,batch", "--tables", "tasks"];
    let (out, output) = export(&server, base, "raw", &task_ids(TASKS), &options);
    assert!(output.status.success());
    let by_hand = BY_HAND.replace("LONG", &"QUJD".repeat(100)).into_bytes();
    let raw = raw_responses(&out);
    let lines = to_lines(std::iter::once(&by_hand).chain(raw.values()));
    let path = base.join("tasks.jsonl");
    fs::write(&path, lines).unwrap();
    path
}

/// Makes an export in both formats, with drift, two failed IDs and expanded projects and batches.
fn good_exports(base: &Path) -> Vec<(Format, PathBuf)> {
    let server = sandbox(SandboxConfig {
        from: Some(tasks_with_drift(base)),
        ..SandboxConfig::default()
    });
    let mut ids = task_ids(TASKS);
    ids.insert(5, "no_such_task".to_owned());
    ids.insert(9, "nor_this_one".to_owned());
    ids.insert(12, "by_hand".to_owned());
    let exports = FORMATS.iter().map(|format| {
        let name = format.extension();
        let (out, output) = export(&server, base, name, &ids, &["--format", name]);
        assert_eq!(output.status.code(), Some(3));
        (*format, out)
    });
    exports.collect()
}

fn verified(out: &Path) -> VerifyReport {
    let cancel = tokio_util::sync::CancellationToken::new();
    match verify(&VerifyOptions::of(out), &Events::none(), &cancel).unwrap() {
        JobEnd::Done(report) => report,
        JobEnd::Stopped(_) => panic!("it was not stopped"),
    }
}

fn lines(report: &VerifyReport) -> String {
    let findings = report.first_findings.iter();
    findings.map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn every_kind_of_damage_to_rows_is_reported() {
    let base = tempfile::tempdir().unwrap();
    let (mut kinds, mut wrong) = (0, String::new());
    for (format, good) in good_exports(base.path()) {
        let report = verified(&good);
        assert_eq!((report.findings, lines(&report)), (0, String::new()));
        assert_eq!(
            (report.tasks, report.rebuilt),
            (TASKS as u64 + 1, TASKS as u64 + 1)
        );
        assert_eq!(report.unproven, Vec::<String>::new());
        let all = damaged_cells().into_iter().chain(damaged_rows());
        for (name, table, change, finding) in all {
            let bad = base.path().join("bad");
            copy(&good, &bad);
            let mut rows = Table::load(&bad, format, table);
            change(&mut rows);
            rows.save(&bad);
            let report = verified(&bad);
            let lines = lines(&report);
            // Findings name the place, and none is about an undamaged task.
            let place = rows.changed.unwrap_or_default();
            let is_there =
                |line: &str| line.starts_with(&place) || line.starts_with("manifest.json");
            let is_told = lines.contains(finding)
                && lines.lines().all(is_there)
                && (1..100).contains(&report.findings)
                && !lines.contains("SHA-256")
                && !lines.contains("bytes, found");
            if !is_told {
                let count = report.findings;
                wrong += &format!("{name} in {table} ({format:?}): {count} findings\n{lines}");
            }
            fs::remove_dir_all(&bad).unwrap();
            kinds += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(kinds >= 2 * 60, "{kinds}");
}

#[test]
fn every_kind_of_damage_to_files_is_reported() {
    let base = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for (format, good) in good_exports(base.path()) {
        for (name, change, finding) in damaged_files() {
            let bad = base.path().join("bad");
            copy(&good, &bad);
            change(&bad, format);
            let report = verified(&bad);
            let lines = lines(&report);
            if report.findings == 0 || !lines.contains(finding) {
                wrong += &format!("{name} ({format:?}): {lines}\n");
            }
            fs::remove_dir_all(&bad).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
