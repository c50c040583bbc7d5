//! `status`: what it prints of every kind of export, and that it neither changes nor disturbs one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::faults::FailedId;
use scale_export::sandbox::server::Sandbox;
use serde_json::{Value, json};

use crate::support::table::copy;
use crate::support::{KEY, export, files_below, program, root, sandbox, task_ids};

/// Tasks of an export. In the sandbox, one in five is not in a final state.
const TASKS: usize = 20;

fn status(out: &Path) -> Command {
    let mut command = program();
    command.arg("status").arg(out);
    command
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The status as JSON.
fn read(out: &Path) -> Value {
    let output = status(out).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A sandbox where two tasks of [`TASKS`] fail.
fn with_failures() -> Sandbox {
    sandbox(SandboxConfig {
        failed_ids: ["404=task_3", "410=task_5"]
            .map(|failed| failed.parse::<FailedId>().unwrap())
            .into(),
        ..SandboxConfig::default()
    })
}

/// Exports with one request at a time, so that the journal always has the same size.
fn exported(server: &Sandbox, base: &Path, code: i32) -> PathBuf {
    let one = ["--concurrency", "1"];
    let (out, output) = export(server, base, "out", &task_ids(TASKS), &one);
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    out
}

/// The text of a status without what differs between runs.
fn recorded(out: &Path, url: &str) -> String {
    let output = status(out).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let text = text(&output).replace(&out.parent().unwrap().display().to_string(), "BASE");
    let text = text.replace(url, "URL");
    let lines = text.lines().map(|line| {
        // A time begins with its year and ends with `Z`.
        let has_time = line.starts_with("published ") || line.starts_with("last run ");
        let from = line.find("20").filter(|_| has_time);
        match from.and_then(|from| Some((&line[..from], line[from..].split_once('Z')?.1))) {
            Some((before, after)) => format!("{before}TIME{after}"),
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_status_is_as_recorded() {
    let base = tempfile::tempdir().unwrap();
    let server = with_failures();
    let out = exported(&server, base.path(), 3);
    let text = recorded(&out, &server.base_url());
    insta::assert_snapshot!("status_with_failures", text);
}

#[test]
fn the_status_says_what_the_next_run_fetches() {
    let base = tempfile::tempdir().unwrap();
    let server = with_failures();
    let out = exported(&server, base.path(), 3);
    let before = read(&out);
    assert_eq!(before["version"], 1);
    let tasks = &before["tasks"];
    assert_eq!(tasks["listed"], TASKS);
    assert_eq!(tasks["failed"], 2);
    assert_eq!(tasks["failures"], json!({"http_error": 1, "not_found": 1}));
    let kept = tasks["kept"].as_u64().unwrap();
    assert_eq!(kept, TASKS as u64 - 2);
    let parts = ["final", "not_final"].map(|name| tasks[name].as_u64().unwrap());
    assert_eq!(parts.iter().sum::<u64>(), kept);
    let by_status = tasks["by_status"].as_object().unwrap();
    let rows: u64 = by_status
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(rows, kept);
    let next = &before["next_run"];
    assert_eq!(next["not_final"], parts[1]);
    assert_eq!(next["failed"], 2);
    assert!(parts[1] > 0, "{before:#}");
    // The next run requests as many.
    let again = exported(&server, base.path(), 3);
    let summary = fs::read(again.join(".scale-export/last_run.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["requests"], next["fetch"], "{before:#}");
    let after = read(&out);
    assert_eq!(after["last_run"], summary);
    assert!(
        after["journal"]["superseded_bytes"].as_u64() > Some(0),
        "{after:#}"
    );
    assert_eq!(after["lock"], json!({"is_held": false, "holder": null}));
    assert_eq!(after["problems"], json!([]));
}

#[test]
fn csv_tables_are_counted_by_status_too() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let by_status = |format| {
        let options = ["--format", format];
        let (out, output) = export(&server, base.path(), format, &task_ids(TASKS), &options);
        assert!(output.status.success(), "{}", text(&output));
        read(&out)["tasks"]["by_status"].clone()
    };
    let of_parquet = by_status("parquet");
    assert!(of_parquet["completed"].as_u64() > Some(0), "{of_parquet}");
    assert_eq!(of_parquet, by_status("csv"));
}

#[test]
fn a_status_changes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let files = || -> Vec<_> {
        let files = files_below(&out).into_iter();
        files
            .map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path))
            .collect()
    };
    let before = files();
    read(&out);
    assert_eq!(files(), before);
}

/// A journal of a run that was killed before its first publication.
#[test]
fn a_first_run_that_was_interrupted_has_a_status() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&with_failures(), base.path(), 3);
    for file in files_below(&out) {
        let is_kept = ["journal", "lock"].iter().any(|name| file.ends_with(name));
        if !is_kept {
            fs::remove_file(file).unwrap();
        }
    }
    let status = read(&out);
    assert_eq!(status["publication"], Value::Null);
    assert_eq!(status["last_run"], Value::Null);
    assert_eq!(status["options"]["opts"][0], "annotation_details");
    assert_eq!(status["options"]["format"], Value::Null);
    let tasks = &status["tasks"];
    assert_eq!(tasks["listed"], Value::Null);
    assert_eq!(tasks["kept"], TASKS - 2);
    assert_eq!(tasks["by_status"], Value::Null);
    // The run that resumes this one keeps the failures: they were final.
    let next = &status["next_run"];
    assert_eq!(next["is_list_known"], false);
    assert_eq!(next["fetch"], 0, "{status:#}");
    let output = self::status(&out).output().unwrap();
    assert!(
        text(&output).contains("published     nothing yet"),
        "{}",
        text(&output)
    );
}

#[test]
fn damaged_parts_are_named_and_the_rest_is_printed() {
    let base = tempfile::tempdir().unwrap();
    let good = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let whole = read(&good);
    for (name, part, damage, same) in [
        (
            "the manifest",
            "manifest.json",
            &b"{\"format_version\": 1"[..],
            "journal",
        ),
        (
            "the journal",
            ".scale-export/journal",
            b"no journal",
            "publication",
        ),
        (
            "the last run",
            ".scale-export/last_run.json",
            b"{}",
            "tasks",
        ),
        ("the list", ".scale-export/ids.txt", b"\xff\xfe", "last_run"),
        ("a table", "tasks.parquet", b"PAR1", "next_run"),
    ] {
        let out = base.path().join("damaged");
        let _ = fs::remove_dir_all(&out);
        copy(&good, &out);
        fs::write(out.join(part), damage).unwrap();
        let status = read(&out);
        let problems = status["problems"].as_array().unwrap();
        assert!(
            problems.iter().any(|problem| problem["part"] == part),
            "{name}: {status:#}"
        );
        assert_eq!(status[same], whole[same], "{name}");
        let output = self::status(&out).output().unwrap();
        let printed = text(&output);
        assert!(
            printed.contains(&format!("problem       {part}: ")),
            "{name}: {printed}"
        );
    }
}

#[test]
fn standard_output_has_the_status_or_the_summary() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    for (options, code) in [(&["--json"][..], 2), (&[], 2), (&["-q"], 0)] {
        let output = status(&out)
            .args(["--summary", "-"])
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            error.contains("--summary cannot be `-`"),
            code == 2,
            "{error}"
        );
        if code == 0 {
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(summary["status"]["version"], 1);
        }
    }
}

#[test]
fn a_lost_journal_and_a_damaged_manifest_do_not_look_like_a_small_run() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let tasks = read(&out)["publication"]["requested"].clone();
    let lost = base.path().join("lost");
    copy(&out, &lost);
    for (path, is_list_known) in [(".scale-export/journal", true), (".scale-export", false)] {
        let path = lost.join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let status = read(&lost);
        let next = &status["next_run"];
        assert_eq!(next["fetch"], tasks, "{status:#}");
        assert_eq!(next["not_requested"], tasks, "{status:#}");
        assert_eq!(next["is_list_known"], is_list_known, "{status:#}");
        assert_eq!(status["problems"][0]["part"], ".scale-export/journal");
    }
    fs::write(out.join("manifest.json"), "{").unwrap();
    let printed = text(&status(&out).output().unwrap());
    let line = "published     unknown, since the manifest is damaged\n";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn an_export_of_a_newer_version_and_a_directory_without_one_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let good = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let newer = base.path().join("newer");
    copy(&good, &newer);
    let manifest = fs::read_to_string(newer.join("manifest.json")).unwrap();
    let manifest = manifest
        .replace("\"format_version\": 1", "\"format_version\": 9")
        .replace(env!("CARGO_PKG_VERSION"), "99.0.0");
    fs::write(newer.join("manifest.json"), manifest).unwrap();
    let newer_journal = base.path().join("newer_journal");
    copy(&good, &newer_journal);
    let journal = newer_journal.join(".scale-export/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[8] = 99;
    fs::write(&journal, bytes).unwrap();
    let empty = base.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let other = base.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("manifest.json"), "{\"name\": \"an app\"}").unwrap();
    let file = base.path().join("out.ids");
    for (out, cause) in [
        (newer, "is newer"),
        (newer_journal, "is newer"),
        (empty, "it has no manifest.json and no saved responses"),
        (other, "is not one of scale-export"),
        (file, "it is not a directory"),
        (base.path().join("missing"), "No such file"),
    ] {
        let output = status(&out).output().unwrap();
        let printed = text(&output);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{}: {printed}",
            out.display()
        );
        assert!(printed.contains(cause), "{}: {printed}", out.display());
        assert!(printed.contains("\nhint: "), "{}: {printed}", out.display());
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_run_at_work_is_named_and_not_disturbed() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        latency: Duration::from_millis(50),
        ..SandboxConfig::default()
    });
    let list = base.path().join("ids.txt");
    fs::write(&list, task_ids(200).join("\n")).unwrap();
    let out = base.path().join("out");
    let mut run = program()
        .env("SCALE_API_KEY", KEY)
        .args([
            "--rate",
            "max",
            "--concurrency",
            "4",
            "--progress",
            "never",
            "-q",
        ])
        .args(["--base-url", &server.base_url(), "--ids"])
        .arg(&list)
        .arg("--out")
        .arg(&out)
        .spawn()
        .unwrap();
    let mut most = 0;
    let mut seen = 0;
    let ended = loop {
        if let Some(ended) = run.try_wait().unwrap() {
            break ended;
        }
        let output = status(&out).arg("--json").output().unwrap();
        let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) else {
            // The run has not created its journal yet.
            assert_eq!(output.status.code(), Some(2), "{}", text(&output));
            continue;
        };
        let kept = status["tasks"]["kept"].as_u64().unwrap();
        if status["lock"]["is_held"] == true {
            let holder = status["lock"]["holder"].as_str().unwrap();
            assert!(
                holder.starts_with(&format!("pid {} on ", run.id())),
                "{holder}"
            );
            assert_eq!(status["is_publication_interrupted"], false, "{status:#}");
            seen += 1;
        }
        assert!(kept >= most, "{kept} after {most}");
        assert_eq!(status["problems"], json!([]), "{status:#}");
        most = kept;
    };
    assert!(ended.success());
    assert!(seen > 2 && most > 0, "{seen} readings, {most} tasks");
    let status = read(&out);
    assert_eq!(status["tasks"]["kept"], 200);
    assert_eq!(status["lock"]["is_held"], false);
}

