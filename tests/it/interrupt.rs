//! Runs that are stopped, that find another run, or that run out of a resource of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use crate::support::server::{Server, requested_id, task_response};
use crate::support::{
    KEY, export, print_note, program, published, raw_responses, sandbox, task_ids,
};

fn command(base_url: &str, out: &Path, ids: usize) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", base_url, "--rate", "max", "--out"])
        .arg(out)
        .args(task_ids(ids).iter().flat_map(|id| ["--id", id]))
        .stderr(Stdio::piped());
    command
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn assert_exit(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// A sandbox that responds for the first tasks and never for the others.
fn stuck_after(responses: usize) -> Sandbox {
    let stuck = task_ids(responses + 40).split_off(responses);
    sandbox(SandboxConfig {
        failed_ids: stuck
            .iter()
            .map(|id| format!("hang={id}").parse().unwrap())
            .collect(),
        ..SandboxConfig::default()
    })
}

/// Longer than the documented limit, since the machine may be busy.
const PROMISED: Duration = Duration::from_secs(10);

#[test]
fn a_signal_ends_a_run_whose_server_is_stuck_and_keeps_what_arrived() {
    let base = tempfile::tempdir().unwrap();
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let server = stuck_after(20);
        let out = base.path().join(code.to_string());
        let child = command(&server.base_url(), &out, 40).spawn().unwrap();
        wait_until("requests that hang", || server.requests() == 40);
        let started = Instant::now();
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert!(started.elapsed() < PROMISED);
        let printed = assert_exit(&output, code);
        assert!(
            printed.contains("interrupted: 20 of 40 tasks saved; no tables were written"),
            "{printed}"
        );
        assert!(
            printed.contains("hint: run the same command again to continue"),
            "{printed}"
        );
        assert_eq!(raw_responses(&out).len(), 20);
        assert!(published(&out).is_empty());
    }
}

#[cfg(debug_assertions)] // Only debug builds have numbered steps.
#[test]
fn a_second_interrupt_leaves_at_once_and_loses_nothing_that_was_written() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    // Steps of the journal: create, write, sync, rename. Then ten tasks arrive, and syncing them hangs.
    let mut child = command(&server.base_url(), &out, 10)
        .args(["--concurrency", "1"])
        .env("SCALE_EXPORT_FAILPOINT", "journal:14:hang")
        .spawn()
        .unwrap();
    wait_until("all requests", || server.requests() == 10);
    wait_until("all records", || raw_responses(&out).len() == 10);
    send(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the disk");
    send(&child, Signal::INT);
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > PROMISED {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_exit(&child.wait_with_output().unwrap(), 130);
    let output = command(&server.base_url(), &out, 10).output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(server.requests(), 10);
}

#[test]
fn a_second_run_stops_at_once_and_names_the_lock_holder() {
    let base = tempfile::tempdir().unwrap();
    let server = stuck_after(5);
    let out = base.path().join("out");
    let mut first = command(&server.base_url(), &out, 10).spawn().unwrap();
    wait_until("requests that hang", || server.requests() == 10);
    let output = command(&server.base_url(), &out, 10).output().unwrap();
    let printed = assert_exit(&output, 2);
    let pid = first.id();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let since = format!("another run holds the lock (pid {pid} on {host}, since 2");
    assert!(printed.contains(&since), "{printed}");
    assert!(
        printed.contains("hint: wait for the other run to end"),
        "{printed}"
    );
    let verified = program().arg("verify").arg(&out).output().unwrap();
    assert_exit(&verified, 2);
    // A killed run leaves the lock file, but no lock.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(out.join(".scale-export/lock").exists());
    let child = command(&server.base_url(), &out, 5).output().unwrap();
    assert_exit(&child, 0);
}

/// Fails the lock of the state directory, and of the lock file if `also_file`, as network shares do. Two directories are
/// created before, each in two steps, and the lock file is opened.
#[cfg(debug_assertions)] // Only debug builds have numbered steps.
fn without_locks(also_file: bool) -> String {
    /// The error "no locks available" of Linux.
    const ENOLCK: i32 = 37;
    let directory = format!("output:6:{ENOLCK}");
    if also_file {
        format!("{directory},output:7:{ENOLCK}")
    } else {
        directory
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_file_system_without_locks_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = command("http://127.0.0.1:9", &out, 1)
        .env("SCALE_EXPORT_FAILPOINT", without_locks(true))
        .output()
        .unwrap();
    let printed = assert_exit(&output, 6);
    assert!(printed.starts_with("error: could not lock `"), "{printed}");
    assert!(
        printed.contains("hint: the file system may not support locks"),
        "{printed}"
    );
}

#[cfg(debug_assertions)]
#[test]
fn a_file_system_that_locks_files_only_is_used() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    let output = command(&server.base_url(), &out, 1)
        .env("SCALE_EXPORT_FAILPOINT", without_locks(false))
        .output()
        .unwrap();
    assert_exit(&output, 0);
}

#[test]
fn few_open_files_mean_few_requests_in_flight_and_no_error() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        latency: Duration::from_millis(5),
        ..SandboxConfig::default()
    });
    let run = |name: &str, limits: &str| {
        let mut inner = command(&server.base_url(), &base.path().join(name), 300);
        inner.args(["--concurrency", "256"]);
        let arguments: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|argument| format!("'{}'", argument.to_str().unwrap()))
            .collect();
        Command::new("sh")
            .env_clear()
            .env("SCALE_API_KEY", KEY)
            .args(["-c", &format!("{limits}; exec {}", arguments.join(" "))])
            .output()
            .unwrap()
    };
    let printed = assert_exit(&run("lower", "ulimit -n 100"), 0);
    assert!(
        printed.contains(
            "warning: sending at most 36 requests at a time instead of 256, because the limit of open files is 100"
        ),
        "{printed}"
    );
    let printed = assert_exit(&run("none", "ulimit -n 40"), 2);
    assert!(
        printed.starts_with("error: could not start: the limit of open files is 40"),
        "{printed}"
    );
    // A soft limit is raised without a message.
    let printed = assert_exit(&run("raised", "ulimit -Sn 64"), 0);
    assert!(!printed.contains("warning"), "{printed}");
    assert!(published(&base.path().join("lower")) == published(&base.path().join("raised")));
}

