//! Pipes as inputs and outputs. A signal also ends the program while it waits for the other end.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;

use crate::support::raw_server::task;
use crate::support::{KEY, manifest, program, sandbox, task_ids, to_lines};

/// Longer than the documented two seconds, since the machine may be busy.
const PROMISED: Duration = Duration::from_secs(20);

/// The exit code that a shell reports, also for a signal.
fn code(status: ExitStatus) -> i32 {
    let by_signal = status.signal().map(|signal| 128 + signal);
    status.code().or(by_signal).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pipe(base: &Path, name: &str) -> PathBuf {
    let path = base.join(name);
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    path
}

/// Writes to a pipe as soon as it has a reader.
fn feed(path: &Path, content: Vec<u8>) -> JoinHandle<()> {
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(path).unwrap();
        pipe.write_all(&content).unwrap();
    })
}

fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends a signal until the program has ended, and returns its status. The first signal may arrive before the program
/// waits.
fn ends_by(mut child: Child, signal: Signal, what: &str) -> ExitStatus {
    let started = Instant::now();
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        child.try_wait().unwrap().is_none(),
        "{what}: it does not wait"
    );
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > PROMISED {
            child.kill().unwrap();
            panic!("{what}: {signal:?} did not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_input_and_the_summary_may_be_a_pipe() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let [ids, key, ca, summary] =
        ["ids", "key", "ca", "summary"].map(|name| pipe(base.path(), name));
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let fed = [
        feed(&ids, b"task_1\ntask_2\n".to_vec()),
        feed(&key, KEY.as_bytes().to_vec()),
        feed(&ca, certificate.cert.pem().into_bytes()),
    ];
    let path = summary.clone();
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    let out = base.path().join("out");
    let mut command = program();
    command.args(["--base-url", &server.base_url(), "--rate", "max"]);
    for (option, path) in [
        ("--ids", &ids),
        ("--api-key-file", &key),
        ("--ca-file", &ca),
        ("--summary", &summary),
        ("--out", &out),
    ] {
        command.arg(option).arg(path);
    }
    let output = start(&mut command).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for fed in fed {
        fed.join().unwrap();
    }
    let summary: serde_json::Value = serde_json::from_str(&read.join().unwrap()).unwrap();
    assert_eq!(summary["exported"], 2);
}

#[test]
fn raw_responses_may_come_through_pipes() {
    let base = tempfile::tempdir().unwrap();
    let source = pipe(base.path(), "raw.jsonl");
    let tasks: Vec<_> = task_ids(3).iter().map(|id| task(id)).collect();
    let compressed = zstd::encode_all(&to_lines(&tasks)[..], 1).unwrap();
    let fed = feed(&source, compressed);
    let out = base.path().join("out");
    let mut command = program();
    command
        .arg("flatten")
        .arg(&source)
        .arg("-")
        .arg("--out")
        .arg(&out);
    let mut child = start(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&to_lines([&task("task_9")])).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    fed.join().unwrap();
    assert_eq!(manifest(&out)["ids"]["exported"], 4);
}

#[test]
fn signals_end_a_program_that_waits_for_the_other_end_of_a_pipe() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let lonely = pipe(base.path(), "lonely");
    for (signal, expected) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        for option in ["--ids", "--api-key-file", "--ca-file", "--summary"] {
            let mut command = program();
            command
                .env("SCALE_API_KEY", KEY)
                .args(["--base-url", &server.base_url(), "--id", "task_1", option])
                .arg(&lonely)
                .arg("--out")
                .arg(base.path().join("out"));
            let status = ends_by(start(&mut command), signal, option);
            assert_eq!(code(status), expected, "{option}, {signal:?}");
        }
        let mut flatten = program();
        let out = base.path().join(format!("flat_{expected}"));
        flatten.arg("flatten").arg(&lonely).arg("--out").arg(&out);
        let status = ends_by(start(&mut flatten), signal, "a source");
        assert_eq!(code(status), expected, "a source, {signal:?}");
        // The source pauses after its first task.
        let mut flatten = program();
        flatten.arg("flatten").arg("-").arg("--out").arg(&out);
        let mut child = start(&mut flatten);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&task("task_1")).unwrap();
        let status = ends_by(child, signal, "standard input");
        assert_eq!(code(status), expected, "standard input, {signal:?}");
        assert!(!out.join("manifest.json").exists());
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn one_signal_ends_a_program_whose_summary_is_not_read() {
    /// The default capacity of a pipe on Linux.
    const PIPE_BYTES: usize = 64 << 10;
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let summary = pipe(base.path(), "summary");
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &server.base_url(), "--rate", "max"])
        .args(["--id", "task_1", "--out"])
        .arg(base.path().join("out"))
        .arg("--summary")
        .arg(&summary);
    // Opens both ends, so that the pipe can be filled.
    let mut held = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&summary)
        .unwrap();
    held.write_all(&vec![b' '; PIPE_BYTES]).unwrap();
    let child = start(&mut command);
    let status = ends_by(child, Signal::TERM, "a full pipe");
    assert_eq!(code(status), 143);
}

#[test]
fn a_pipe_as_the_output_directory_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let out = pipe(base.path(), "out");
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", "http://127.0.0.1:9", "--id", "a", "--out"])
        .arg(&out);
    let output = start(&mut command).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}
