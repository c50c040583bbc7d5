//! Arbitrary tasks are written to tables in both formats and rebuilt without loss.

use arrow::array::Array as _;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use scale_export::encode::format::Format;
use scale_export::rebuild::rebuilder::Rebuilder;
use scale_export::rebuild::row_cursor::{TableRows, TaskRows};
use scale_export::tables::definition::TABLES;

use crate::support::round_trip::{as_rows, check, flatten};
use crate::support::tasks::{TASK_ID, task};

/// Cases of each test, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 5_000;

/// Maximum bytes from which a task is generated.
const MAX_CHOICES: usize = 1_500;

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_given = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_given { default.cases } else { CASES },
        max_shrink_iters: 4_096,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/it/rebuild.regressions",
        ))),
        ..default
    }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..MAX_CHOICES)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_tasks_round_trip_through_parquet(bytes in choices()) {
        let json = task(&bytes);
        let checked = check(Some(Format::Parquet), TASK_ID, &json);
        prop_assert!(checked.is_ok(), "{}\n{json}", checked.unwrap_err());
    }

    #[test]
    fn arbitrary_tasks_round_trip_through_csv(bytes in choices()) {
        let json = task(&bytes);
        let checked = check(Some(Format::Csv), TASK_ID, &json);
        prop_assert!(checked.is_ok(), "{}\n{json}", checked.unwrap_err());
    }
}

/// Regressions: the name of the fault, and the task.
const REGRESSIONS: [(&str, &str); 4] = [
    (
        "a number that is the exact value of a float64 became the shortest decimal",
        r#"{"threads":[{"turns":[{"messages":[{"content":{"attachments":[{"duration":0.1000000000000000055511151231257827021181583404541015625}]}}]}]}]}"#,
    ),
    (
        "an integer past i64 became a rounded double",
        r#"{"threads":[{"annotations":[{"value":9223372036854775808}],"turns":[{"messages":[{"model_parameters":{"temperature":9223372036854775808}}]}]}]}"#,
    ),
    (
        "the double beside the integer -0 had a sign, and the integer had none",
        r#"{"threads":[{"annotations":[{"value":-0},{"value":-0.0}]}]}"#,
    ),
    (
        "a value a million levels deep took minutes to compare",
        r#"{"metadata":DEEP}"#,
    ),
];

#[test]
fn tasks_of_past_failures_round_trip() {
    const LEVELS: usize = 1_000_000;
    let deep = format!("{}1.0{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    for (name, case) in REGRESSIONS {
        let json = case
            .replacen('{', r#"{"task_id":"task","#, 1)
            .replace("DEEP", &deep);
        for format in [Format::Parquet, Format::Csv] {
            let checked = check(Some(format), TASK_ID, &json);
            assert!(checked.is_ok(), "{name}: {}", checked.unwrap_err());
        }
    }
}

/// The generated tasks fill every table: otherwise the other tests would not cover it.
#[test]
fn arbitrary_tasks_reach_every_table_and_every_column() {
    let mut filled = std::collections::BTreeSet::new();
    let mut state = 1_u64;
    for _ in 0..600 {
        let bytes: Vec<u8> = (0..MAX_CHOICES)
            .map(|_| {
                // Xorshift: the bytes need no quality, but must be the same in each run.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        for (table, batches) in TABLES.iter().zip(flatten(TASK_ID, &task(&bytes))) {
            for batch in batches {
                for (column, array) in table.columns().zip(batch.columns()) {
                    if array.null_count() < array.len() {
                        filled.insert(format!("{}.{}", table.name, column.name));
                    }
                }
            }
        }
    }
    let all = TABLES.iter().flat_map(|table| {
        let columns = table.columns();
        columns.map(|column| format!("{}.{}", table.name, column.name))
    });
    let missing: Vec<String> = all.filter(|column| !filled.contains(column)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

const SMALL: &str =
    r#"{"task_id":"task","threads":[{"id":"a","annotations":[{"id":"x"},{"id":"y"}],"turns":[]}]}"#;

/// Rebuilds a task from the rows of a table in the given order. Returns the JSON and the problems.
fn rebuilt(table: &str, order: &[usize]) -> (String, Vec<String>) {
    let tables = as_rows(flatten(TASK_ID, SMALL));
    let of_tables = TABLES.iter().zip(&tables).map(|(known, batches)| {
        let mut rows = TableRows::default();
        for batch in batches {
            if known.name == table {
                for row in order {
                    rows.add(batch, *row, row + 1);
                }
            } else {
                rows.add(batch, 0, batch.len());
            }
        }
        rows
    });
    let mut json = String::new();
    let problems = Rebuilder::default().task(&TaskRows::new(of_tables.collect()), &mut json);
    let problems = problems.into_iter().map(|problem| {
        format!(
            "{} {}: {}; {}",
            problem.table, problem.path, problem.expected, problem.found
        )
    });
    (json, problems.collect())
}

#[test]
fn damaged_rows_are_reported_with_their_position() {
    assert_eq!(rebuilt("annotations", &[0, 1]), (SMALL.to_owned(), vec![]));
    let problems = |order: &[usize]| rebuilt("annotations", order).1;
    assert_eq!(
        problems(&[1]),
        ["annotations /threads/0/annotations/0: a row; none"]
    );
    assert_eq!(
        problems(&[1, 0]),
        [
            "annotations /threads/0/annotations/1: the row after those of earlier objects; a row before them"
        ]
    );
    assert_eq!(
        problems(&[0, 0, 1]),
        ["annotations /threads/0/annotations/0: one row with this key; a second row"]
    );
    let (json, problems) = rebuilt("threads", &[]);
    assert_eq!(json, r#"{"task_id":"task","threads":[]}"#);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[1].contains("no row: its parent is missing"));
    assert_eq!(rebuilt("tasks", &[]).0, "null");
}
