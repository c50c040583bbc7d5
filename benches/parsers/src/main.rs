//! Compares JSON parsers on the same tasks in one run: their speed, and what they lose of a task. Ratios are
//! meaningful, absolute times are not. `docs/parsing.md` has the conclusions.
//!
//! `make bench-parsers`, or `BENCH_TASKS=tasks.jsonl make bench-parsers` for the tasks of a file, one per line.

#![forbid(unsafe_code)]

#[path = "../../stages/tasks.rs"]
mod tasks;
mod typed;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use scale_export::flatten::flattener::Flattener;
use scale_export::json::parser::Parser;
use scale_export::tables::cell::Cell;
use scale_export::tables::row_sink::{RowSink, SinkError};
use scale_export::tables::table::TableInfo;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use tasks::Tasks;
use typed::Task;

/// The allocator of the program.
#[cfg(all(unix, target_pointer_width = "64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Number of rounds. The fastest counts, since disturbances only make a round slower.
const ROUNDS: usize = 9;

/// Number of tasks of the sandbox.
const TASKS: u64 = 2_000;

/// The work of a parser on one task.
type Work<'w> = Box<dyn FnMut(&str) + 'w>;

/// Splits a value level by level into raw slices. Each level is scanned again.
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

/// All parsers. simd-json writes into its input, so it gets a copy: the journal keeps the body as received.
fn ways() -> Vec<(&'static str, Work<'static>)> {
    let mut parser = Parser::default();
    let [mut for_tape, mut for_value, mut for_typed] = [const { Vec::new() }; 3];
    let mut buffers = simd_json::Buffers::default();
    vec![
        (
            "our scan",
            Box::new(move |task| {
                black_box(parser.parse(task).unwrap().root());
            }),
        ),
        (
            "serde_json, checked and discarded",
            Box::new(|task| {
                black_box(serde_json::from_str::<IgnoredAny>(task).unwrap());
            }),
        ),
        (
            "serde_json, typed and borrowed",
            Box::new(|task| {
                black_box(serde_json::from_str::<Task<'_>>(task).unwrap());
            }),
        ),
        (
            "serde_json::Value",
            Box::new(|task| {
                black_box(serde_json::from_str::<serde_json::Value>(task).unwrap());
            }),
        ),
        (
            "serde_json::RawValue, level by level",
            Box::new(|task| {
                black_box(level_by_level(serde_json::from_str(task).unwrap()));
            }),
        ),
        (
            "sonic-rs, checked and discarded",
            Box::new(|task| {
                black_box(sonic_rs::from_str::<IgnoredAny>(task).unwrap());
            }),
        ),
        (
            "sonic-rs, typed and borrowed",
            Box::new(|task| {
                black_box(sonic_rs::from_str::<Task<'_>>(task).unwrap());
            }),
        ),
        (
            "sonic_rs::Value",
            Box::new(|task| {
                black_box(sonic_rs::from_str::<sonic_rs::Value>(task).unwrap());
            }),
        ),
        (
            "simd-json, tape",
            Box::new(move |task| {
                let copy = copied(task, &mut for_tape);
                black_box(simd_json::to_tape(copy).unwrap());
            }),
        ),
        (
            "simd-json, typed and borrowed",
            Box::new(move |task| {
                let copy = copied(task, &mut for_typed);
                let parsed: Task<'_> =
                    simd_json::serde::from_slice_with_buffers(copy, &mut buffers).unwrap();
                black_box(parsed);
            }),
        ),
        (
            "simd_json::BorrowedValue",
            Box::new(move |task| {
                let copy = copied(task, &mut for_value);
                black_box(simd_json::to_borrowed_value(copy).unwrap());
            }),
        ),
    ]
}

fn copied<'c>(task: &str, copy: &'c mut Vec<u8>) -> &'c mut [u8] {
    copy.clear();
    copy.extend_from_slice(task.as_bytes());
    copy
}

struct Nowhere;

impl RowSink for Nowhere {
    fn row(
        &mut self,
        _: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        black_box(cells);
        Ok(())
    }
}