#[test]
fn a_removed_directory_ends_the_run_soon_with_its_path() {
    const IDS: usize = 600;
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let gone = out.clone();
    let server = Server::start(move |request| {
        if requested_id(request) == "task_30" {
            // The run may create files while they are removed.
            while fs::remove_dir_all(&gone).is_err() && gone.exists() {}
        }
        std::thread::sleep(Duration::from_millis(20));
        task_response(request)
    });
    let output = command(&format!("http://{}", server.address), &out, IDS)
        .args(["--concurrency", "1"])
        .output()
        .unwrap();
    let printed = assert_exit(&output, 6);
    assert!(
        printed.contains("error: could not find the journal `"),
        "{printed}"
    );
    assert!(printed.contains(&out.display().to_string()), "{printed}");
    assert!(printed.contains("hint: "), "{printed}");
    // The run stops soon, without fetching all tasks.
    assert!(server.seen().len() < IDS / 2, "{}", server.seen().len());
}

#[cfg(debug_assertions)] // Only debug builds have numbered steps.
#[test]
fn disk_errors_are_reported_with_a_hint() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    // Error numbers of Linux: no space, quota, read-only, I/O error, no permission.
    for (error, cause, hint) in [
        (
            28,
            "No space left on device",
            "free disk space and run the same command again",
        ),
        (
            122,
            "Disk quota exceeded",
            "free disk space and run the same command again",
        ),
        (30, "Read-only file system", "choose a writable directory"),
        (13, "Permission denied", "choose a writable directory"),
        (
            5,
            "Input/output error",
            "check the disk and run the same command again",
        ),
    ] {
        // The steps create a table, write the journal, and sync it.
        for step in ["output:20", "journal:5", "journal:7"] {
            let out = base.path().join(format!("{error}_{step}"));
            let output = command(&server.base_url(), &out, 3)
                .args(["--concurrency", "1"])
                .env("SCALE_EXPORT_FAILPOINT", format!("{step}:{error}"))
                .output()
                .unwrap();
            let printed = assert_exit(&output, 6);
            assert!(
                printed.contains(cause) && printed.contains(hint),
                "{step}: {printed}"
            );
            assert!(
                printed.contains(&out.display().to_string()),
                "{step}: {printed}"
            );
        }
    }
}

