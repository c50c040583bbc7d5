//! Falsified statistics of Parquet files: readers then count wrongly, and `verify` must report them.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use proptest::prelude::*;
use scale_export::encode::format::Format;
use scale_export::encode::in_memory::encode;
use scale_export::encode::input::Input;
use scale_export::encode::table_reader;
use scale_export::tables::definition::TABLES;
use scale_export::tables::table::TableInfo;

use super::{good_exports, lines, verified};
use crate::flatten::{flatten, run, stderr};
use crate::support::footer::{Falsified, Features, Value, binary, int};
use crate::support::python;
use crate::support::round_trip;
use crate::support::table::{copy, refresh};
use crate::support::tasks::{TASK_ID, task};

/// Approximate rows of a page. Batches are written whole.
const PAGE_ROWS: usize = 20_000;

/// Threads without an ID. They exceed a page.
const WITHOUT_ID: usize = 21_000;

/// Maximum rows of a row group.
const ROW_GROUP_ROWS: usize = 122_880;

/// Threads with an ID, which come after those.
const WITH_ID: usize = 500;

/// Changes a file's metadata.
pub(super) type Change = fn(&mut Falsified);

/// Changes of the metadata of `threads.parquet`, and the text of the finding.
pub(super) const FALSIFIED: [(&str, Change, &str); 34] = [
    (
        "chunk min",
        |file| *statistic(file, "thread_index", 6) = binary(&9_i32.to_le_bytes()),
        "(threads.thread_index): expected min_value 0 in row group 0, found 9 as exact",
    ),
    (
        "chunk max",
        |file| *statistic(file, "thread_index", 5) = binary(&9_i32.to_le_bytes()),
        "expected max_value 21499 in row group 0, found 9 as exact",
    ),
    (
        "chunk min of text",
        |file| *statistic(file, "task_id", 6) = binary(b"n"),
        r#"(threads.task_id): expected min_value "many" in row group 0, found "n""#,
    ),
    (
        "deprecated min",
        |file| *statistic(file, "thread_index", 2) = binary(&9_i32.to_le_bytes()),
        "expected min 0 in row group 0, found 9",
    ),
    (
        "deprecated max",
        |file| *statistic(file, "thread_index", 1) = binary(&9_i32.to_le_bytes()),
        "expected max 21499 in row group 0, found 9",
    ),
    (
        "deprecated min of text",
        |file| add_statistic(file, "task_id", 2, binary(b"many")),
        r#"expected min none in row group 0, found "many""#,
    ),
    (
        "inexact min",
        |file| *statistic(file, "task_id", 8) = Value::Bool(false),
        r#"found "many" as inexact"#,
    ),
    (
        "no min",
        |file| drop(file.column("task_id").field(12).fields().remove(&6)),
        r#"expected min_value "many" in row group 0, found none"#,
    ),
    (
        "no statistics",
        |file| drop(file.column("task_id").fields().remove(&12)),
        "expected statistics, some in row group 0, found none",
    ),
    (
        "null_count",
        |file| *statistic(file, "thread_id", 3) = int(0),
        "(threads.thread_id): expected null_count 21000 in row group 0, found 0",
    ),
    (
        "distinct_count",
        |file| add_statistic(file, "task_id", 4, int(7)),
        "expected distinct_count none in row group 0, found 7",
    ),
    (
        "nan_count",
        |file| add_statistic(file, "thread_index", 9, int(7)),
        "expected nan_count 0 in row group 0, found 7",
    ),
    (
        "definition levels",
        |file| file.column("thread_id").field(16).field(3).list()[0].add(1),
        "expected definition_level_histogram, element 0 of 2: 21000 in row group 0, found 21001",
    ),
    (
        "value bytes",
        |file| file.column("task_id").field(16).field(1).add(1),
        "expected unencoded_byte_array_data_bytes 86000",
    ),
    (
        "num_values",
        |file| file.column("turn_count").field(5).add(-1),
        "(threads.turn_count): expected num_values 21500 in row group 0, found 21499",
    ),
    (
        "size of a chunk",
        |file| file.column("turn_count").field(6).add(1),
        "expected total_uncompressed_size",
    ),
    (
        "encodings",
        |file| {
            file.column("turn_count")
                .field(2)
                .list()
                .push(Value::Int(5, 7));
        },
        "expected encodings {0, 3, 8} in row group 0, found {0, 3, 7, 8}",
    ),
    (
        "a bloom filter",
        |file| drop(file.column("task_id").fields().insert(14, int(4))),
        "field 14 of ColumnMetaData",
    ),
    (
        "rows of a row group",
        |file| file.row_group(0).field(3).add(-1),
        "expected num_rows 21500 in row group 0, found 21499",
    ),
    (
        "size of a row group",
        |file| file.row_group(0).field(2).add(1),
        "expected total_byte_size",
    ),
    (
        "offset of a row group",
        |file| file.row_group(0).field(5).add(1),
        "expected file_offset 4 in row group 0, found 5",
    ),
    (
        "sorting columns",
        |file| {
            drop(
                file.row_group(0)
                    .fields()
                    .insert(4, Value::List(12, vec![])),
            );
        },
        "field 4 of RowGroup",
    ),
    (
        "rows of the file",
        |file| file.footer.field(3).add(-1),
        "threads.parquet: expected num_rows 21500, found 21499",
    ),
    (
        "column order",
        |file| {
            let order = &mut file.footer.field(7).list()[1];
            let empty = order.fields().remove(&1).unwrap();
            order.fields().insert(2, empty);
        },
        "(threads.path): expected column order TypeDefinedOrder, found IEEE754TotalOrder",
    ),
    (
        "no column orders",
        |file| drop(file.footer.fields().remove(&7)),
        "expected column orders:",
    ),
    (
        "page min",
        |file| {
            file.change_column_index("thread_index", |index| {
                index.field(2).list()[1] = binary(&21_001_i32.to_le_bytes());
            });
        },
        "(threads.thread_index): expected min_values of page 1, FIRST in row group 0, found 21001",
    ),
    (
        "page max",
        |file| {
            file.change_column_index("thread_index", |index| {
                index.field(3).list()[0] = binary(&7_i32.to_le_bytes());
            });
        },
        "expected max_values of page 0, LAST in row group 0, found 7",
    ),
    (
        "page null count",
        |file| file.change_column_index("thread_id", |index| index.field(5).list()[1].add(1)),
        "expected null_counts, element 1 of 2:",
    ),
    (
        "null pages",
        |file| {
            file.change_column_index("thread_id", |index| {
                index.field(1).list()[1] = Value::Bool(true);
            });
        },
        "expected null_pages of page 1, false in row group 0, found true",
    ),
    (
        "boundary order",
        |file| file.change_column_index("thread_index", |index| *index.field(4) = Value::Int(5, 2)),
        "expected boundary_order ASCENDING in row group 0, found DESCENDING",
    ),
    (
        "first row of a page",
        |file| {
            file.change_offset_index("thread_index", |index| {
                index.field(1).list()[1].field(3).add(-1);
            });
        },
        "expected first_row_index of page 1, FIRST in row group 0, found LAST",
    ),
    (
        "offset of a page",
        |file| {
            file.change_offset_index("turn_count", |index| {
                index.field(1).list()[0].field(1).add(1);
            });
        },
        "(threads.turn_count): expected offset of page 0,",
    ),
    (
        "an index cut off",
        |file| file.offset_index_place("task_id")[1].add(-1),
        "offset index: fewer bytes than it states",
    ),
    (
        "an index outside of the file",
        |file| *file.offset_index_place("task_id")[0] = int(i64::MAX),
        "offset index: bytes that cannot be read",
    ),
];

