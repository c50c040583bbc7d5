//! Small table files whose rows are huge in memory.

use std::fs::{self, File};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use scale_export::encode::format::Format;
use scale_export::encode::in_memory::encode;
use scale_export::encode::input::Input;
use scale_export::encode::table_reader;
use scale_export::tables::definition::TABLES;
use scale_export::tables::table::{Table, TableInfo};

use crate::support::round_trip;

/// Bytes of the value that all rows repeat.
const VALUE_BYTES: usize = 100_000;

/// Batches of rows in the file.
const WRITTEN: usize = 40;

/// Rows of each batch. All together are more than is read at once of short rows.
const ROWS: usize = 250;

/// A file of one row group, in which a dictionary has the long value.
fn bomb(column: &str) -> (&'static TableInfo, Vec<u8>) {
    let table = Table::Threads.info();
    let at = TABLES.iter().position(|known| known.name == table.name);
    let long = "a".repeat(VALUE_BYTES);
    let task = format!(r#"{{"task_id":"task","threads":[{{"{column}":"{long}"}}]}}"#);
    let row: Vec<RecordBatch> = round_trip::flatten("task", &task).swap_remove(at.unwrap());
    let schema = row[0].schema();
    let small = encode(Format::Parquet, table, row.clone()).unwrap();
    let small = SerializedFileReader::new(bytes::Bytes::from(small)).unwrap();
    let printed = small.metadata().file_metadata().key_value_metadata();
    let properties = WriterProperties::builder()
        .set_key_value_metadata(printed.cloned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .build();
    let rows = concat_batches(&schema, std::iter::repeat_n(&row[0], ROWS)).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, schema, Some(properties)).unwrap();
    for _ in 0..WRITTEN {
        writer.write(&rows).unwrap();
    }
    writer.close().unwrap();
    assert!(file.len() < 100_000, "{}", file.len());
    (table, file)
}

#[test]
fn a_long_value_that_a_dictionary_repeats_is_decoded_in_small_batches() {
    /// Maximum bytes of a batch: the limit, doubled for the spare memory of growing buffers.
    const MAX_BATCH_BYTES: usize = 2 * (16 << 20);
    let (table, file) = bomb("id");
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("bomb");
    fs::write(&path, file).unwrap();
    for input in [
        Input::from(File::open(&path).unwrap()),
        Input::at(&path).unwrap(),
    ] {
        let mut seen = 0;
        for rows in table_reader::open(Format::Parquet, table, input).unwrap() {
            let rows = rows.unwrap();
            seen += rows.len();
            let bytes = rows.batch().get_array_memory_size();
            assert!(bytes < MAX_BATCH_BYTES, "{bytes} bytes at once");
        }
        assert_eq!(seen, WRITTEN * ROWS);
    }
}
