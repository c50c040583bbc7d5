//! `verify` works by ranges and in parallel. Neither the number of threads nor what the state says of ranges changes a
//! byte of its report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scale_export::encode::format::Format;
use scale_export::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::good_exports;
use super::rows::{damaged_cells, damaged_rows};
use super::statistics::{FALSIFIED, falsify};
use crate::flatten::stderr;
use crate::support::table::{Table, copy, edit_manifest, refresh};
use crate::support::{program, raw_responses, to_lines};

/// One thread, which verifies in order, as many as ranges need, and more than cores.
const THREADS: [&str; 3] = ["1", "2", "8"];

/// What `-v` prints after ranges were verified without a finding, and after one had a finding.
const IN_RANGES: &str = "verified ";
const IN_ORDER: &str = "could not verify a range without a finding";

/// A program that has several ranges with few tasks.
fn program_with_short_ranges() -> Command {
    let mut command = program();
    command.env("SCALE_EXPORT_RANGE_TASKS", "7");
    command
}

/// An export with projects, batches, drift and a failed ID, whose tables have several ranges.
fn exported_in_ranges(base: &Path, format: Format) -> PathBuf {
    let source = base.join("source");
    if !source.exists() {
        fs::create_dir(&source).unwrap();
        good_exports(&source);
    }
    let out = base.join(format.extension());
    let mut command = program_with_short_ranges();
    command.arg("flatten").arg(source.join("parquet"));
    command.arg("--out").arg(&out);
    let output = command.args(["--format", format.extension()]).output();
    assert_eq!(output.unwrap().status.code(), Some(3));
    assert!(saved(&out)["ranges"].as_array().unwrap().len() > 4);
    out
}

/// How a verification ended.
#[derive(Debug, PartialEq)]
struct Verified {
    exit: Option<i32>,
    /// The report without times.
    report: Value,
    findings: Vec<String>,
}

/// Verifies with a number of threads. Returns how it ended, and whether ranges were verified without a finding; `None` if
/// that was not tried.
fn verify(out: &Path, threads: &str) -> (Verified, Option<bool>) {
    let mut command = program_with_short_ranges();
    command.args(["verify", "-v", "--summary", "-", "--threads", threads]);
    let output = command.arg(out).output().unwrap();
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for time in ["seconds", "started_at", "finished_at"] {
        report.as_object_mut().unwrap().remove(time);
    }
    let printed = stderr(&output);
    let is_of_ranges = |line: &&str| line.contains(IN_ORDER) || line.ends_with(" ranges");
    let of_ranges = printed.lines().find(is_of_ranges);
    let in_ranges = of_ranges.map(|line| line.contains(IN_RANGES));
    let findings = printed.lines().filter(|line| line.contains("expected"));
    let verified = Verified {
        exit: output.status.code(),
        report,
        findings: findings.map(str::to_owned).collect(),
    };
    (verified, in_ranges)
}

/// Verifies with all numbers of threads, which must not change the result. Returns it, and what several threads did with
/// ranges.
fn verify_with_all(out: &Path) -> (Verified, Option<bool>) {
    let [one, two, eight] = THREADS.map(|threads| verify(out, threads));
    assert_eq!(one.1, None);
    assert_eq!(one.0, two.0);
    assert_eq!(one.0, eight.0);
    assert_eq!(two.1, eight.1);
    (one.0, two.1)
}

/// What the state has of all ranges.
fn saved(out: &Path) -> Value {
    let file = fs::read_to_string(out.join(".scale-export/ranges")).unwrap();
    serde_json::from_str(file.split_once('\n').unwrap().1).unwrap()
}

/// Changes that, with a checksum that fits.
fn edit_saved(out: &Path, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut saved = saved(out);
    edit(saved["ranges"].as_array_mut().unwrap());
    let json = serde_json::to_string(&saved).unwrap();
    let file = format!("{}\n{json}", hex::encode(&Sha256::digest(&json)));
    fs::write(out.join(".scale-export/ranges"), file).unwrap();
}

