//! The report of an export: its numbers, its text, its safety, and how it looks to a browser.

mod browser;
mod files;
mod hostile;
mod statistics;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::{export, files_below, program, python, root, sandbox, task_ids};

/// The greatest size of a report.
const MAX_BYTES: usize = 300_000;

/// Makes a report; returns its text.
fn report(export: &Path, options: &[&str]) -> String {
    let output = run(export, "-", options);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let html = String::from_utf8(output.stdout).unwrap();
    assert!(html.len() < MAX_BYTES, "{} bytes", html.len());
    html
}

/// Runs the command with a file for the report.
fn run(export: &Path, out: &str, options: &[&str]) -> Output {
    program()
        .arg("report")
        .arg(export)
        .args(["--out", out])
        .args(options)
        .output()
        .unwrap()
}

/// An export of the sandbox with failures and drift.
fn sandbox_export(base: &Path, name: &str, tasks: usize, options: &[&str]) -> PathBuf {
    let server = sandbox(SandboxConfig {
        drift: true,
        failed_ids: vec!["404=task_5".parse().unwrap(), "403=task_6".parse().unwrap()],
        ..SandboxConfig::default()
    });
    let (out, output) = export(&server, base, name, &task_ids(tasks), options);
    assert_eq!(output.status.code(), Some(3));
    out
}

/// Rebuilds tables from tasks, one per line.
fn flatten(base: &Path, name: &str, lines: &str, options: &[&str]) -> PathBuf {
    let tasks = base.join(format!("{name}.jsonl"));
    fs::write(&tasks, lines).unwrap();
    let out = base.join(name);
    let output = program()
        .arg("flatten")
        .arg(&tasks)
        .arg("--out")
        .arg(&out)
        .args(options)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    out
}

/// The text of a page: one line for each element that begins a line, cells of a row between bars.
fn text_of(html: &str) -> String {
    let (_, body) = html.split_once("<body>").unwrap();
    let mut text = String::new();
    for piece in body.split('<').skip(1) {
        let (tag, after) = piece.split_once('>').unwrap();
        let name = tag.split(' ').next().unwrap();
        match name {
            "/tr" | "/h1" | "/h2" | "/h3" | "/p" | "/caption" | "/nav" | "/summary" | "/div" => {
                text.push('\n');
            }
            "/td" | "/th" => text.push_str(" | "),
            "/li" | "/dt" | "/dd" | "/span" | "/title" => text.push(' '),
            _ => {}
        }
        text.push_str(after);
    }
    for (escape, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(escape, character);
    }
    let lines = text.lines().map(|line| line.trim_end_matches([' ', '|']));
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n")
}

/// Compares all numbers of a report with those of DuckDB; returns how many cells were compared.
fn compare(export: &Path, base: &Path, html: &str) -> Result<usize, String> {
    let page = base.join("compared.html");
    fs::write(&page, html).unwrap();
    let output = python()
        .arg(root().join("tests/consumers/report_numbers.py"))
        .arg(export)
        .arg(&page)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.trim().parse().unwrap());
    }
    Err(format!(
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[test]
fn sql_computes_the_same_numbers_in_both_formats() {
    let base = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for format in ["parquet", "csv"] {
        let out = sandbox_export(base.path(), format, 400, &["--format", format]);
        let html = report(&out, &["--contributors"]);
        let compared = compare(&out, base.path(), &html).unwrap_or_else(|error| panic!("{error}"));
        assert!(compared > 1_000, "{compared}");
        pages.push((out, html));
    }
    // The comparison finds one wrong digit.
    let (out, html) = &pages[0];
    let wrong = html.replacen("<td>398</td>", "<td>399</td>", 1);
    assert!(&wrong != html);
    assert!(compare(out, base.path(), &wrong).is_err());
}

#[test]
fn the_report_is_as_recorded() {
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(base.path(), "out", 60, &[]);
    let text = text_of(&report(&out, &[]));
    let lines = text.lines().map(|line| {
        if line.starts_with("Published ") {
            "Published (time) from (address)"
        } else {
            line
        }
    });
    let lines: Vec<&str> = lines.collect();
    insta::assert_snapshot!("report", lines.join("\n"));
}

#[test]
fn the_bytes_depend_on_the_export_alone() {
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(base.path(), "out", 60, &[]);
    let first = report(&out, &[]);
    let moved = base.path().join("moved");
    fs::rename(&out, &moved).unwrap();
    let file = base.path().join("report.html");
    let output = program()
        .env("TZ", "Asia/Tokyo")
        .env("LANG", "tr_TR.UTF-8")
        .arg("report")
        .arg(&moved)
        .arg("--out")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(
        fs::read_to_string(&file).unwrap() == first,
        "the bytes differ"
    );
    // Nothing else is left.
    let files = files_below(base.path());
    let others = files.iter().filter(|path| !path.starts_with(&moved));
    let mut names: Vec<_> = others.map(|path| path.file_name().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["out.ids", "report.html"]);
}

#[test]
fn an_export_without_tasks_has_a_report() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = program()
        .args(["--sandbox", "--project", "Preferences, part 1"])
        .args(["--completed-after", "2099-01-01", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = text_of(&report(&out, &["--contributors"]));
    for note in [
        "No tasks created.",
        "No task has a time of creation and of completion.",
        "No annotations.",
        "No annotation has a number.",
        "No criterion of a rubric has a score.",
        "No messages.",
        "No ID failed.",
        "No submissions.",
    ] {
        assert!(text.contains(note), "{note}: {text}");
    }
}

#[test]
fn a_report_of_a_shard_says_so() {
    let base = tempfile::tempdir().unwrap();
    let shard = sandbox_export(base.path(), "shard", 9, &["--shard", "0/1"]);
    assert!(text_of(&report(&shard, &[])).contains("Shard 0/1 of a list of 9 task IDs"));
    let whole = sandbox_export(base.path(), "whole", 9, &[]);
    assert!(!text_of(&report(&whole, &[])).contains("Shard"));
}

#[test]
fn contributors_are_shown_on_request_only() {
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(base.path(), "out", 60, &[]);
    let html = report(&out, &[]);
    assert!(!html.to_lowercase().contains("contributor"));
    let html = report(&out, &["--contributors"]);
    assert!(html.contains("<bdi>contributor_"));
}

#[test]
fn sections_of_tables_that_are_not_exported_say_so() {
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(
        base.path(),
        "out",
        60,
        &["--tables", "annotations,criterion_evaluations"],
    );
    let text = text_of(&report(&out, &["--contributors"]));
    for table in [
        "tasks",
        "messages",
        "errors",
        "sensitive_content_reports",
        "submissions",
    ] {
        let note = format!("The table {table} was not exported (--tables).");
        assert!(text.contains(&note), "{note}: {text}");
    }
    assert!(text.contains(
        "Models are not shown: the tables tasks and messages were not exported together"
    ));
    assert!(text.contains("Criteria are shown by their ID"));
    assert!(text.contains("integer_check message") && text.contains("\ncriterion_0 | "));
    // Their own numbers are those of the whole export.
    let whole = sandbox_export(base.path(), "whole", 60, &[]);
    let whole = text_of(&report(&whole, &[]));
    let section = |text: &str| {
        let (_, after) = text.split_once("\nLabels by question\n").unwrap();
        after
            .split_once("\nScores by question")
            .unwrap()
            .0
            .to_owned()
    };
    assert_eq!(section(&text), section(&whole));
}
