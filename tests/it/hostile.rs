//! Bodies and inputs that are prepared to exhaust memory: gzip bombs, memory limits, endless devices.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::raw_server::{JSON, RawServer, Step, good, response, task};
use crate::support::{KEY, manifest, program, sandbox, task_ids, to_lines};

/// Brackets of a bomb. A parser without a limit needs 24 bytes for each.
const BRACKETS: usize = 30_000_000;

/// Address space in kB. It is enough for the program, one bomb and its parsed form, but not for several bombs at once.
const BOMB_LIMIT_KB: u64 = 900_000;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same command with a limit on its address space.
fn limited(command: &Command, kb: u64) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -v {kb}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("SCALE_EXPORT_PLAN", "ids")
        .env("SCALE_API_KEY", KEY);
    shell
}

fn export(url: &str, out: &Path, ids: &[String]) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", url, "--rate", "max", "--progress", "never"])
        .arg("--out")
        .arg(out);
    for id in ids {
        command.args(["--id", id]);
    }
    command
}

/// Peak memory of a process so far, in kB.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Runs a command until it exits. Returns its output and its peak memory in kB.
fn measured(mut command: Command) -> (Output, u64) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let read = std::thread::spawn(move || {
        let mut printed = Vec::new();
        stderr.read_to_end(&mut printed).unwrap();
        printed
    });
    let mut peak = 0;
    let status = loop {
        peak = peak_kb(child.id()).unwrap_or_default().max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = Output {
        status,
        stdout: Vec::new(),
        stderr: read.join().unwrap(),
    };
    (output, peak)
}

/// A server that responds with a bomb for `bomb_…`, and with a small task for other IDs.
fn bombs() -> RawServer {
    let bomb = gzip(&vec![b'['; BRACKETS]);
    RawServer::start(move |request| {
        if !request.task_id.starts_with("bomb") {
            return good(&request.task_id);
        }
        let headers = [JSON, &[("content-encoding", "gzip")]].concat();
        vec![Step::Send(response("200 OK", &headers, &bomb))]
    })
}