fn all_columns(tasks: &[String], parser: &mut Parser) {
    let mut flattener = Flattener::new(scale_export::tables::selection::TableSelection::all());
    for task in tasks {
        let document = parser.parse(task).unwrap();
        flattener.task("task", &document, &mut Nowhere).unwrap();
    }
    black_box(flattener.finish());
}

/// Seconds of the fastest round of each parser. The rounds of all parsers alternate.
fn fastest(set: &Tasks) -> Vec<(&'static str, f64)> {
    let mut ways = ways();
    let mut parser = Parser::default();
    let mut seconds = vec![f64::INFINITY; ways.len() + 1];
    let keep = |best: &mut f64, start: Instant| *best = best.min(start.elapsed().as_secs_f64());
    for _ in 0..ROUNDS {
        for ((_, work), best) in ways.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            set.tasks.iter().for_each(|task| work(task));
            keep(best, start);
        }
        let start = Instant::now();
        all_columns(&set.tasks, &mut parser);
        if let Some(best) = seconds.last_mut() {
            keep(best, start);
        }
    }
    let names = ways.iter().map(|(name, _)| *name);
    let names = names.chain(std::iter::once("our scan and all columns"));
    names.zip(seconds).collect()
}

/// The output of a parser for a value, or whether it kept or refused the value.
fn fate(name: &str, json: &str) -> String {
    let back = match name {
        "our scan" => Parser::default()
            .parse(json)
            .map(|document| document.root().raw().to_owned())
            .map_err(|error| error.to_string()),
        "serde_json::Value" => serde_json::from_str::<serde_json::Value>(json)
            .map(|value| value.to_string())
            .map_err(|error| error.to_string()),
        "sonic_rs::Value" => sonic_rs::from_str::<sonic_rs::Value>(json)
            .map(|value| value.to_string())
            .map_err(|error| error.to_string()),
        _ => {
            let mut copy = json.as_bytes().to_vec();
            simd_json::to_borrowed_value(&mut copy)
                .map(|value| simd_json::prelude::Writable::encode(&value))
                .map_err(|error| error.to_string())
        }
    };
    match back {
        Ok(text) if text == json => "kept".to_owned(),
        Ok(text) => format!("`{text}`"),
        Err(_) => "refused".to_owned(),
    }
}

fn main() {
    let sets = match std::env::var_os("BENCH_TASKS") {
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => vec![Tasks::of_lines(&text)],
            Err(error) => return eprintln!("{}: {error}", path.display()),
        },
        None => vec![Tasks::sandbox(TASKS), Tasks::long_texts(TASKS)],
    };
    let columns: Vec<Vec<(&str, f64)>> = sets.iter().map(fastest).collect();
    for set in &sets {
        let megabytes = set.bytes() as f64 / 1e6;
        println!("{}: {} tasks, {megabytes:.1} MB", set.name, set.tasks.len());
    }
    let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
    println!(
        "\n| MB/s (time / time of our scan) | {} |",
        names.join(" | ")
    );
    println!("| --- |{}", " --: |".repeat(sets.len()));
    let Some(first) = columns.first() else { return };
    for (row, (name, _)) in first.iter().enumerate() {
        let mut line = format!("| {name} |");
        for (set, column) in sets.iter().zip(&columns) {
            let speed = set.bytes() as f64 / 1e6 / column[row].1;
            line += &format!(" {speed:.0} ({:.2}) |", column[row].1 / column[0].1);
        }
        println!("{line}");
    }
    let parsers = [
        "our scan",
        "serde_json::Value",
        "sonic_rs::Value",
        "simd_json::BorrowedValue",
    ];
    println!("\n| value | {} |", parsers.join(" | "));
    println!("| --- |{}", " --- |".repeat(parsers.len()));
    for json in [
        "[1.10]",
        "[1e400]",
        "[12345678901234567890123]",
        "[0.1000000000000000055511151231257827]",
        "[-0]",
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"["\u0041"]"#,
        r#"["\ud83d"]"#,
    ] {
        let fates = parsers.map(|parser| fate(parser, json));
        println!("| `{json}` | {} |", fates.join(" | "));
    }
}
