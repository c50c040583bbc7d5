//! Commands that read an export do not make a run fail: it waits for them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use crate::support::{KEY, program, sandbox, task_ids};

/// Longer than a run waits for a mere test of the lock.
const READING: Duration = Duration::from_secs(2);

fn run(server: &Sandbox, out: &Path) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &server.base_url(), "--rate", "max", "--out"])
        .arg(out)
        .args(task_ids(20).iter().flat_map(|id| ["--id", id]));
    command
}

fn verify(out: &Path) -> Command {
    let mut command = program();
    command.arg("verify").arg(out);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Takes the lock that `verify` holds while it reads.
fn read(out: &Path) -> File {
    let lock = File::open(out.join(".scale-export/lock")).unwrap();
    lock.try_lock_shared().unwrap();
    lock
}

/// Starts a run while a command reads, and waits until the run waits for it.
fn waiting_run(server: &Sandbox, out: &Path) -> Child {
    let lock = out.join(".scale-export/lock");
    let earlier = fs::read(&lock).unwrap();
    let run = run(server, out).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while fs::read(&lock).unwrap() == earlier {
        assert!(started.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(10));
    }
    run
}

#[test]
fn a_run_waits_for_a_command_that_reads_and_keeps_others_out() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    assert!(run(&server, &out).status().unwrap().success());
    let reading = read(&out);
    let mut waiting = waiting_run(&server, &out);
    let holder = format!("another run holds the lock (pid {} on ", waiting.id());
    for mut other in [verify(&out), run(&server, &out)] {
        let output = other.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(&holder), "{}", text(&output));
    }
    thread::sleep(READING);
    assert!(waiting.try_wait().unwrap().is_none(), "it does not wait");
    drop(reading);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(verify(&out).status().unwrap().success());
}

#[test]
fn a_run_that_waits_for_a_command_that_reads_can_be_stopped() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    assert!(run(&server, &out).status().unwrap().success());
    let reading = read(&out);
    let waiting = waiting_run(&server, &out);
    let pid = Pid::from_raw(i32::try_from(waiting.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output));
    assert!(
        text(&output).contains("nothing was changed"),
        "{}",
        text(&output)
    );
    drop(reading);
}

/// Two commands that each read half of the time made 7 of 20 runs end with exit code 2.
#[test]
fn commands_that_read_half_of_the_time_make_no_run_fail() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    assert!(run(&server, &out).status().unwrap().success());
    let is_over = AtomicBool::new(false);
    let (codes, readings) = thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut readings = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    readings += u32::from(verify(&out).output().unwrap().status.success());
                    thread::sleep(started.elapsed());
                }
                readings
            })
        });
        let codes: Vec<_> = (0..20)
            .map(|_| run(&server, &out).output().unwrap())
            .map(|output| (output.status.code(), text(&output)))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        (codes, readers.map(|reader| reader.join().unwrap()))
    });
    for (code, printed) in codes {
        assert_eq!(code, Some(0), "{printed}");
    }
    assert!(
        readings.iter().sum::<u32>() > 0,
        "no command read the export"
    );
}
