//! The encoding of Parquet columns: any rows come back as they were, from every reader.

use std::fs::{self, File};

use arrow::ipc::writer::FileWriter;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use scale_export::encode::parquet::write::column_encoder::PageLimits;
use scale_export::encode::parquet::write::row_group_encoder::RowGroupLimits;
use scale_export::tables::definition::TABLES;
use scale_export::tables::row_reader::Rows;

use crate::support::any_rows::{ALL_TYPES, Nature, check, rows, small_limits};
use crate::support::{python, root};

/// Enough bytes for the values of so many rows of a table.
fn random_bytes(seed: u64, rows: usize) -> Vec<u8> {
    const BYTES_OF_A_VALUE: usize = 3;
    let mut random = fastrand::Rng::with_seed(seed);
    let length = rows * ALL_TYPES.columns().count() * BYTES_OF_A_VALUE;
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

fn natures() -> impl Strategy<Value = Nature> {
    let distinct = prop_oneof![1_u32..4, 1_u32..60, Just(u32::MAX)];
    let text_bytes = prop_oneof![0_usize..12, 0_usize..300];
    (0_u8..200, any::<u8>(), distinct, text_bytes).prop_map(
        |(nulls, repeats, distinct, text_bytes)| Nature {
            nulls,
            repeats,
            distinct,
            text_bytes,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_rows_come_back_as_they_were(
        nature in natures(),
        limits in any::<[u8; 5]>(),
        count in 0_usize..500,
        seed in any::<u64>(),
    ) {
        let rows = rows(&ALL_TYPES, nature, count, &random_bytes(seed, count));
        check(&rows, small_limits(limits));
    }
}

/// Files of any rows that other readers read in a run.
const ANY_FILES: usize = 40;

/// Values of which half repeat.
const MIXED: Nature = Nature {
    nulls: 40,
    repeats: 128,
    distinct: 5_000,
    text_bytes: 200,
};

/// The names of the columns with a dictionary in the first row group.
fn with_dictionary(nature: Nature, count: usize) -> Vec<String> {
    let rows = rows(&ALL_TYPES, nature, count, &random_bytes(1, count));
    let file = check(&rows, RowGroupLimits::default());
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    let columns = reader.metadata().row_group(0).columns().iter();
    let with_dictionary = columns.filter(|column| column.dictionary_page_offset().is_some());
    let names = with_dictionary.map(|column| column.column_path().string());
    names.collect()
}

#[test]
fn a_short_column_chunk_has_a_dictionary_only_if_its_values_repeat() {
    let distinct = Nature {
        nulls: 0,
        repeats: 0,
        distinct: u32::MAX,
        text_bytes: 40,
    };
    let few = Nature {
        distinct: 3,
        ..distinct
    };
    let (few, distinct) = (with_dictionary(few, 300), with_dictionary(distinct, 300));
    for name in ["name", "number", "time"] {
        assert!(few.iter().any(|found| found == name), "{few:?}");
        assert!(!distinct.iter().any(|found| found == name), "{distinct:?}");
    }
}

#[test]
fn a_column_that_is_mostly_null_gives_up_its_dictionary_when_its_values_hardly_repeat() {
    let sparse = Nature {
        nulls: 240,
        repeats: 0,
        distinct: u32::MAX,
        text_bytes: 40,
    };
    let few = Nature {
        distinct: 3,
        ..sparse
    };
    // The values of a page have fewer bytes than those that are probed.
    let limits = RowGroupLimits {
        page: PageLimits {
            rows: 100,
            probe_bytes: 2_000,
            ..PageLimits::default()
        },
        ..RowGroupLimits::default()
    };
    let count = 5_000;
    let has_plain_pages = |nature| {
        let rows = rows(&ALL_TYPES, nature, count, &random_bytes(1, count));
        let file = check(&rows, limits);
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let columns = reader.metadata().row_group(0).columns().iter();
        let mut columns = columns.filter(|column| column.column_path().string() == "name");
        let column = columns.next().unwrap();
        assert!(column.dictionary_page_offset().is_some());
        let encodings = column.page_encoding_stats_mask().unwrap();
        assert!(encodings.is_set(Encoding::RLE_DICTIONARY), "{encodings:?}");
        encodings.is_set(Encoding::PLAIN)
    };
    assert!(has_plain_pages(sparse));
    assert!(!has_plain_pages(few));
}

#[test]
fn row_groups_of_every_table_are_copied_without_a_change() {
    let bytes = random_bytes(1, 2_000);
    let limits = RowGroupLimits {
        rows: 400,
        ..small_limits([0, 255, 200, 200, 30])
    };
    for table in TABLES {
        let rows = rows(table, MIXED, 1_000, &bytes);
        let file = check(&rows, limits);
        // Other cuts give other bytes, so the comparison with the copy says something.
        assert!(
            check(&rows, RowGroupLimits::default()) != file,
            "{}",
            table.name
        );
    }
}

#[test]
fn pyarrow_and_duckdb_read_every_encoding_of_every_type_and_any_rows() {
    let base = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    let usual = RowGroupLimits::default();
    let of = |count: usize, nature: Nature| {
        rows(
            &ALL_TYPES,
            nature,
            count,
            &random_bytes(count as u64, count),
        )
    };
    let nulls = Nature {
        nulls: 255,
        ..MIXED
    };
    let few = Nature {
        distinct: 7,
        ..MIXED
    };
    // Pages end by rows, pages end by bytes, and dictionaries are given up or exceed their limit.
    let unique = Nature {
        repeats: 0,
        distinct: u32::MAX,
        text_bytes: 400,
        ..MIXED
    };
    let mut files: Vec<(String, Rows, RowGroupLimits)> = vec![
        ("empty".into(), of(0, MIXED), usual),
        ("one".into(), of(1, MIXED), usual),
        ("nulls".into(), of(21_000, nulls), usual),
        ("few".into(), of(25_000, few), usual),
        ("mixed".into(), of(25_000, MIXED), usual),
        ("unique".into(), of(25_000, unique), usual),
        (
            "small".into(),
            of(5_000, MIXED),
            small_limits([250, 250, 50, 50, 9]),
        ),
    ];
    // Others in each run. One interpreter reads them all, since starting it takes longer than reading a file.
    let any_rows = (natures(), any::<[u8; 5]>(), 0_usize..500, any::<u64>());
    let mut runner = TestRunner::default();
    for number in 0..ANY_FILES {
        let (nature, limits, count, seed) = any_rows.new_tree(&mut runner).unwrap().current();
        let found = rows(&ALL_TYPES, nature, count, &random_bytes(seed, count));
        files.push((format!("any-{number}"), found, small_limits(limits)));
        made.push(format!(
            "any-{number}: {nature:?}, {limits:?}, {count} rows, seed {seed}"
        ));
    }
    let mut run = python();
    run.arg(root().join("tests/consumers/same_rows.py"));
    for (name, rows, limits) in &files {
        let parquet = base.path().join(format!("{name}.parquet"));
        fs::write(&parquet, check(rows, *limits)).unwrap();
        let arrow = base.path().join(format!("{name}.arrow"));
        let file = File::create(&arrow).unwrap();
        let mut writer = FileWriter::try_new(file, &rows.batch().schema()).unwrap();
        writer.write(rows.batch()).unwrap();
        writer.finish().unwrap();
        run.arg(parquet).arg(arrow);
    }
    let output = run.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(
        output.status.success() && printed.contains(&format!("same: {}", files.len())),
        "{printed}\n{}",
        made.join("\n")
    );
}
