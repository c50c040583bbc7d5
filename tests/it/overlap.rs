//! `flatten` of files builds the tables while it reads. Covers repeated tasks, and tables that cannot be written.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::flatten::{assert_verified, run, stderr};
use crate::support::{program, published};

/// Enough tasks that some are in the tables before the last one is read.
const TASKS: usize = 3_000;

/// A task that is large enough for several batches in total. `version` appears in its rows.
fn task(number: usize, version: usize, sentences: usize) -> String {
    let text = format!("text {number} of version {version} ").repeat(sentences);
    format!(
        r#"{{"task_id":"task_{number}","status":"completed","threads":[{{"turns":[{{"messages":[{{"role":"user","content":{{"text":"{text}"}}}}]}}]}}]}}"#
    )
}

fn lines(path: &Path, tasks: impl Iterator<Item = String>) {
    let mut text = String::new();
    for task in tasks {
        writeln!(text, "{task}").unwrap();
    }
    fs::write(path, text).unwrap();
}

#[test]
fn the_last_of_several_responses_for_a_task_counts() {
    let base = tempfile::tempdir().unwrap();
    let place = |name: &str| base.path().join(name);
    lines(
        &place("first.jsonl"),
        (0..TASKS).map(|number| task(number, 1, 20)),
    );
    for (name, again) in [("early", 1), ("late", TASKS - 1)] {
        lines(&place("second.jsonl"), std::iter::once(task(again, 2, 20)));
        let version = |number| if number == again { 2 } else { 1 };
        let tasks = (0..TASKS).map(|number| task(number, version(number), 20));
        lines(&place("expected.jsonl"), tasks);
        let (out, expected) = (place(name), place(&format!("{name}_expected")));
        for (sources, out) in [
            (vec!["first.jsonl", "second.jsonl"], &out),
            (vec!["expected.jsonl"], &expected),
        ] {
            let sources: Vec<_> = sources.into_iter().map(place).collect();
            let mut command = program();
            command.arg("flatten").args(&sources).arg("--out").arg(out);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
        let tables = |out: &Path| {
            let mut files = published(out);
            files.retain(|name, _| name.ends_with(".parquet"));
            files
        };
        assert_eq!(tables(&out).len(), 18);
        assert!(tables(&out) == tables(&expected), "{name}");
        assert_verified(&out);
    }
}

#[test]
fn a_write_error_ends_a_flatten_of_an_endless_source() {
    /// In blocks of 512 bytes, as the shell counts them. The limit is larger than the journal of these tasks and
    /// smaller than their rows.
    const BLOCKS: &str = "600";
    const PATIENCE: Duration = Duration::from_mins(1);
    /// The texts of these tasks exceed the limit of a table's file many times, and not that of the journal.
    const MOST_TASKS: usize = 500;
    const SENTENCES: usize = 2_000;
    let base = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f \"$0\"; exec \"$@\"", BLOCKS])
        .arg(program().get_program())
        .args(["flatten", "-", "--format", "csv", "--out", "out"])
        .current_dir(base.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = limited.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let started = Instant::now();
    let mut written = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(
            started.elapsed() < PATIENCE && written < MOST_TASKS,
            "it reads on after {written} tasks"
        );
        if stdin
            .write_all((task(written, 1, SENTENCES) + "\n").as_bytes())
            .is_err()
        {
            break child.wait().unwrap();
        }
        written += 1;
    };
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut printed).unwrap();
    assert_eq!(status.code(), Some(6), "{printed}");
    // The rows of a range wait in a separate file.
    assert!(printed.contains("range-0.spill"), "{printed}");
    let left = run(&["verify"], &[&base.path().join("out")]);
    assert_ne!(left.status.code(), Some(0));
    let left = fs::read_dir(base.path().join("out")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == ".scale-export"), "{left:?}");
}