/// What a range has of a table, if it has rows of it.
fn of_table<'r>(range: &'r mut Value, table: &str) -> Option<&'r mut Value> {
    let mut tables = range["tables"].as_array_mut().unwrap().iter_mut();
    tables.find(|of| of["table"] == table)
}

/// Rows of a table in each range.
fn rows_of_ranges(out: &Path, table: &str) -> Vec<usize> {
    let mut saved = saved(out);
    let ranges = saved["ranges"].as_array_mut().unwrap().iter_mut();
    let rows =
        ranges.map(|range| of_table(range, table).map_or(0, |of| of["rows"].as_u64().unwrap()));
    rows.map(|rows| usize::try_from(rows).unwrap()).collect()
}

/// Makes the state fit a CSV table: each range has this many rows, and the last one has the rest.
fn fit_ranges(out: &Path, rows: &Table, name: &str, counts: &[usize]) {
    let all = rows.rows.len();
    let mut from = 0;
    edit_saved(out, |ranges| {
        let last = ranges.len() - 1;
        for (number, range) in ranges.iter_mut().enumerate() {
            let to = if number == last {
                all
            } else {
                all.min(from + counts[number])
            };
            let tables = range["tables"].as_array_mut().unwrap();
            tables.retain(|of| of["table"] != name);
            let region = json!({ "bytes": rows.csv_bytes(from..to), "xxh3": "" });
            tables.push(json!({
                "table": name, "rows": to - from, "row_groups": 0, "longest_record": 0, "region": region,
            }));
            from = to;
        }
    });
}

#[test]
fn any_number_of_threads_gives_the_same_report() {
    let base = tempfile::tempdir().unwrap();
    for format in super::FORMATS {
        let out = exported_in_ranges(base.path(), format);
        let (verified, in_ranges) = verify_with_all(&out);
        assert_eq!((verified.exit, in_ranges), (Some(0), Some(true)));
        assert_eq!(verified.report["rebuilt"], verified.report["tasks"]);
        assert_eq!(verified.report["unproven"], json!([]));
        // Without raw responses, the rebuilt tasks replace them.
        fs::remove_file(out.join(".scale-export/journal")).unwrap();
        let (verified, in_ranges) = verify_with_all(&out);
        assert_eq!((verified.exit, in_ranges), (Some(0), Some(true)));
        assert_eq!(verified.report["unproven"].as_array().unwrap().len(), 1);
    }
    let some = base.path().join("some");
    let mut command = program_with_short_ranges();
    command
        .arg("flatten")
        .arg(base.path().join("source/parquet"));
    command.args(["--tables", "messages,projects,annotations", "--out"]);
    assert_eq!(command.arg(&some).output().unwrap().status.code(), Some(3));
    let (verified, in_ranges) = verify_with_all(&some);
    assert_eq!((verified.exit, in_ranges), (Some(0), Some(true)));
    // With neither, only keys are checked, in order.
    fs::remove_file(some.join(".scale-export/journal")).unwrap();
    let (verified, in_ranges) = verify_with_all(&some);
    assert_eq!((verified.exit, in_ranges), (Some(0), Some(false)));
}

/// A change of the rows of `messages` and of the rows of its ranges.
type Attack = fn(&mut Table, &mut Vec<usize>);

/// Damage where ranges meet. The state fits it.
const ATTACKS: [(&str, Attack); 7] = [
    ("rows exchanged across a boundary", |table, counts| {
        table.rows.swap(counts[0] - 1, counts[0]);
    }),
    ("a row moved to the next range", |table, counts| {
        let row = table.rows.remove(0);
        table.rows.insert(counts[0], row);
        counts[0] -= 1;
        counts[1] += 1;
    }),
    (
        "a row moved to the end of the range before",
        |table, counts| {
            let row = table.rows.remove(counts[0] + 1);
            table.rows.insert(counts[0], row);
            counts[0] += 1;
            counts[1] -= 1;
        },
    ),
    ("a row of no task at the end of a range", |table, counts| {
        let mut row = table.rows[counts[0] - 1].clone();
        row[0] = Some("unknown_task".to_owned());
        table.rows.insert(counts[0], row);
        counts[0] += 1;
    }),
    (
        "a row twice at the end of the last range",
        |table, counts| {
            table.rows.extend(table.rows.last().cloned());
            *counts.last_mut().unwrap() += 1;
        },
    ),
    ("no last row of a range", |table, counts| {
        table.rows.remove(counts[1] + counts[0] - 1);
        counts[1] -= 1;
    }),
    ("no rows of a range", |table, counts| {
        table.rows.drain(counts[0]..counts[0] + counts[1]);
        counts[1] = 0;
    }),
];

