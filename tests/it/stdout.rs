//! Standard output that is full, or whose reader has ended.

use std::fs;

use crate::support::{print_note, program};

/// Commands that print data.
const PRINTS: &[&[&str]] = &[
    &["completions", "bash"],
    &["schema"],
    &["schema", "--format", "json"],
    &["schema", "tasks", "--dialect", "postgres"],
    &["version"],
    &["--version"],
    &["-h"],
    &["--help"],
    &["help"],
    &["verify", "--help"],
    &["help", "flatten"],
];

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return print_note("left out: only Linux has a device that is always full");
    };
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let out = out.to_str().unwrap();
    let exports: [&[&str]; 2] = [
        &[
            "--sandbox",
            "--id",
            "task_1",
            "--summary",
            "-",
            "--out",
            out,
        ],
        &["verify", out, "--summary", "-"],
    ];
    for arguments in PRINTS.iter().copied().chain(exports) {
        let mut command = program();
        command.args(arguments).stdout(full.try_clone().unwrap());
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{arguments:?}: {stderr}");
        let error = "error: could not write to standard output: ";
        let lines = stderr.lines().filter(|line| line.contains(error));
        assert_eq!(lines.count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains("hint: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_reader_that_ends_early_is_not_an_error() {
    for arguments in PRINTS {
        let whole = program().args(*arguments).output().unwrap();
        assert!(whole.status.success() && !whole.stdout.is_empty());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program().args(*arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}
