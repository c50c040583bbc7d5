//! Starting, watching and stopping a run: inputs, log lines, the summary, signals.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

use crate::support::{KEY, export, program, published, sandbox, task_ids};

fn command(server: &Sandbox, out: &Path) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .env("SCALE_API_URL", server.base_url())
        .env("SCALE_EXPORT_RATE", "max")
        .arg("--out")
        .arg(out);
    command
}

#[test]
fn ids_come_from_anywhere() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (first, _) = export(&server, base.path(), "first", &task_ids(9), &[]);
    let (csv, _) = export(
        &server,
        base.path(),
        "csv",
        &task_ids(9),
        &["--format", "csv"],
    );
    let lines: String = (1..=9)
        .map(|number| format!("{{\"status\":null,\"task_id\":\"task_{number}\"}}\n"))
        .collect();
    let json_lines = base.path().join("raw.jsonl");
    fs::write(&json_lines, lines).unwrap();
    // A table of an export is a list of IDs too.
    let files = [
        first.join("tasks.parquet"),
        csv.join("tasks.csv"),
        json_lines,
    ];
    for (index, file) in files.iter().enumerate() {
        let out = base.path().join(format!("from_{index}"));
        let output = command(&server, &out)
            .arg("--ids")
            .arg(file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", file.display());
        assert!(published(&out) == published(&first), "{}", file.display());
    }
    let out = base.path().join("from_stdin");
    let mut child = command(&server, &out)
        .args(["--ids", "-", "--id", "task_9", "--id", "task_1"])
        .args(["-q", "--summary", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = "# eight of them\n\n".to_owned() + &task_ids(8).join("\r\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(list.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(published(&out) == published(&first));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["requested"], 9);
    assert_eq!(summary["duplicates"], 1);
    assert_eq!(summary["exit_code"], 0);
    assert_eq!(summary["rows"]["tasks"], 9);
}

#[test]
fn programs_get_progress_every_second() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, options) = (base.path().join("out"), ["--log-format", "json"]);
    let output = command(&server, &out)
        .env("SCALE_EXPORT_RATE", "10")
        .args(task_ids(25).iter().map(|id| format!("--id={id}")))
        .args(options)
        .args(["--progress", "always"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let events: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["event"] == "progress")
        .collect();
    assert!(events.len() >= 2, "{stderr}");
    assert_eq!(events[0]["total"], 25);
    assert!(events[0]["done"].as_u64() < events[1]["done"].as_u64());
}

#[test]
fn log_lines_are_json_with_log_format_json() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        faults: vec!["500=0.3".parse().unwrap()],
        failed_ids: vec!["404=task_3".parse().unwrap()],
        ..SandboxConfig::default()
    });
    let (_, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(20),
        &["-v", "--log-format", "json"],
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines {
        assert!(line["time"].is_string() && line["message"].is_string());
    }
    let has = |event: &str| lines.iter().any(|line| line["event"] == event);
    assert!(has("retry") && has("failed") && has("summary"), "{stderr}");

    let (_, output) = export(&server, base.path(), "quiet", &task_ids(20), &["-q"]);
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(
        printed.starts_with("Exported 19 of 20 tasks to "),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(output.stdout.is_empty());
}

#[test]
fn variables_of_flags_accept_common_words() {
    let base = tempfile::tempdir().unwrap();
    for (word, code) in [("1", 0), ("yes", 0), ("true", 0), ("0", 2), ("off", 2)] {
        let output = program()
            .env("SCALE_EXPORT_SANDBOX", word)
            .args(["-q", "--id", "task_1", "--out"])
            .arg(base.path().join(word))
            .output()
            .unwrap();
        // Without the sandbox there is no key.
        assert_eq!(output.status.code(), Some(code), "{word}");
    }
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let run = |variable: (&str, &str), options: &[&str]| {
        command(&server, &base.path().join("out"))
            .env(variable.0, variable.1)
            .args(["--id", "task_1", "--refresh", "all"])
            .args(options)
            .output()
            .unwrap()
    };
    let output = run(("SCALE_EXPORT_QUIET", "true"), &["-v"]);
    assert!(output.status.success() && !output.stderr.is_empty());
    let output = run(("SCALE_EXPORT_VERBOSE", "true"), &["-q"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let output = run(("SCALE_EXPORT_FAIL_FAST", "1"), &["--max-failures", "5%"]);
    assert!(output.status.success());
    let output = run(("SCALE_EXPORT_FORMAT", "csv"), &["-q", "-v"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        stderr,
        "error: could not read the command line: --quiet cannot be used with --verbose\n\
         hint: see scale-export --help\n"
    );
}

#[test]
fn every_result_has_a_summary_also_beside_the_tables() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let summary = out.join("summary.json");
    let read = || -> Value { serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap() };
    let run = |key: &str| {
        let mut command = command(&server, &out);
        command.env("SCALE_API_KEY", key).args(["--id", "task_1"]);
        command
            .args(["--refresh", "all", "--summary"])
            .arg(&summary);
        command.output().unwrap().status.code()
    };
    assert_eq!(run(KEY), Some(0));
    assert_eq!(read()["exit_code"], 0);
    assert_eq!(run("wrong"), Some(4));
    assert_eq!(read()["exit_code"], 4);
    assert!(
        read()["error"]
            .as_str()
            .unwrap()
            .contains("refused the key")
    );
    assert_eq!(run(KEY), Some(0));
    assert_eq!(read()["exit_code"], 0);

    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    // Only Linux has a device that is always full.
    if let Ok(full) = full {
        let output = program().arg("schema").stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(6));
    }
}

#[test]
fn the_environment_does_not_size_the_stacks_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    for bytes in ["1", "18446744073709551615"] {
        let output = command(&server, &base.path().join(bytes))
            .args(["--id", "task_1"])
            .env("RUST_MIN_STACK", bytes)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{bytes}: {printed}");
    }
}

#[test]
fn progress_is_written_to_a_file_only_with_always() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    for (progress, drawn) in [("always", true), ("auto", false), ("never", false)] {
        let options = ["--progress", progress];
        let (_, output) = export(&server, base.path(), progress, &task_ids(5), &options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.contains("\r\u{1b}[J"), drawn, "{progress}: {stderr}");
        assert!(stderr.contains("Exported 5 of 5 tasks"), "{stderr}");
    }
}

#[test]
fn a_signal_stops_a_run_and_the_same_command_resumes_it() {
    let base = tempfile::tempdir().unwrap();
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let server = sandbox(SandboxConfig {
            latency: Duration::from_millis(30),
            ..SandboxConfig::default()
        });
        let ids = base.path().join("ids.txt");
        fs::write(&ids, task_ids(200).join("\n")).unwrap();
        let out = base.path().join(format!("out_{code}"));
        let start = || {
            let mut command = command(&server, &out);
            command.arg("--ids").arg(&ids).args(["--concurrency", "4"]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        let mut child = start();
        while server.requests() < 40 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before the signal"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("of 200 tasks saved; no tables were written"),
            "{stderr}"
        );
        assert!(
            stderr.contains("hint: run the same command again"),
            "{stderr}"
        );
        assert!(published(&out).is_empty());

        let output = start().wait_with_output().unwrap();
        assert!(output.status.success());
        // Only the requests that were in flight are repeated.
        assert!(
            server.requests() <= 200 + 4,
            "{} requests",
            server.requests()
        );
    }
    let calm = sandbox(SandboxConfig::default());
    let (whole, _) = export(&calm, base.path(), "whole", &task_ids(200), &[]);
    for code in [129, 130, 143] {
        assert!(published(&base.path().join(format!("out_{code}"))) == published(&whole));
    }
}
