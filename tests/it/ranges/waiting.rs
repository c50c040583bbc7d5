//! Threads that wait for each other: no run hangs, whatever ends it, at any number of threads.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;

use super::{RANGE_TASKS, flatten_in_ranges};
use crate::flatten::{assert_verified, stderr};
use crate::support::{
    KEY, assert_disk_full, program, published, random_text, raw_responses, sandbox, task_ids,
};

/// After this long a run hangs.
const HANGS: Duration = Duration::from_mins(1);

/// Fewer and more threads than cores, and more than ranges.
const THREADS: [&str; 5] = ["1", "2", "3", "8", "64"];

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits for the end of a program, and fails if it hangs.
fn end_of(child: Child, what: &str) -> Output {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    ended.recv_timeout(HANGS).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{what}: the run hangs")
    })
}

fn assert_ends(child: Child, code: i32, what: &str) -> String {
    let output = end_of(child, what);
    let printed = stderr(&output);
    let found = output.status.code();
    assert_eq!(
        found,
        Some(code),
        "{what}: {:?} {printed}",
        output.status.signal()
    );
    printed
}

/// A program with short ranges.
fn in_ranges(length: &str, threads: &str) -> Command {
    let mut command = program();
    command.env(RANGE_TASKS, length).stderr(Stdio::piped());
    command.env("SCALE_EXPORT_THREADS", threads);
    command
}

fn flatten_stdin(length: &str, threads: &str, out: &Path) -> Command {
    let mut command = in_ranges(length, threads);
    command.args(["flatten", "-", "--out"]).arg(out);
    command.stdin(Stdio::piped());
    command
}

/// A task with a text of this many characters that hardly compress, on a line.
fn line(task_id: &str, characters: usize, seed: u64) -> Vec<u8> {
    let text = random_text(characters, seed);
    let message = serde_json::json!({ "role": "user", "content": { "text": text } });
    let turn = serde_json::json!({ "id": "turn", "messages": [message] });
    let thread = serde_json::json!({ "id": "thread", "turns": [turn] });
    let task =
        serde_json::json!({ "task_id": task_id, "status": "completed", "threads": [thread] });
    format!("{task}\n").into_bytes()
}

fn lines(from: usize, count: usize, characters: usize) -> Vec<u8> {
    let numbers = from..from + count;
    let lines = numbers.map(|number| line(&format!("task_{number}"), characters, number as u64));
    lines.collect::<Vec<_>>().concat()
}

/// An import from a pipe whose first range takes long.
fn slow_import(threads: &str, out: &Path) -> (Child, ChildStdin) {
    let mut child = flatten_stdin("4", threads, out).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&line("slow", 8 << 20, 1)).unwrap();
    (child, stdin)
}

#[test]
fn an_interrupt_ends_workers_behind_a_range_that_never_ends() {
    for threads in THREADS {
        let base = tempfile::tempdir().unwrap();
        let server = sandbox(SandboxConfig {
            failed_ids: vec!["hang=task_1".parse().unwrap()],
            ..SandboxConfig::default()
        });
        let ids = task_ids(150);
        let list = base.path().join("ids");
        std::fs::write(&list, ids.join("\n")).unwrap();
        let out = base.path().join("out");
        let child = in_ranges("4", threads)
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &server.base_url(), "--rate", "max", "--ids"])
            .arg(&list)
            .arg("--out")
            .arg(&out)
            .spawn()
            .unwrap();
        let started = Instant::now();
        let journal = out.join(".scale-export/journal");
        while !journal.exists() || raw_responses(&out).len() < ids.len() - 1 {
            assert!(started.elapsed() < HANGS, "{threads}: no responses");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Workers build what they can, and wait.
        std::thread::sleep(Duration::from_millis(300));
        send(&child, Signal::INT);
        let printed = assert_ends(child, 130, threads);
        assert!(printed.contains("149 of 150 tasks saved"), "{printed}");
    }
}