#[test]
fn bombs_cost_their_own_ids_and_little_memory() {
    let base = tempfile::tempdir().unwrap();
    let server = bombs();
    let out = base.path().join("out");
    let mut ids = task_ids(8);
    ids.extend((0..8).map(|number| format!("bomb_{number}")));
    let output = limited(&export(&server.url(), &out, &ids), BOMB_LIMIT_KB)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(manifest(&out)["ids"]["exported"], 8);
    let failures = fs::read_to_string(out.join("failures.jsonl")).unwrap();
    assert_eq!(failures.lines().count(), 8);
    for line in failures.lines() {
        let failure: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(failure["kind"], "too_large", "{line}");
        let expected =
            "the body is too large to parse: lists and objects are nested over 1,048,576";
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn large_tasks_lower_the_concurrency() {
    const TASKS: usize = 64;
    /// The documented limit for tasks of 3 MB.
    const PROMISED_KB: u64 = 200_000;
    let base = tempfile::tempdir().unwrap();
    let message = serde_json::json!({
        "role": "user",
        "content": {"text": "Some words of a message. ".repeat(12)},
        "annotations": [{"key": "quality", "type": "integer", "value": 1}],
    });
    let messages = vec![message.to_string(); 3_000_000 / message.to_string().len()].join(",");
    let server = RawServer::start(move |request| {
        let id = &request.task_id;
        let body = format!(
            r#"{{"task_id":"{id}","status":"completed","threads":[{{"turns":[{{"messages":[{messages}]}}]}}]}}"#
        );
        vec![Step::Send(response("200 OK", JSON, body.as_bytes()))]
    });
    let out = base.path().join("out");
    let (output, peak) = measured(export(&server.url(), &out, &task_ids(TASKS)));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(manifest(&out)["ids"]["exported"], TASKS);
    assert!(peak <= PROMISED_KB, "{peak} kB");
}

#[test]
fn without_memory_for_a_body_the_run_ends_with_an_error_and_its_progress() {
    let base = tempfile::tempdir().unwrap();
    let server = RawServer::start(|request| {
        if request.task_id != "large" {
            return good(&request.task_id);
        }
        let text = "x".repeat(150_000_000);
        let body = format!(r#"{{"task_id":"large","metadata":"{text}"}}"#);
        vec![Step::Send(response("200 OK", JSON, body.as_bytes()))]
    });
    let out = base.path().join("out");
    let mut ids = task_ids(3);
    ids.push("large".to_owned());
    let mut run = export(&server.url(), &out, &ids);
    run.args(["--concurrency", "1"]);
    let output = limited(&run, 350_000).output().unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let errors: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let expected = "error: could not keep the response for task `large` in memory";
    assert!(
        errors.len() == 1 && errors[0].starts_with(expected),
        "{printed}"
    );
    assert!(printed.contains("raise the memory limit"), "{printed}");
    // With more memory, the same command fetches the rest.
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests_for("task_1"), 1);
}

#[test]
fn every_input_has_the_size_limits() {
    let base = tempfile::tempdir().unwrap();
    let bomb = vec![b'['; BRACKETS];
    // A line of a file.
    let lines = base.path().join("raw.jsonl");
    let good = task("task_1");
    fs::write(&lines, to_lines([&good, &bomb])).unwrap();
    let out = base.path().join("out");
    let mut flatten = program();
    flatten.arg("flatten").arg(&lines).arg("--out").arg(&out);
    let output = limited(&flatten, BOMB_LIMIT_KB).output().unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(
        printed.contains("line 2: the body is too large to parse"),
        "{printed}"
    );
    assert_eq!(manifest(&out)["ids"]["exported"], 1);
    // A list of IDs.
    for (name, content) in [
        ("ids.jsonl", bomb.clone()),
        ("ids.json", [b"[", &bomb[..]].concat()),
    ] {
        let list = base.path().join(name);
        fs::write(&list, gzip(&content)).unwrap();
        let mut run = export("http://127.0.0.1:9", &base.path().join("none"), &[]);
        run.arg("--ids").arg(&list);
        let output = limited(&run, BOMB_LIMIT_KB).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    // A page of a list endpoint.
    let page = gzip(&bomb);
    let server = RawServer::start(move |_| {
        let headers = [JSON, &[("content-encoding", "gzip")]].concat();
        vec![Step::Send(response("200 OK", &headers, &page))]
    });
    let mut run = export(&server.url(), &base.path().join("list"), &[]);
    run.args(["--batch", "b"]).env_remove("SCALE_EXPORT_PLAN");
    let output = limited(&run, BOMB_LIMIT_KB)
        .env_remove("SCALE_EXPORT_PLAN")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("too large to parse"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn endless_devices_are_read_to_a_limit_only() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(scale_export::sandbox::config::SandboxConfig::default());
    let out = base.path().join("out");
    for option in ["--api-key-file", "--ca-file", "--ids"] {
        let mut run = export(&server.base_url(), &out, &task_ids(1));
        run.args([option, "/dev/zero"]);
        let output = limited(&run, BOMB_LIMIT_KB).output().unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{option}: {printed}");
        assert!(!printed.contains("memory"), "{option}: {printed}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn huge_state_files_are_not_read_whole() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(scale_export::sandbox::config::SandboxConfig::default());
    let out = base.path().join("out");
    let run = || export(&server.base_url(), &out, &task_ids(3));
    assert!(run().output().unwrap().status.success());
    let huge = |name: &str| {
        let path = out.join(name);
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        // A sparse file takes no disk space.
        file.unwrap().set_len(3 << 30).unwrap();
    };
    let state = ["lock", "pace.json", "listing", "publication", "ids.txt"];
    let published = ["manifest.json", "failures.jsonl", "load.sql", "README.md"];
    let state = state.map(|name| format!(".scale-export/{name}"));
    for name in state.iter().map(String::as_str).chain(published) {
        let copy = base.path().join("copy");
        let copied = Command::new("cp").arg("-a").arg(&out).arg(&copy).status();
        assert!(copied.unwrap().success());
        huge(name);
        let mut verify = program();
        verify.arg("verify").arg(&out);
        for command in [verify, run()] {
            let output = limited(&command, BOMB_LIMIT_KB).output().unwrap();
            let (code, printed) = (output.status.code(), stderr(&output));
            assert!(
                code.is_some_and(|code| code < 8),
                "{name}: {code:?} {printed}"
            );
            assert!(!printed.contains("memory"), "{name}: {printed}");
        }
        fs::remove_dir_all(&out).unwrap();
        fs::rename(&copy, &out).unwrap();
    }
}
