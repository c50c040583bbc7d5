//! Measures each stage of an export in bytes of the tasks' JSON per second. All figures are about the same bytes, whatever
//! a stage reads, so they can be added.
//!
//! Run `make bench`, or to see the effect of a change, run before and after it:
//!
//! ```sh
//! cargo bench --bench stages -- --save-baseline before
//! cargo bench --bench stages -- --baseline before
//! ```
//!
//! `BENCH_TASKS=tasks.jsonl` measures the tasks of a file, one per line. `benches/instructions.py` counts
//! instructions instead, which shows a change of one percent: it calls this program as
//! `stages count STAGE SET TASKS TIMES` and counts instructions within [`counted`] only.
//!
//! Criterion measures, without its default features (no plots, no threads). Divan has the same licenses (MIT or
//! Apache-2.0) and brings four crates instead of about fifteen small ones, which only benchmarks build. But
//! Criterion saves its measurements, reports the confidence of a difference, and writes JSON for
//! `benches/chart.py`; Divan does not. Criterion's last release is from February 2026 (0.8.2); Divan (0.1.21) has no
//! release of that year.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark speaks to the person who runs it"
)]

#[path = "stages/stage.rs"]
mod stage;
#[path = "stages/tasks.rs"]
mod tasks;

use std::time::Duration;

use criterion::{Criterion, Throughput};

use stage::STAGES;
use tasks::Tasks;

/// Number of tasks of the sandbox.
const TASKS: u64 = 2_000;

/// The allocator of the program.
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "count") {
        count(&arguments[1..]);
        return;
    }
    let sets = match std::env::var_os("BENCH_TASKS") {
        Some(path) => vec![Tasks::of_lines(&std::fs::read_to_string(path).unwrap())],
        None => vec![Tasks::sandbox(TASKS), Tasks::long_texts(TASKS)],
    };
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for set in sets {
        let mut group = criterion.benchmark_group(set.name);
        group.throughput(Throughput::Bytes(set.bytes()));
        for (name, stage) in STAGES {
            group.bench_function(name, |bencher| {
                stage(&set.tasks, &mut |work| bencher.iter(&mut *work));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Runs one stage so many times, and prints the bytes that it read as JSON.
fn count(arguments: &[String]) {
    let [stage, set, tasks, times] = arguments else {
        println!("usage: stages count STAGE SET TASKS TIMES");
        return;
    };
    let (_, stage) = STAGES.iter().find(|(name, _)| name == stage).unwrap();
    let number: u64 = tasks.parse().unwrap();
    let times: u64 = times.parse().unwrap();
    let tasks = if set == "sandbox" {
        Tasks::sandbox(number)
    } else {
        Tasks::long_texts(number)
    };
    stage(&tasks.tasks, &mut |work| {
        // Buffers grow and caches fill in the first run, which is not counted.
        work();
        (0..times).for_each(|_| counted(work));
    });
    println!("{{\"bytes\":{}}}", tasks.bytes() * times);
}

/// The function that callgrind counts, by name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(());
}