/// A field of a column's statistics in the first row group.
fn statistic<'f>(file: &'f mut Falsified, column: &str, field: i16) -> &'f mut Value {
    file.column(column).field(12).field(field)
}

fn add_statistic(file: &mut Falsified, column: &str, field: i16, value: Value) {
    file.column(column).field(12).fields().insert(field, value);
}

/// An export of one task with many threads: two pages, of which the first has no `thread_id`.
fn export_of_threads(base: &Path) -> PathBuf {
    let without = vec!["{}".to_owned(); WITHOUT_ID];
    let with = (0..WITH_ID).map(|number| format!(r#"{{"id":"t{number:03}"}}"#));
    let threads: Vec<String> = without.into_iter().chain(with).collect();
    let task = format!(r#"{{"task_id":"many","threads":[{}]}}"#, threads.join(","));
    let (source, out) = (base.join("many.jsonl"), base.join("good"));
    fs::write(&source, task).unwrap();
    let output = flatten(&source, &out, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    out
}

/// The first row of the second page.
fn first_row_of_page(good: &Path) -> i64 {
    let mut file = Falsified::of(&fs::read(good.join("threads.parquet")).unwrap());
    let mut first = 0;
    file.change_offset_index("thread_index", |index| {
        first = index.field(1).list()[1].field(3).int();
    });
    first
}

/// Falsifies `threads.parquet` in a copy and updates the manifest.
pub(super) fn falsify(good: &Path, bad: &Path, change: Change) {
    copy(good, bad);
    Falsified::change(&bad.join("threads.parquet"), change);
    refresh(bad, "threads.parquet");
}

#[test]
fn falsified_statistics_are_reported() {
    let base = tempfile::tempdir().unwrap();
    let good = export_of_threads(base.path());
    let report = verified(&good);
    assert_eq!((report.findings, lines(&report)), (0, String::new()));
    let first = first_row_of_page(&good);
    let mut wrong = String::new();
    for (name, change, finding) in FALSIFIED {
        let finding = finding.replace("FIRST", &first.to_string());
        let finding = finding.replace("LAST", &(first - 1).to_string());
        let bad = base.path().join("bad");
        falsify(&good, &bad, change);
        let report = verified(&bad);
        let lines = lines(&report);
        let is_right = lines.contains(&finding)
            && lines
                .lines()
                .all(|line| line.starts_with("threads.parquet"))
            && report.findings <= 3;
        if !is_right {
            wrong += &format!("{name}: {} findings\n{lines}\n", report.findings);
        }
        fs::remove_dir_all(&bad).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Some of them from a user's view: readers count other rows than there are, and `verify` exits with 7.
#[test]
fn falsified_statistics_make_readers_count_wrongly() {
    let base = tempfile::tempdir().unwrap();
    let good = export_of_threads(base.path());
    let count = |out: &Path, condition: &str| {
        let file = out.join("threads.parquet");
        let script = format!(
            "import duckdb; print(duckdb.sql(\"SELECT count(*) FROM '{}' WHERE {condition}\").fetchall()[0][0])",
            file.display()
        );
        let output = python().args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for (name, condition) in [
        ("chunk min", "thread_index < 5"),
        ("chunk max", "thread_index > 21000"),
        ("chunk min of text", "task_id = 'many'"),
        ("null_count", "thread_id IS NULL"),
    ] {
        let (_, change, finding) = FALSIFIED.iter().find(|kind| kind.0 == name).unwrap();
        let bad = base.path().join(name);
        falsify(&good, &bad, *change);
        assert_ne!(count(&good, condition), count(&bad, condition), "{name}");
        let output = run(&["verify"], &[&bad]);
        assert_eq!(output.status.code(), Some(7), "{name}");
        assert!(
            stderr(&output).contains(finding),
            "{name}: {}",
            stderr(&output)
        );
    }
}

/// Any change of a byte is reported or harmless, and never ends the program.
#[test]
fn damaged_metadata_never_panics() {
    let table = scale_export::tables::table::Table::Threads.info();
    let at = TABLES.iter().position(|known| known.name == table.name);
    let task = r#"{"task_id":"task","threads":[{"id":"a"},{"id":"b"},{}]}"#;
    let batches = round_trip::flatten("task", task).swap_remove(at.unwrap());
    let whole = encode(Format::Parquet, table, batches).unwrap();
    assert_eq!(wrong_statistics(table, whole.clone()), Ok(vec![]));
    for at in 0..whole.len() {
        for mask in [0x01, 0x80, 0xFF] {
            let mut bad = whole.clone();
            bad[at] ^= mask;
            let _ = wrong_statistics(table, bad);
        }
    }
}

/// The wrong statistics of a file, or why it cannot be read.
fn wrong_statistics(table: &'static TableInfo, file: Vec<u8>) -> Result<Vec<String>, String> {
    let mut wrong = vec![];
    let input = Input::Bytes(file.into());
    let opened = table_reader::open_checked(Format::Parquet, table, input, &mut wrong);
    let mut batches = opened.map_err(|error| error.to_string())?;
    while let Some(rows) = batches.next(&mut wrong) {
        rows.map_err(|error| error.to_string())?;
    }
    Ok(wrong.iter().map(|wrong| format!("{wrong:?}")).collect())
}

/// Writes tables and returns the wrong statistics of their files.
fn stated_wrongly(task: &str) -> Vec<String> {
    let tables = round_trip::flatten("task", task);
    let tables = TABLES.iter().zip(tables);
    let wrong = tables.flat_map(|(table, batches)| {
        let file = encode(Format::Parquet, table, batches).unwrap();
        wrong_statistics(table, file).unwrap()
    });
    wrong.collect()
}

#[test]
fn files_of_several_row_groups_state_nothing_wrong() {
    let error = |number: usize| format!(r#"{{"type":"t{}","message":"m"}}"#, number % 7);
    let errors: Vec<String> = (0..=ROW_GROUP_ROWS).map(error).collect();
    let task = format!(r#"{{"task_id":"task","errors":[{}]}}"#, errors.join(","));
    assert_eq!(stated_wrongly(&task), Vec::<String>::new());
}

/// Values at the limits of what bounds can state: long ones, values without a successor, and zeros of both signs.
#[test]
fn values_without_a_short_bound_state_nothing_wrong() {
    let texts = [
        "a".repeat(64),
        "a".repeat(65),
        "ä".repeat(33),
        "\u{10FFFF}".repeat(40),
        format!("a{}", "\u{10FFFF}".repeat(40)),
        "\u{D7FF}".repeat(30),
        "z".repeat(10_000),
    ];
    for text in &texts {
        // 0xFF bytes, which have no successor.
        let bytes = "/".repeat(4 * 30);
        let task = format!(
            r#"{{"task_id":"task","status":"{text}","threads":[{{"id":"{text}","turns":[{{"messages":[{{"content":{{"text":"{text}"}},"model_parameters":{{"temperature":-0.0}}}},{{"model_parameters":{{"temperature":0.0}}}}]}}],"annotations":[{{"id":"f","type":"file","value":{{"content":"{bytes}"}}}}]}}]}}"#
        );
        assert_eq!(stated_wrongly(&task), Vec::<String>::new(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Rows of arbitrary tasks, repeated so that they fill several pages.
    #[test]
    fn files_of_arbitrary_rows_state_nothing_wrong(
        choices in prop::collection::vec(any::<u8>(), 0..1_500),
        at in any::<prop::sample::Index>(),
    ) {
        let tables = round_trip::flatten(TASK_ID, &task(&choices));
        let filled: Vec<_> = TABLES.iter().zip(tables).filter(|(_, rows)| !rows.is_empty()).collect();
        let (table, batches) = at.get(&filled);
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let batches = vec![batches.clone(); 2 * PAGE_ROWS / rows + 1].concat();
        let file = encode(Format::Parquet, table, batches).unwrap();
        prop_assert_eq!(wrong_statistics(table, file), Ok(vec![]));
    }
}

#[test]
fn every_file_uses_what_old_readers_know() {
    let base = tempfile::tempdir().unwrap();
    let (_, good) = good_exports(base.path()).swap_remove(0);
    let mut features = Features::default();
    for table in TABLES {
        let file = good.join(Format::Parquet.file_name(table.name));
        let of_file = Falsified::of(&fs::read(file).unwrap()).features();
        // A table without rows has no chunks.
        assert!(!of_file.codecs.is_empty(), "{} has no rows", table.name);
        features.orders.extend(of_file.orders);
        features.codecs.extend(of_file.codecs);
        features.encodings.extend(of_file.encodings);
        features.page_types.extend(of_file.page_types);
    }
    features.orders.dedup();
    for list in [
        &mut features.codecs,
        &mut features.encodings,
        &mut features.page_types,
    ] {
        list.sort_unstable();
        list.dedup();
    }
    let expected = Features {
        // TypeDefinedOrder.
        orders: vec![1],
        // ZSTD.
        codecs: vec![6],
        // PLAIN, RLE, RLE_DICTIONARY.
        encodings: vec![0, 3, 8],
        // Data page, dictionary page.
        page_types: vec![0, 2],
    };
    assert_eq!(features, expected);
    // pyarrow ignores the bounds of columns whose order it does not know.
    let script = "
import pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
seen = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.parquet')):
    file = pq.ParquetFile(path)
    for column, field in enumerate(file.schema_arrow):
        if field.type != pa.float64():
            continue
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            has_value = statistics.null_count < file.metadata.row_group(group).num_rows
            assert statistics.has_min_max == has_value, (path.name, field.name)
            seen += has_value
assert seen >= 5, seen
";
    let output = python().args(["-c", script]).arg(&good).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
