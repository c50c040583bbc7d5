//! Ways from JSON to columns, side by side in one run; ratios count, seconds do not. `docs/parsing.md`
//! says what follows from them.
//!
//! `make bench`, or `BENCH_TASKS=tasks.jsonl make bench` for tasks of your own, one a line.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark speaks to the person who runs it"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use arrow::array::RecordBatch;
use scale_export::flatten::Flattener;
use scale_export::json::Parser;
use scale_export::sandbox::sample_task;
use scale_export::tables::{BatchSink, SinkError, TableInfo};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Rounds of which the fastest counts: what disturbs a round only makes it slower.
const ROUNDS: usize = 7;

struct Nowhere;

impl BatchSink for Nowhere {
    fn batch(&mut self, _: &'static TableInfo, batch: RecordBatch) -> Result<(), SinkError> {
        black_box(batch);
        Ok(())
    }
}

fn fastest(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Takes a value apart level by level, keeping raw slices: each level is scanned again.
fn level_by_level(raw: &RawValue) -> usize {
    let text = raw.get();
    if text.starts_with('{') {
        let members: HashMap<&str, &RawValue> = serde_json::from_str(text).unwrap_or_default();
        members.values().map(|member| level_by_level(member)).sum()
    } else if text.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        elements.iter().map(|element| level_by_level(element)).sum()
    } else {
        1
    }
}

fn main() {
    let tasks: Vec<String> = match std::env::var_os("BENCH_TASKS") {
        Some(path) => {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().map(str::to_owned).collect()
        }
        None => (1..=2_000).map(sample_task).collect(),
    };
    let bytes: usize = tasks.iter().map(String::len).sum();
    let each = |work: &mut dyn FnMut(&str)| fastest(|| tasks.iter().for_each(|task| work(task)));

    let mut parser = Parser::default();
    let scan = each(&mut |task| {
        black_box(parser.parse(task).unwrap().root());
    });
    let flatten = fastest(|| {
        let mut flattener = Flattener::new(|_| true);
        for task in &tasks {
            let document = parser.parse(task).unwrap();
            flattener.task("task", &document, &mut Nowhere).unwrap();
        }
        black_box(flattener.finish(&mut Nowhere).unwrap());
    });
    let others: [(&str, f64); 3] = [
        (
            "serde_json, checked and thrown away",
            each(&mut |task| {
                black_box(serde_json::from_str::<IgnoredAny>(task).unwrap());
            }),
        ),
        (
            "serde_json::Value",
            each(&mut |task| {
                black_box(serde_json::from_str::<serde_json::Value>(task).unwrap());
            }),
        ),
        (
            "RawValue, level by level",
            each(&mut |task| {
                black_box(level_by_level(serde_json::from_str(task).unwrap()));
            }),
        ),
    ];
    println!("{} tasks, {:.1} MB", tasks.len(), bytes as f64 / 1e6);
    let ours = [("our scan", scan), ("our scan and all columns", flatten)];
    for (name, seconds) in ours.into_iter().chain(others) {
        let speed = bytes as f64 / 1e6 / seconds;
        println!(
            "{name:36} {speed:7.0} MB/s  {:5.2} of our scan",
            seconds / scan
        );
    }
}