#[test]
fn an_interrupt_ends_an_import_that_waits_for_a_pipe() {
    for threads in THREADS {
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("out");
        // Ranges behind the slow one are built meanwhile.
        let (child, mut stdin) = slow_import(threads, &out);
        stdin.write_all(&lines(0, 90, 2_000)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        send(&child, Signal::INT);
        assert_ends(child, 130, threads);
        assert!(!out.join("manifest.json").exists());
        drop(stdin);
    }
}

#[test]
fn a_task_that_comes_again_ends_no_worker_that_waits() {
    for threads in THREADS {
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("out");
        // The slow range is being built when the task comes again.
        let (child, mut stdin) = slow_import(threads, &out);
        stdin.write_all(&lines(0, 60, 2_000)).unwrap();
        stdin.write_all(&lines(50, 1, 10)).unwrap();
        stdin.flush().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        stdin.write_all(&lines(60, 30, 2_000)).unwrap();
        drop(stdin);
        assert_ends(child, 0, threads);
        let built = published(&out);
        let new = base.path().join("new");
        let mut again = in_ranges("4", "1");
        again.arg("flatten").arg(&out).arg("--out").arg(&new);
        assert_ends(again.spawn().unwrap(), 0, threads);
        assert!(built == published(&new), "{threads}");
        assert_verified(&out);
    }
}

#[test]
fn a_pipe_that_pauses_anywhere_gives_the_same_bytes() {
    let base = tempfile::tempdir().unwrap();
    let content = lines(0, 60, 300);
    let file = base.path().join("lines");
    std::fs::write(&file, &content).unwrap();
    let expected = flatten_in_ranges(&file, &base.path().join("file"), &[]);
    for threads in THREADS {
        let out = base.path().join(threads);
        let mut child = flatten_stdin("7", threads, &out).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for piece in content.chunks(content.len() / 13 + 1) {
            stdin.write_all(piece).unwrap();
            stdin.flush().unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
        drop(stdin);
        assert_ends(child, 0, threads);
        assert!(published(&out) == expected, "{threads}");
    }
}

/// An error number of Linux.
const ENOSPC: &str = "28";

/// The numbers of the steps of the output lane for which `is_it` is true, in a run over these lines.
fn steps(base: &Path, content: &[u8], is_it: impl Fn(&serde_json::Value) -> bool) -> Vec<usize> {
    let trace = base.join("trace");
    let out = base.join("traced");
    let mut command = flatten_stdin("4", "1", &out);
    let mut child = command.env("SCALE_EXPORT_TRACE", &trace).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    assert_ends(child, 0, "traced");
    let trace = std::fs::read_to_string(trace).unwrap();
    let all = trace
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let output = all.filter(|step| step["lane"] == "output");
    let numbered = (1..).zip(output);
    let found = numbered.filter(|(_, step)| is_it(step));
    found.map(|(number, _)| number).collect()
}

#[test]
fn a_full_disk_ends_an_import_whose_pipe_stays_open() {
    let base = tempfile::tempdir().unwrap();
    let content = [line("slow", 6 << 20, 1), lines(0, 40, 50_000)].concat();
    let of_range = |step: &serde_json::Value| {
        let path = step["path"].as_str().unwrap();
        step["step"] == "write" && (path.contains("range-") || path.contains("tmp-messages"))
    };
    let writes = steps(base.path(), &content, of_range);
    assert!(writes.len() > 3, "{writes:?}");
    for threads in THREADS {
        // One is of the workers, the other of the thread that appends.
        for step in [writes[0], writes[writes.len() / 2]] {
            let what = format!("{threads} threads, step {step}");
            let out = base.path().join(format!("{threads}_{step}"));
            let mut command = flatten_stdin("4", threads, &out);
            command.env("SCALE_EXPORT_FAILPOINT", format!("output:{step}:{ENOSPC}"));
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            // The program may have ended already.
            let _ = stdin.write_all(&content);
            let printed = assert_ends(child, 6, &what);
            assert_disk_full(&printed, &what);
            let left: Vec<_> = published(&out).into_keys().collect();
            assert!(left.is_empty(), "{what}: {left:?}");
            drop(stdin);
        }
    }
}

#[test]
fn an_interrupt_ends_a_build_at_any_moment() {
    let base = tempfile::tempdir().unwrap();
    let source = base.path().join("lines");
    let content = [lines(0, 20, 200_000), lines(20, 100, 5_000)].concat();
    std::fs::write(&source, content).unwrap();
    let out = base.path().join("out");
    let expected = flatten_in_ranges(&source, &out, &[]);
    let mut interrupted = 0;
    for threads in THREADS {
        for wait in [5, 50, 100, 200, 300, 450, 600, 800] {
            let what = format!("{threads} threads after {wait} ms");
            let mut command = in_ranges("7", threads);
            // Another format, so that no range is copied.
            command
                .arg("flatten")
                .arg(&out)
                .arg("--out")
                .arg(base.path().join("new"));
            command.args(["--format", "csv"]);
            let child = command.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            send(&child, Signal::INT);
            let output = end_of(child, &what);
            let code = output
                .status
                .code()
                .or(output.status.signal().map(|signal| 128 + signal));
            assert!(matches!(code, Some(0 | 130)), "{what}: {}", stderr(&output));
            interrupted += usize::from(code == Some(130));
        }
    }
    assert!(
        interrupted >= THREADS.len(),
        "{interrupted} runs were interrupted"
    );
    assert!(published(&out) == expected);
}