#[test]
fn damage_is_reported_in_the_same_way_at_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let good = exported_in_ranges(base.path(), Format::Csv);
    let mut wrong = String::new();
    let damaged = |table: &str, damage: &dyn Fn(&mut Table, &mut Vec<usize>)| {
        let bad = base.path().join("bad");
        let _ = fs::remove_dir_all(&bad);
        copy(&good, &bad);
        let mut counts = rows_of_ranges(&bad, table);
        let mut rows = Table::load(&bad, Format::Csv, table);
        damage(&mut rows, &mut counts);
        rows.save(&bad);
        // It names the numbers of rows, and need not be part of the export.
        edit_manifest(&bad, |manifest| {
            let files = manifest["files"].as_array_mut().unwrap();
            files.retain(|file| file["path"] != "README.md");
        });
        if !["projects", "batches"].contains(&table) {
            fit_ranges(&bad, &rows, table, &counts);
        }
        bad
    };
    for (name, attack) in ATTACKS {
        let (verified, in_ranges) = verify_with_all(&damaged("messages", &attack));
        if (verified.exit, in_ranges) != (Some(7), Some(false)) {
            wrong += &format!("{name}: {in_ranges:?} {verified:?}\n");
        }
    }
    // Each takes about a second.
    let cells = damaged_cells().into_iter().step_by(16);
    for (name, table, change, finding) in damaged_rows().into_iter().chain(cells) {
        let bad = damaged(table, &|rows, _| change(rows));
        let (verified, in_ranges) = verify(&bad, "2");
        let is_reported = verified.findings.iter().any(|line| line.contains(finding));
        if (verified.exit, in_ranges, is_reported) != (Some(7), Some(false), true) {
            wrong += &format!("{name} in {table}: {in_ranges:?} {verified:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_row_behind_the_last_range_is_reported_at_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let out = exported_in_ranges(base.path(), Format::Csv);
    let state = fs::read(out.join(".scale-export/ranges")).unwrap();
    let mut rows = Table::load(&out, Format::Csv, "messages");
    rows.rows.extend(rows.rows.last().cloned());
    rows.save(&out);
    // Neither the manifest nor the state counts it.
    edit_manifest(&out, |manifest| {
        let count = json!(rows.rows.len() - 1);
        manifest["tables"]["messages"]["rows"] = count.clone();
        manifest["tables"]["messages"]["files"][0]["rows"] = count;
    });
    fs::write(out.join(".scale-export/ranges"), state).unwrap();
    let (verified, in_ranges) = verify_with_all(&out);
    assert_eq!((verified.exit, in_ranges), (Some(7), None));
}

#[test]
fn falsified_statistics_and_other_cells_are_reported_at_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let good = exported_in_ranges(base.path(), Format::Parquet);
    let bad = base.path().join("bad");
    for name in ["chunk max", "rows of a row group", "rows of the file"] {
        let (_, change, _) = FALSIFIED.iter().find(|kind| kind.0 == name).unwrap();
        falsify(&good, &bad, *change);
        let (verified, in_ranges) = verify_with_all(&bad);
        assert_eq!((verified.exit, in_ranges), (Some(7), Some(false)), "{name}");
        fs::remove_dir_all(&bad).unwrap();
    }
    // A table of other responses, with row groups that fit.
    let csv = exported_in_ranges(base.path(), Format::Csv);
    let raw = raw_responses(&csv);
    let changed = |body: &Vec<u8>| {
        let text = String::from_utf8(body.clone()).unwrap();
        text.replace("\"role\":\"user\"", "\"role\":\"usEr\"")
            .into_bytes()
    };
    let lines = base.path().join("other.jsonl");
    fs::write(
        &lines,
        to_lines(&raw.values().map(changed).collect::<Vec<_>>()),
    )
    .unwrap();
    let [ids, other] = ["ids.txt", "other"].map(|name| base.path().join(name));
    fs::copy(csv.join(".scale-export/ids.txt"), &ids).unwrap();
    let mut command = program_with_short_ranges();
    command.arg("flatten").arg(&lines).arg("--ids").arg(&ids);
    let output = command.arg("--out").arg(&other).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    copy(&good, &bad);
    fs::copy(other.join("messages.parquet"), bad.join("messages.parquet")).unwrap();
    refresh(&bad, "messages.parquet");
    let (verified, in_ranges) = verify_with_all(&bad);
    assert_eq!((verified.exit, in_ranges), (Some(7), Some(false)));
    assert!(verified.findings[0].contains("/role"), "{verified:?}");
}

/// Changes of the state, and whether ranges are still verified without a finding. `None` if they cannot be.
type StateChange = (&'static str, fn(&mut Vec<Value>), Option<bool>);

/// Adds to the size of a range in the file of `messages`: row groups in Parquet, bytes in CSV.
fn add_size(ranges: &mut [Value], range: usize, difference: i64) {
    let of = of_table(&mut ranges[range], "messages").unwrap();
    let pointer = if of["row_groups"] == 0 {
        "/region/bytes"
    } else {
        "/row_groups"
    };
    add(ranges, range, pointer, difference);
}

/// Adds to a number of `messages` in a range.
fn add(ranges: &mut [Value], range: usize, pointer: &str, difference: i64) {
    let of = of_table(&mut ranges[range], "messages").unwrap();
    let number = of.pointer_mut(pointer).unwrap();
    *number = json!(number.as_i64().unwrap() + difference);
}

const STATE_CHANGES: [StateChange; 8] = [
    (
        "another number of rows",
        |ranges| add(ranges, 1, "/rows", 1),
        None,
    ),
    (
        "other numbers of rows with the same sum",
        |ranges| {
            add(ranges, 1, "/rows", 1);
            add(ranges, 2, "/rows", -1);
        },
        Some(true),
    ),
    (
        "a range missing",
        |ranges| {
            ranges.remove(1);
        },
        None,
    ),
    (
        "a range twice",
        |ranges| ranges.push(ranges[1].clone()),
        None,
    ),
    (
        "an end elsewhere",
        |ranges| {
            add_size(ranges, 1, 1);
            add_size(ranges, 2, -1);
        },
        Some(false),
    ),
    ("more than the file", |ranges| add_size(ranges, 2, 1), None),
    ("less than the file", |ranges| add_size(ranges, 2, -1), None),
    (
        "a table that is not there",
        |ranges| {
            let mut of = of_table(&mut ranges[1], "messages").unwrap().clone();
            of["table"] = json!("unknown");
            ranges[1]["tables"].as_array_mut().unwrap().push(of);
        },
        Some(true),
    ),
];

#[test]
fn the_state_of_ranges_is_not_trusted() {
    let base = tempfile::tempdir().unwrap();
    for format in super::FORMATS {
        let out = exported_in_ranges(base.path(), format);
        let (good, _) = verify_with_all(&out);
        let state = out.join(".scale-export/ranges");
        let file = fs::read(&state).unwrap();
        for (name, change, expected) in STATE_CHANGES {
            edit_saved(&out, change);
            let (verified, in_ranges) = verify(&out, "2");
            assert_eq!(in_ranges, expected, "{name}");
            assert_eq!(verified, good, "{name}");
            fs::write(&state, &file).unwrap();
        }
        fs::write(&state, &file[..file.len() - 1]).unwrap();
        assert_eq!(verify(&out, "2"), (good, None));
        fs::remove_file(&state).unwrap();
        let made = Command::new("mkfifo").arg(&state).status().unwrap();
        assert!(made.success());
        assert_eq!(verify(&out, "2").1, None);
    }
}
