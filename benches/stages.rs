//! The stages of an export, each by itself, in bytes of the tasks' JSON a second: whatever a stage reads, the
//! figures of all stages are of the same bytes and can be added up. Depends on `stages/`.
//!
//! `make bench`, or to see what a change does, before and after it:
//!
//! ```sh
//! cargo bench --bench stages -- --save-baseline before
//! cargo bench --bench stages -- --baseline before
//! ```
//!
//! `BENCH_TASKS=tasks.jsonl` measures with tasks of your own, one a line. `benches/instructions.py` counts
//! instructions instead, which shows a change of one percent: it calls this program as
//! `stages count STAGE SET TASKS TIMES` and has the processor's work counted within [`counted`] only.
//!
//! It is Criterion that measures, without its default features (no plots, no threads). It and Divan have the
//! same licences (MIT or Apache-2.0), and Divan brings four crates where Criterion brings some fifteen small ones,
//! which only those who measure have to build. But Criterion keeps what it measured, says how sure it is of a
//! difference, and writes JSON that `benches/chart.py` reads, none of which Divan does; and it was released this
//! year (0.8.2 in February 2026), which Divan was not (0.1.21).

#![expect(
    clippy::unwrap_used,
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

/// Tasks of the sandbox that are measured with.
const TASKS: u64 = 2_000;

/// The program's own.
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

/// One stage, so many times, and what it read, as JSON.
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
        // What is grown or filled once is no part of it.
        work();
        (0..times).for_each(|_| counted(work));
    });
    println!("{{\"bytes\":{}}}", tasks.bytes() * times);
}

/// Named to the tool that counts.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(());
}