#[test]
fn unwritable_directories_are_reported() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    let places: [(PathBuf, &str); 3] = [
        // The kernel's virtual file systems accept no files from any user.
        (
            "/proc/scale-export".into(),
            "could not create `/proc/scale-export`",
        ),
        (
            "/sys/scale-export".into(),
            "could not create `/sys/scale-export`",
        ),
        (file.join("out"), "not a directory"),
    ];
    for (out, expected) in places {
        if !out.parent().unwrap().exists() {
            print_note(&format!("left out: there is no {}", out.display()));
            continue;
        }
        let output = command("http://127.0.0.1:9", &out, 1).output().unwrap();
        let printed = assert_exit(&output, 6);
        assert!(printed.contains(expected), "{printed}");
        assert!(printed.contains("hint: "), "{printed}");
    }
}

#[test]
fn permissions_of_the_state_are_restricted_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, _) = export(&server, base.path(), "out", &task_ids(3), &[]);
    let state = out.join(".scale-export");
    let journal = state.join("journal");
    for (path, mode) in [(&state, 0o755), (&journal, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let (_, output) = export(&server, base.path(), "out", &task_ids(3), &[]);
    assert_exit(&output, 0);
    for (path, expected) in [(&state, 0o700), (&journal, 0o600)] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, expected, "{}", path.display());
    }
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let base = tempfile::tempdir().unwrap();
    // A shell that runs `trap '' INT` passes the ignored signal on, as it does for background jobs.
    let ignoring = |name: &str| {
        [
            "sh".into(),
            "-c".into(),
            format!("trap '' {name}; exec \"$0\" \"$@\""),
        ]
    };
    let starts: [(&str, Signal, Vec<String>); 3] = [
        ("nohup", Signal::HUP, vec!["nohup".to_owned()]),
        ("hangup", Signal::HUP, ignoring("HUP").into()),
        ("interrupt", Signal::INT, ignoring("INT").into()),
    ];
    for (name, signal, start) in starts {
        let server = sandbox(SandboxConfig {
            latency: Duration::from_millis(100),
            ..SandboxConfig::default()
        });
        let mut inner = command(&server.base_url(), &base.path().join(name), 20);
        inner.args(["--concurrency", "2"]);
        let child = Command::new(&start[0])
            .args(&start[1..])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .env("SCALE_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the first requests", || server.requests() > 4);
        // The outer program executes the inner one, so the process ID is the same.
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_exit(&output, 0);
        assert_eq!(server.requests(), 20, "{name}");
    }
}

/// Shell commands that mount another file system at the state directory, in a separate mount namespace, and then run a
/// program.
const MOUNT: &str = "mount -t tmpfs none \"$0\" && chmod 700 \"$0\" && exec \"$@\"";

#[test]
fn state_on_another_file_system_is_refused_before_anything_is_fetched() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let state = out.join(".scale-export");
    fs::create_dir_all(&state).unwrap();
    let mounted = |program: &Command| {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--map-root-user", "--mount", "sh", "-c", MOUNT])
            .arg(&state)
            .arg(program.get_program())
            .args(program.get_args())
            .env("SCALE_API_KEY", KEY);
        unshare.output()
    };
    if !mounted(&Command::new("true")).is_ok_and(|output| output.status.success()) {
        return print_note("left out: this system does not allow mounts in a user namespace");
    }
    let output = mounted(&command(&server.base_url(), &out, 3)).unwrap();
    let printed = assert_exit(&output, 6);
    let expected = "hint: `.scale-export` must be on the same file system as the output directory";
    assert!(printed.contains(expected), "{printed}");
    assert_eq!(server.requests(), 0);
    assert!(published(&out).is_empty());
}

#[test]
fn a_directory_with_the_name_of_a_table_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(3),
        &["--format", "csv"],
    );
    assert_exit(&output, 0);
    let before = published(&out);
    // Spark writes tables as directories.
    fs::create_dir_all(out.join("turns.parquet/part")).unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(3), &[]);
    assert!(assert_exit(&output, 2).contains("it has a `turns.parquet`"));
    for _ in 0..2 {
        let (_, output) = export(&server, base.path(), "out", &task_ids(3), &["--force"]);
        assert_exit(&output, 6);
        assert!(published(&out) == before);
    }
    fs::remove_dir_all(out.join("turns.parquet")).unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(3), &[]);
    assert_exit(&output, 0);
}