#[test]
fn an_incomplete_record_at_the_end_of_the_journal_is_no_problem() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let journal = out.join(".scale-export/journal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 7]).unwrap();
    let status = read(&out);
    assert!(
        status["journal"]["incomplete_bytes"].as_u64() > Some(0),
        "{status:#}"
    );
    assert_eq!(status["journal"]["damaged"], 0);
    assert_eq!(status["tasks"]["not_requested"], 1);
    assert_eq!(status["next_run"]["not_requested"], 1);
    assert_eq!(status["problems"], json!([]));
}

/// Testing the lock takes it for an instant. A run that starts at that instant must not end with exit code 2.
#[test]
fn runs_that_start_while_the_status_is_read_get_their_lock() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = exported(&server, base.path(), 0);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let lock = out.join(".scale-export/lock");
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    // As the test of the lock, far more often than any program would.
                    let lock = fs::File::open(&lock).unwrap();
                    let _ = lock.try_lock_shared();
                    drop(lock);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let codes: Vec<_> = (0..20)
            .map(|_| {
                let (_, output) = export(&server, base.path(), "out", &task_ids(TASKS), &[]);
                output.status.code()
            })
            .collect();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(codes, [Some(0); 20]);
    });
}

#[test]
fn copies_that_flatten_makes_have_no_next_run() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&sandbox(SandboxConfig::default()), base.path(), 0);
    let copied = base.path().join("copied");
    let flattened = program()
        .arg("flatten")
        .arg(&out)
        .arg("--out")
        .arg(&copied)
        .output()
        .unwrap();
    assert!(flattened.status.success(), "{}", text(&flattened));
    let status = read(&copied);
    assert_eq!(status["next_run"], Value::Null, "{status:#}");
    assert_eq!(status["tasks"]["kept"], TASKS);
}

#[test]
fn every_member_of_the_json_is_documented() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(&with_failures(), base.path(), 3);
    let page = fs::read_to_string(root().join("docs/status.md")).unwrap();
    let status = read(&out);
    for (part, value) in status.as_object().unwrap() {
        assert!(page.contains(&format!("| `{part}` | ")), "{part}");
        // The members of `last_run` are those of a summary.
        let members = value.as_object().filter(|_| part != "last_run");
        for name in members.into_iter().flatten().map(|(name, _)| name) {
            let is_there = [format!("`{name}`"), format!("`{part}.{name}`")]
                .iter()
                .any(|text| page.contains(text));
            assert!(is_there, "docs/status.md does not have {part}.{name}");
        }
    }
}
