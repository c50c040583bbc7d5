//! `flatten` of files builds the tables while it reads. Covers repeated tasks, and tables that cannot be written.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::flatten::{assert_verified, exported, run, stderr};
use crate::support::{files_below, manifest, program, published, random_text};

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

/// The numbers of threads that check and build.
const THREADS: [&str; 3] = ["1", "2", "8"];

/// Flattens sources with so many threads; returns what it printed, and its exit code.
fn flattened(sources: &[PathBuf], out: &Path, threads: &str) -> (String, Option<i32>) {
    let mut command = program();
    command.arg("flatten").args(sources).arg("--out").arg(out);
    let output = command.args(["--threads", threads]).output().unwrap();
    (stderr(&output), output.status.code())
}

#[test]
fn lines_of_all_batches_are_counted_and_reported_in_their_order() {
    let base = tempfile::tempdir().unwrap();
    let source = base.path().join("tasks.jsonl");
    let bad = [2, 3, 700, 1_499, 1_501, 2_999, TASKS];
    let texts = (1..=TASKS).map(|number| match number {
        _ if bad.contains(&number) => format!("{{}} {number}\r\n"),
        _ if number % 100 == 0 => "\r\n".to_owned(),
        _ => format!(" {}\t\r\n", task(number, 1, 20)),
    });
    fs::write(&source, format!("\u{feff}{}", texts.collect::<String>())).unwrap();
    let expected: Vec<usize> = bad.to_vec();
    let mut tables = Vec::new();
    for threads in THREADS {
        let out = base.path().join(threads);
        let (printed, code) = flattened(std::slice::from_ref(&source), &out, threads);
        assert_eq!(code, Some(3), "{printed}");
        let numbers = printed.lines().filter_map(|line| {
            let (_, rest) = line.split_once("tasks.jsonl`, line ")?;
            rest.split_once(':')?.0.parse().ok()
        });
        assert_eq!(numbers.collect::<Vec<usize>>(), expected, "{printed}");
        tables.push(published(&out));
        assert_verified(&out);
    }
    assert!(tables.iter().all(|found| *found == tables[0]));
    // The bad lines, and the blank ones that are not bad at the same time.
    let rows = TASKS - bad.len() - (TASKS / 100 - 2);
    assert_eq!(manifest(&base.path().join("1"))["ids"]["exported"], rows);
}

#[test]
fn exports_and_files_are_read_in_their_order_with_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let export = exported(base.path(), &[]);
    let file = base.path().join("tasks.jsonl");
    // Some are in the export too, one of them as a failure.
    let again = (20..2_000).map(|number| task(number, 2, 20));
    let failed = task(0, 2, 20).replace("task_0", "no_such_task");
    lines(&file, again.chain([failed]));
    for (name, sources) in [
        ("first", [export.clone(), file.clone()]),
        ("last", [file, export]),
    ] {
        let mut tables = Vec::new();
        for threads in THREADS {
            let out = base.path().join(format!("{name}-{threads}"));
            let (printed, code) = flattened(&sources, &out, threads);
            // Without a response, an ID fails also where its response comes in an earlier file.
            assert!(matches!(code, Some(0 | 3)), "{printed}");
            tables.push(published(&out));
            assert_verified(&out);
        }
        assert!(tables.iter().all(|found| *found == tables[0]), "{name}");
    }
}

#[test]
fn what_is_wrong_with_lines_is_reported_before_a_damaged_end() {
    let base = tempfile::tempdir().unwrap();
    let source = base.path().join("tasks.jsonl.gz");
    // In a batch that is not full when the file ends.
    let bad = TASKS - 200;
    let mut text = String::new();
    for number in 0..TASKS {
        let line = match number {
            _ if number == bad => "no task".to_owned(),
            _ => task(number, 1, 20),
        };
        writeln!(text, "{line}").unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    fs::write(&source, &whole[..whole.len() - 100]).unwrap();
    let out = base.path().join("out");
    let (printed, code) = flattened(&[source], &out, "2");
    assert_eq!(code, Some(2), "{printed}");
    let warning = printed.find(&format!("tasks.jsonl.gz`, line {}: ", bad + 1));
    let error = printed.find("error: could not read tasks");
    assert!(warning.is_some() && warning < error, "{printed}");
}

#[test]
fn a_task_that_fills_a_batch_is_stored_while_its_pipe_stays_open() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let mut command = program();
    command.args(["flatten", "-", "--quiet", "--out"]).arg(&out);
    let mut run = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = run.stdin.take().unwrap();
    let text = random_text(400_000, 1);
    writeln!(
        stdin,
        "{}",
        serde_json::json!({"task_id": "task_1", "text": text})
    )
    .unwrap();
    let is_stored = || {
        let files = out.exists().then(|| files_below(&out));
        let mut files = files.into_iter().flatten();
        files.any(|file| fs::metadata(file).is_ok_and(|file| file.len() > 100_000))
    };
    let started = Instant::now();
    while !is_stored() {
        if started.elapsed() > Duration::from_secs(30) {
            run.kill().unwrap();
            panic!("the task waits for the end of the pipe");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(stdin);
    assert!(run.wait().unwrap().success());
}
