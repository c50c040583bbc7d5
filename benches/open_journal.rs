//! Time and memory to read the journal of earlier runs: writes journals of growing size, and runs the program on
//! each until it reports what the journal holds. `docs/journal.md` has the figures.
//!
//! `make bench-resume`, or `BENCH_RECORDS=5000000 make bench-resume` for another size.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark speaks to the person who runs it"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use scale_export::journal::format::{FLAG_FINAL, JournalOptions, JournalRecord, RecordKind};
use scale_export::journal::writer::Journal;
use scale_export::sandbox::generate::sample_task;

/// Number of different bodies; the records repeat them.
const BODIES: u64 = 1_000;

/// Records that are written together.
const WRITTEN_TOGETHER: u64 = 1_000;

/// Nothing listens at this address: the benchmark ends before the first request.
const BASE_URL: &str = "http://127.0.0.1:9";

fn main() {
    let given = std::env::var("BENCH_RECORDS").ok();
    let sizes = given.map_or_else(
        || vec![10_000, 100_000, 1_000_000],
        |size| vec![size.parse().unwrap()],
    );
    println!("   records    journal    read in   records/s    peak memory  per record");
    let base = tempfile::tempdir().unwrap();
    let smallest = measure(base.path(), 1);
    for size in sizes {
        let found = measure(base.path(), size);
        println!(
            "{size:>10} {:>7.1} MB {:>8.2} s {:>11.0} {:>11.1} MB {:>8.0} B",
            found.journal_bytes as f64 / 1e6,
            found.seconds,
            size as f64 / found.seconds,
            found.memory as f64 / 1e6,
            found.memory.saturating_sub(smallest.memory) as f64 / size as f64,
        );
    }
}

struct Found {
    journal_bytes: u64,
    seconds: f64,
    /// Peak resident memory, in bytes.
    memory: u64,
}

fn measure(base: &Path, size: u64) -> Found {
    let out = base.join("out");
    let state = out.join(".scale-export");
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).recursive(true).create(&state).unwrap();
    let journal_bytes = write_journal(&state.join("journal"), size);
    let list: String = (0..size).map(|number| format!("task_{number}\n")).collect();
    let ids = base.join("ids.txt");
    fs::write(&ids, list).unwrap();
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_scale-export"))
        .env("SCALE_API_KEY", "none")
        .args(["--base-url", BASE_URL, "--opts", "", "--ids"])
        .arg(&ids)
        .arg("--out")
        .arg(&out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        line.contains(&format!("all {size} tasks are here already")),
        "{line}"
    );
    fs::remove_dir_all(&out).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    Found {
        journal_bytes,
        seconds,
        memory: peak.parse::<u64>().unwrap() * 1024,
    }
}

fn write_journal(path: &Path, size: u64) -> u64 {
    let options = JournalOptions {
        base_url: BASE_URL.to_owned(),
        expand: vec![],
        opts: vec![],
        keep_secrets: false,
        copied: false,
    };
    let bodies: Vec<String> = (0..BODIES).map(sample_task).collect();
    let (mut journal, _) = Journal::open(path, &options, |_| ControlFlow::Continue(())).unwrap();
    for (number, body) in (0..size).zip(bodies.iter().cycle()) {
        journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 1,
            time: 0,
            task_id: &format!("task_{number}"),
            body: body.as_bytes(),
            digest: None,
        });
        if number % WRITTEN_TOGETHER == 0 {
            journal.flush().unwrap();
        }
    }
    journal.sync().unwrap();
    journal.bytes()
}
