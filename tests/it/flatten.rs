//! `flatten` writes the same bytes as the export, from its journal and from files. User errors are reported.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::server::{Server, requested_id};
use crate::support::{
    KEY, export, manifest, program, published, raw_responses, sandbox, task_ids, to_lines,
};

/// Tasks of an export.
pub(crate) const TASKS: usize = 60;

pub(crate) fn run(arguments: &[&str], paths: &[&Path]) -> Output {
    program().args(arguments).args(paths).output().unwrap()
}

/// Runs `flatten SOURCE --out OUT` with more options.
pub(crate) fn flatten(source: &Path, out: &Path, options: &[&str]) -> Output {
    let mut command = program();
    command.arg("flatten").arg(source).arg("--out").arg(out);
    command.args(options).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn assert_verified(out: &Path) {
    let output = run(&["verify"], &[out]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("equals its raw response"),
        "{}",
        stderr(&output)
    );
}

/// An export with drift and two failed IDs.
pub(crate) fn exported(base: &Path, options: &[&str]) -> PathBuf {
    let server = sandbox(SandboxConfig {
        drift: true,
        tasks: Some(TASKS as u64),
        ..SandboxConfig::default()
    });
    let mut ids = task_ids(TASKS);
    ids.reverse();
    ids.insert(7, "no_such_task".to_owned());
    let (out, output) = export(&server, base, "out", &ids, options);
    assert_eq!(output.status.code(), Some(3));
    out
}

#[test]
fn the_journal_gives_the_bytes_of_the_export() {
    for format in ["parquet", "csv"] {
        let base = tempfile::tempdir().unwrap();
        let out = exported(
            base.path(),
            &["--format", format, "--expand", "project,batch"],
        );
        let before = published(&out);
        let again = base.path().join("again");
        // Twice, since a second run also replaces copies.
        for _ in 0..2 {
            let output = flatten(&out, &again, &["--format", format]);
            assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
            assert!(published(&again) == before);
            assert_verified(&again);
        }
        let output = flatten(&out, &out, &["--format", format]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(published(&out) == before);
        assert_verified(&out);
        assert_eq!(manifest(&again)["ids"], manifest(&out)["ids"]);
        assert_eq!(manifest(&again)["options"], manifest(&out)["options"]);
        // The export resumes.
        let server = sandbox(SandboxConfig::default());
        let (_, output) = export(&server, base.path(), "out", &task_ids(3), &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("--base-url"));
    }
}

#[test]
fn the_other_format_and_some_tables_come_from_the_same_responses() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let output = flatten(
        &out,
        &out,
        &["--format", "csv", "--tables", "messages,tasks"],
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let names: Vec<String> = published(&out).into_keys().collect();
    assert_eq!(
        names,
        [
            "README.md",
            "failures.jsonl",
            "load.sql",
            "messages.csv",
            "tasks.csv"
        ]
    );
    let output = run(&["verify"], &[&out]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not verified: the rebuild of tasks (tables missing: threads")
    );
}

#[test]
fn json_lines_of_every_kind_give_the_bytes_of_the_export() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let mut ids = task_ids(TASKS);
    ids.reverse();
    let (out, output) = export(&server, base.path(), "out", &ids, &[]);
    assert!(output.status.success());
    let before = published(&out);
    let raw = raw_responses(&out);
    let lines = to_lines(ids.iter().map(|task_id| &raw[task_id]));
    let lines = String::from_utf8(lines).unwrap();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(lines.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(lines.as_bytes(), 1).unwrap();
    let crlf = format!("\u{feff}{}", lines.replace('\n', "\r\n\r\n"));
    for (name, content) in [
        ("raw.jsonl", lines.clone().into_bytes()),
        ("raw.jsonl.gz", gzip.clone()),
        ("raw.zst", zstd),
        ("windows.jsonl", crlf.into_bytes()),
    ] {
        let source = base.path().join(name);
        fs::write(&source, content).unwrap();
        let again = base.path().join(format!("{name}.out"));
        let output = flatten(&source, &again, &[]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        assert!(published(&again) == before, "{name}");
        assert_verified(&again);
    }
    let again = base.path().join("stdin.out");
    let mut child = program()
        .args(["flatten", "-", "--out"])
        .arg(&again)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&gzip).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(published(&again) == before);
    // The order of rows is that of the list of IDs.
    let mut shuffled: Vec<&str> = lines.lines().collect();
    shuffled.sort_unstable();
    let source = base.path().join("shuffled.jsonl");
    fs::write(&source, shuffled.join("\n")).unwrap();
    let again = base.path().join("shuffled.out");
    let list = base.path().join("out.ids");
    let output = flatten(&source, &again, &["--ids", list.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(published(&again) == before);
}

#[test]
fn a_line_that_is_not_a_task_affects_no_other_line() {
    let base = tempfile::tempdir().unwrap();
    let source = base.path().join("raw.jsonl");
    let lines = [
        r#"{"task_id":"a","status":"pending"}"#,
        "not json",
        r#"{"status":"completed"}"#,
        r#"{"task_id":"b c"}"#,
        r#"{"task_id":"b","status":"completed"}"#,
        r#"{"task_id":"a","status":"completed","x":{"workspace_token":"live_secret"}}"#,
        "[]",
    ];
    fs::write(&source, lines.join("\n")).unwrap();
    let list = base.path().join("ids.txt");
    fs::write(&list, "b\nc\na\n").unwrap();
    let out = base.path().join("out");
    let output = flatten(
        &source,
        &out,
        &[
            "--format",
            "csv",
            "--summary",
            "-",
            "--ids",
            list.to_str().unwrap(),
        ],
    );
    assert_eq!(output.status.code(), Some(3));
    let printed = stderr(&output);
    for part in [
        "raw.jsonl`, line 2: the body is not JSON",
        "line 3: the body is not a task",
        "line 4: it contains white space",
        "line 7: the body is not a task",
        "4 lines or records skipped in the sources: not a valid task, or damaged",
        "1 missing",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &summary["unreadable"],
            &summary["exported"],
            &summary["failed"]
        ),
        (&4.into(), &2.into(), &1.into())
    );
    let tasks = fs::read_to_string(out.join("tasks.csv")).unwrap();
    let rows: Vec<&str> = tasks.lines().skip(1).collect();
    // Rows have the order of the list, and the last of two responses for a task counts.
    assert!(
        rows[0].starts_with("b,") && rows[1].starts_with("a,"),
        "{tasks}"
    );
    assert!(
        rows[1].contains("completed") && !tasks.contains("live_secret"),
        "{tasks}"
    );
    let failures = fs::read_to_string(out.join("failures.jsonl")).unwrap();
    assert!(
        failures.starts_with(r#"{"task_id":"c","kind":"missing","http_status":null,"attempts":0"#),
        "{failures}"
    );
    assert_verified(&out);
    let journal = fs::read(out.join(".scale-export/journal")).unwrap();
    assert!(!String::from_utf8_lossy(&journal).contains("live_secret"));
}

#[test]
fn an_unfinished_export_flattens_to_its_saved_tasks() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        failed_ids: vec!["401=task_3".parse().unwrap()],
        ..SandboxConfig::default()
    });
    // One request at a time, so that the key is rejected after two tasks.
    let (out, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(5),
        &["--concurrency", "1"],
    );
    assert_eq!(output.status.code(), Some(4));
    let again = base.path().join("again");
    let output = flatten(&out, &again, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(manifest(&again)["ids"]["exported"], 2);
    assert_verified(&again);
}

#[test]
fn mistakes_in_sources_are_errors_and_lose_nothing() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let before = published(&out);
    let journal = fs::read(out.join(".scale-export/journal")).unwrap();
    let lines = base.path().join("raw.jsonl");
    fs::write(&lines, "{\"task_id\":\"a\"}\n").unwrap();
    let empty = base.path().join("empty.jsonl");
    fs::write(&empty, "\n").unwrap();
    let no_export = base.path().join("no_export");
    fs::create_dir(&no_export).unwrap();
    let new = base.path().join("new");
    for (source, out, printed) in [
        (
            lines.as_path(),
            out.as_path(),
            "it has fetched responses of an export, which would be lost",
        ),
        (
            &base.path().join("nowhere"),
            &new,
            "there is no such file or directory",
        ),
        (&empty, &new, "could not find any task"),
        (&no_export, &new, "the directory has no raw responses"),
    ] {
        let output = flatten(source, out, &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(printed), "{}", stderr(&output));
        assert!(stderr(&output).contains("\nhint: "), "{}", stderr(&output));
    }
    assert!(published(&out) == before);
    assert!(fs::read(out.join(".scale-export/journal")).unwrap() == journal);
    assert!(!new.join("manifest.json").exists());
    assert!(!new.join(".scale-export/journal.new").exists());
    let output = run(&["flatten"], &[&lines]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--out is missing"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn failures_of_a_refresh_are_kept_by_flatten() {
    let is_later = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&is_later);
    let server = Server::start(move |request| {
        let task_id = requested_id(request);
        let is_lost = later.load(Ordering::Relaxed) && task_id == "b";
        let body = format!(r#"{{"task_id":"{task_id}","status":"pending"}}"#);
        let response = Response::builder().status(if is_lost { 404 } else { 200 });
        response.body(Full::new(Bytes::from(body))).unwrap()
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let run_export = || {
        program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args([
                "--rate", "max", "--id", "a", "--id", "b", "--id", "c", "--out",
            ])
            .arg(&out)
            .output()
            .unwrap()
    };
    assert!(run_export().status.success());
    is_later.store(true, Ordering::Relaxed);
    assert_eq!(run_export().status.code(), Some(3));
    let before = published(&out);
    let again = base.path().join("again");
    assert_eq!(flatten(&out, &again, &[]).status.code(), Some(3));
    assert!(published(&again) == before);
    assert_eq!(flatten(&out, &out, &[]).status.code(), Some(3));
    assert!(published(&out) == before);
    assert_verified(&out);
}

#[test]
fn flatten_reports_what_a_damaged_journal_lost() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let journal = out.join(".scale-export/journal");
    let mut content = fs::read(&journal).unwrap();
    let at = content.len() / 2;
    content[at] ^= 1;
    fs::write(&journal, content).unwrap();
    fs::remove_file(out.join(".scale-export/ids.txt")).unwrap();
    for again in [base.path().join("again"), out.clone()] {
        // How many records share a block, and are lost with it, depends on how fast they came.
        let options = ["--summary", "-", "--max-shrink", "100%"];
        let output = flatten(&out, &again, &options);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["unreadable"], 1);
        assert!(
            stderr(&output).contains("warning: skipped 1 damaged place in the journal"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_directory_is_flattened_in_place_whatever_its_name() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let before = published(&out);
    let whole = out.display().to_string();
    for (source, target) in [
        (".", "."),
        ("./", "."),
        (whole.as_str(), "."),
        (".", whole.as_str()),
    ] {
        let mut command = program();
        command
            .current_dir(&out)
            .args(["flatten", source, "--out", target]);
        let output = command.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(3),
            "{source} {target}: {}",
            stderr(&output)
        );
        assert!(published(&out) == before);
    }
}

#[test]
fn flatten_in_place_ignores_a_torn_tail() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, _) = export(&server, base.path(), "out", &task_ids(9), &[]);
    let path = out.join(".scale-export/journal");
    let mut journal = fs::OpenOptions::new().append(true).open(path).unwrap();
    journal.write_all(&[0x7E; 50]).unwrap();
    drop(journal);
    assert!(flatten(&out, &out, &[]).status.success());
    assert_verified(&out);
    // This run cuts off the torn tail.
    let (_, output) = export(&server, base.path(), "out", &task_ids(9), &[]);
    assert!(
        stderr(&output).starts_with("Nothing to do"),
        "{}",
        stderr(&output)
    );
    assert_verified(&out);
}

/// How long a run may take that must not wait forever.
const LIMIT: Duration = Duration::from_secs(100);

#[test]
fn a_task_larger_than_the_cache_that_compresses_well_does_not_stop_an_import() {
    let base = tempfile::tempdir().unwrap();
    let line = |id: &str, bytes: usize| {
        let text = "x".repeat(bytes);
        format!("{{\"task_id\":\"{id}\",\"params\":{{\"text\":\"{text}\"}}}}\n")
    };
    // The first waits for the journal, which has too little to write; the others fill the cache meanwhile.
    let mut lines = line("huge", 5 << 20);
    lines.extend((0..1_500).map(|number| line(&format!("task_{number}"), 5 << 10)));
    let source = base.path().join("tasks.jsonl");
    fs::write(&source, lines).unwrap();
    let mut tables = Vec::new();
    for threads in ["1", "2", "8"] {
        let out = base.path().join(threads);
        let mut command = program();
        command.arg("flatten").arg(&source).arg("--out").arg(&out);
        command.args(["--threads", threads, "--quiet"]);
        let mut run = command.spawn().unwrap();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = run.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > LIMIT {
                run.kill().unwrap();
                panic!("--threads {threads} waits forever");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success());
        tables.push(published(&out));
    }
    assert!(tables.iter().all(|found| *found == tables[0]));
}
