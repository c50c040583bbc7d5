//! `--dry-run` and `check` fail where the run would fail, with the same exit code, and write nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use crate::support::{KEY, files_below, program, sandbox, task_ids};

/// A run that cannot start.
struct Case {
    name: &'static str,
    code: i32,
    /// Prepares a directory with an export of 20 tasks. Returns a file to keep open.
    prepare: fn(&Path) -> Option<fs::File>,
    /// Number of tasks in the list.
    tasks: usize,
    options: &'static [&'static str],
    key: &'static str,
}

const WELL: Case = Case {
    name: "nothing is wrong",
    code: 0,
    prepare: |_| None,
    tasks: 20,
    options: &[],
    key: KEY,
};

fn rewrite(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    fs::write(path, change(fs::read(path).unwrap())).unwrap();
}

fn cases() -> Vec<Case> {
    vec![
        WELL,
        Case {
            name: "a wrong key",
            code: 4,
            options: &["--refresh", "all"],
            key: "wrong_key",
            ..WELL
        },
        Case {
            name: "other options",
            code: 2,
            options: &["--expand", "project"],
            ..WELL
        },
        Case {
            name: "a list that lacks most tasks",
            code: 8,
            tasks: 5,
            ..WELL
        },
        Case {
            name: "the only ID to fetch does not exist",
            code: 3,
            options: &["--refresh", "none", "--id", "no_such_task"],
            ..WELL
        },
        Case {
            name: "the only ID to fetch does not exist, with --tolerate",
            options: &[
                "--refresh",
                "none",
                "--id",
                "no_such_task",
                "--tolerate",
                "1",
            ],
            ..WELL
        },
        Case {
            name: "the only ID to fetch does not exist, with --drop-missing",
            options: &[
                "--refresh",
                "none",
                "--id",
                "no_such_task",
                "--drop-missing",
            ],
            ..WELL
        },
        Case {
            name: "the only ID to fetch does not exist, with --max-failures",
            code: 1,
            options: &[
                "--refresh",
                "none",
                "--id",
                "no_such_task",
                "--max-failures",
                "0",
            ],
            ..WELL
        },
        Case {
            name: "a file of the user's",
            code: 2,
            prepare: |out| {
                fs::write(out.join("tasks.csv"), "theirs").unwrap();
                None
            },
            options: &["--format", "csv"],
            ..WELL
        },
        Case {
            name: "a newer manifest",
            code: 2,
            prepare: |out| {
                rewrite(&out.join("manifest.json"), |text| {
                    let text = String::from_utf8(text).unwrap();
                    let text = text.replace("\"format_version\": 1", "\"format_version\": 9");
                    text.replace(env!("CARGO_PKG_VERSION"), "99.0.0").into()
                });
                None
            },
            ..WELL
        },
        Case {
            name: "a newer journal",
            code: 2,
            prepare: |out| {
                rewrite(&out.join(".scale-export/journal"), |mut bytes| {
                    bytes[8] = 99;
                    bytes
                });
                None
            },
            ..WELL
        },
        Case {
            name: "a link in the state",
            code: 6,
            prepare: |out| {
                let lock = out.join(".scale-export/lock");
                fs::remove_file(&lock).unwrap();
                symlink("/dev/null", lock).unwrap();
                None
            },
            ..WELL
        },
        Case {
            name: "a run at work",
            code: 2,
            prepare: |out| {
                let lock = fs::File::open(out.join(".scale-export/lock")).unwrap();
                lock.lock().unwrap();
                Some(lock)
            },
            ..WELL
        },
        Case {
            name: "a file instead of the state",
            code: 6,
            prepare: |out| {
                fs::remove_dir_all(out.join(".scale-export")).unwrap();
                fs::write(out.join(".scale-export"), "").unwrap();
                None
            },
            ..WELL
        },
    ]
}

/// The ways to find out whether a run would fail, before the run itself: its first arguments.
const WAYS: [&[&str]; 2] = [&["--dry-run"], &["check"]];

fn run(server: &Sandbox, out: &Path, case: &Case, first: &[&str]) -> (Option<i32>, String) {
    let output = program()
        .args(first)
        .env("SCALE_API_KEY", case.key)
        .args(["--base-url", &server.base_url(), "--rate", "max", "--out"])
        .arg(out)
        .args(task_ids(case.tasks).iter().flat_map(|id| ["--id", id]))
        .args(case.options)
        .output()
        .unwrap();
    let printed = [output.stderr, output.stdout].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (output.status.code(), printed)
}

/// Every file with its content and the time of its last change.
fn snapshot(out: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
    let files = files_below(out).into_iter();
    files
        .map(|path| {
            let content = fs::read(&path).unwrap();
            let changed = fs::symlink_metadata(&path).unwrap().mtime_nsec();
            (path, (content, changed))
        })
        .collect()
}

#[test]
fn a_dry_run_and_a_check_refuse_what_the_run_would_refuse() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    for case in cases() {
        let out = base.path().join("out");
        let _ = fs::remove_dir_all(&out);
        assert_eq!(run(&server, &out, &WELL, &[]).0, Some(0));
        let _held = (case.prepare)(&out);
        let before = snapshot(&out);
        for way in WAYS {
            let (code, printed) = run(&server, &out, &case, way);
            assert!(snapshot(&out) == before, "{way:?}: {}", case.name);
            assert_eq!(code, Some(case.code), "{way:?}: {}: {printed}", case.name);
        }
        let (code, printed) = run(&server, &out, &case, &[]);
        assert_eq!(code, Some(case.code), "{}: {printed}", case.name);
    }
}

#[test]
fn a_dry_run_and_a_check_report_a_wrong_key_and_an_unwritable_directory() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let fresh = base.path().join("new/out");
    let wrong = Case {
        key: "wrong_key",
        ..WELL
    };
    for way in WAYS {
        assert_eq!(run(&server, &fresh, &WELL, way).0, Some(0));
        assert_eq!(run(&server, &fresh, &wrong, way).0, Some(4));
    }
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.join("out"), PathBuf::from("/proc/out")] {
        for way in WAYS.into_iter().chain([&[][..]]) {
            let (code, printed) = run(&server, &out, &WELL, way);
            assert_eq!(code, Some(6), "{}: {printed}", out.display());
        }
    }
    assert!(!base.path().join("new").exists());
}
