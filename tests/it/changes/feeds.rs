//! Random nights: their feeds, applied one after the other, give the full tables, in this test and in the databases of
//! the examples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;
use scale_export::{ExportError, Format, Table, TableSelection};

use super::{Api, Status, TaskState, Version, changed, feed, guard, id, run};
use crate::support::table::{Cell, Table as Rows, copy};
use crate::support::{number_from, print_note, program, python, root};

/// Feeds that are applied.
const FEEDS: &str = "SCALE_EXPORT_TEST_FEEDS";
const SEED: &str = "SCALE_EXPORT_TEST_SEED";

/// Nights after which the whole export is kept, to be compared with the databases.
const BETWEEN_SNAPSHOTS: usize = 20;

/// Few tables, for the time of the test: each kind of table, and none without rows.
const TABLES: [Table; 7] = [
    Table::Tasks,
    Table::Threads,
    Table::Turns,
    Table::Messages,
    Table::Annotations,
    Table::Errors,
    Table::Projects,
];

/// The tables of a consumer, as rows of CSV.
#[derive(Default)]
struct Consumer {
    tables: BTreeMap<&'static str, Vec<Vec<Cell>>>,
}

impl Consumer {
    /// Deletes the rows of changed tasks and inserts those of the feed, as the examples do.
    fn apply(&mut self, feed: &Path) {
        let changed: BTreeSet<String> = changed(feed).into_iter().map(|(task, _)| task).collect();
        for name in TABLES.map(Table::name) {
            let rows = self.tables.entry(name).or_default();
            rows.retain(|row| name != "projects" && !changed.contains(row[0].as_deref().unwrap()));
            rows.extend(Rows::load(feed, Format::Csv, name).rows);
        }
    }

    fn assert_has(&self, out: &Path, what: &str) {
        for name in TABLES.map(Table::name) {
            let mut found = self.tables[name].clone();
            let mut expected = Rows::load(out, Format::Csv, name).rows;
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{what}: {name}");
        }
    }
}

/// Changes what the API returns and what the list names.
fn change(random: &mut Rng, api: &Api, list: &mut Vec<String>) {
    let all: Vec<String> = (0..12)
        .map(|number| format!("task '{number}'").replace(' ', "_"))
        .collect();
    for _ in 0..random.usize(0..3) {
        let id = &all[random.usize(0..all.len())];
        if list.contains(id) {
            list.retain(|listed| listed != id);
        } else {
            list.insert(random.usize(0..=list.len()), id.clone());
        }
    }
    if list.is_empty() {
        list.push(all[0].clone());
    }
    if random.u8(0..8) == 0 {
        random.shuffle(list);
    }
    for _ in 0..random.usize(0..4) {
        let id = &list[random.usize(0..list.len())];
        let state: TaskState = match random.u8(0..10) {
            0 => Status(500),
            1 => Status(404),
            _ => Version(random.u64(0..1_000)),
        };
        api.set(id, state);
    }
    // A run in which every request fails waits for the server.
    let states = api.tasks.lock().unwrap().clone();
    let is_well = |id: &String| matches!(states.get(id), Some(Version(_)));
    if !list.iter().any(is_well) {
        api.set(&list[0], Version(random.u64(0..1_000)));
    }
}

/// The feeds of random nights in both formats, and the whole exports after some of them, in numbered directories.
fn feeds(base: &Path, count: usize, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let api = Api::start();
    let out = base.join("out");
    let mut list = Vec::new();
    let mut consumer = Consumer::default();
    let mut current = None;
    let (mut made, mut nights, mut stale, mut failed, mut dropped) = (0, 0, 0, 0, 0);
    while made < count {
        nights += 1;
        change(&mut random, &api, &mut list);
        let ids: Vec<&str> = list.iter().map(String::as_str).collect();
        let options = api
            .options(&out, &ids)
            .format(Format::Csv)
            .tables(TABLES.into_iter().collect::<TableSelection>())
            .guard(guard(random.u8(0..3) == 0));
        // An export without a task is not published.
        let report = match run(options) {
            Err(ExportError::NotPublished(_)) => continue,
            report => report.unwrap(),
        };
        stale += u64::from(report.stale > 0);
        failed += u64::from(report.failed > 0);
        dropped += u64::from(report.dropped > 0);
        if current.as_ref() == Some(&id(&out)) {
            consumer.assert_has(&out, &format!("seed {seed}, night {nights}"));
            continue;
        }
        let what = format!("seed {seed}, feed {made}");
        let (csv, report) = feed(&out, base, &format!("csv_{made:03}"), Format::Csv);
        let from = report.from.map(|from| from.as_str().to_owned());
        assert_eq!(from, current, "{what}");
        current = Some(report.to.as_str().to_owned());
        feed(&out, base, &format!("parquet_{made:03}"), Format::Parquet);
        consumer.apply(&csv);
        consumer.assert_has(&out, &what);
        consumer.apply(&csv);
        consumer.assert_has(&out, &format!("{what} again"));
        made += 1;
        if made % BETWEEN_SNAPSHOTS == 0 || made == count {
            keep(&out, base, made - 1);
        }
    }
    print_note(&format!(
        "{made} feeds of {nights} nights, of which {stale} had stale tasks, {failed} failed IDs and {dropped} deleted tasks"
    ));
    assert!(stale > 0 && failed > 0 && dropped > 0 || count < 100);
}

/// Keeps the whole export after a feed, in both formats.
fn keep(out: &Path, base: &Path, number: usize) {
    copy(out, &base.join(format!("csv_{number:03}_whole")));
    let output = program()
        .arg("flatten")
        .arg(out)
        .args(["--tables", &TABLES.map(Table::name).join(","), "--out"])
        .arg(base.join(format!("parquet_{number:03}_whole")))
        .output()
        .unwrap();
    // Failed IDs have no response.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
}

/// Applies the feeds to a database with its example.
fn apply(mut python: Command, engine: &str, base: &Path) {
    let work = tempfile::tempdir().unwrap();
    let output = python
        .arg(root().join("tests/consumers/apply_changes.py"))
        .arg(engine)
        .args([root().join("examples").as_path(), base, work.path()])
        .arg(env!("CARGO_BIN_EXE_scale-export"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{engine}: {said}");
    print_note(said.trim_end());
}

#[test]
fn feeds_applied_in_sequence_equal_the_full_tables_in_every_database() {
    let base = tempfile::tempdir().unwrap();
    let count = number_from(FEEDS, 200);
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    feeds(
        base.path(),
        count,
        seed.unwrap_or_else(|| fastrand::u64(..)),
    );
    apply(python(), "duckdb", base.path());
    if crate::sql::has("initdb") && crate::sql::has("psql") {
        apply(python(), "postgres", base.path());
    } else {
        print_note("postgres was left out: it is not installed");
    }
    let mut pythons = delta_pythons();
    if pythons.is_empty() {
        print_note("delta was left out: `make readers` installs and runs it");
    }
    pythons.sort();
    for interpreter in pythons {
        apply(Command::new(interpreter), "delta", base.path());
    }
}

/// The Python environments with deltalake that the tests of readers have installed.
fn delta_pythons() -> Vec<PathBuf> {
    let Some(readers) = std::env::var_os("SCALE_EXPORT_TEST_READERS") else {
        return Vec::new();
    };
    let entries = fs::read_dir(readers).into_iter().flatten().flatten();
    let delta = entries.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("deltalake-")
    });
    let pythons = delta.map(|entry| entry.path().join("bin/python"));
    pythons.filter(|path| path.exists()).collect()
}
