//! The journal's file: any order of appending and writing, cut-off ends, and damage at every byte.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use scale_export::journal::file_head_encoder::{encode_file_head, encode_options};
use scale_export::journal::format::{
    FLAG_FINAL, JournalOptions, JournalRecord, JournalVersion, RecordKind,
};
use scale_export::journal::location::Location;
use scale_export::journal::reader::JournalReader;
use scale_export::journal::scan::ScanSummary;
use scale_export::journal::writer::Journal;
use sha2::{Digest as _, Sha256};

fn options() -> JournalOptions {
    JournalOptions {
        base_url: "https://api.example.com".into(),
        expand: vec![],
        opts: vec![],
        keep_secrets: false,
        copied: false,
    }
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    id: String,
    body: Vec<u8>,
    location: Location,
    /// The block that it is in.
    block: usize,
}

/// A journal in a temporary directory.
struct Sample {
    _directory: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    records: Vec<Written>,
    /// Where the blocks begin, and where the last one ends.
    bounds: Vec<usize>,
}

/// A step of a writer.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Appends a body of so many bytes.
    Append(usize),
    Mark,
    Flush,
    WriteBlocks,
}

/// Text that compresses, but not to nothing.
fn body(number: usize, bytes: usize) -> Vec<u8> {
    let numbers = (number..).flat_map(|number| (number * number).to_string().into_bytes());
    numbers.take(bytes).collect()
}

fn open(path: &Path) -> Journal {
    Journal::open(path, &options(), |_| ControlFlow::Continue(()))
        .unwrap()
        .0
}

/// Writes a journal, and finds all its records where the writer says they are.
fn write(version: JournalVersion, steps: &[Step]) -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    fs::write(
        &path,
        encode_file_head(&encode_options(&options()), version),
    )
    .unwrap();
    let mut journal = open(&path);
    let (mut written, mut locations) = (Vec::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Append(bytes) => {
                let (id, body) = (format!("task_{number}"), body(number, *bytes));
                let kinds = [
                    RecordKind::Response,
                    RecordKind::Failure,
                    RecordKind::Refused,
                ];
                journal.append(&JournalRecord {
                    kind: kinds[number % kinds.len()],
                    flags: FLAG_FINAL,
                    attempts: 1,
                    time: 7,
                    task_id: &id,
                    body: &body,
                    digest: None,
                });
                written.push((id, body));
            }
            Step::Mark => {
                let body = number.to_string();
                let mark = JournalRecord {
                    kind: RecordKind::Refresh,
                    flags: 0,
                    attempts: 0,
                    time: 8,
                    task_id: "",
                    body: body.as_bytes(),
                    digest: None,
                };
                locations.append(&mut journal.flush().unwrap());
                locations.push(journal.append_mark(&mark).unwrap());
                written.push((String::new(), mark.body.to_owned()));
            }
            Step::Flush => locations.append(&mut journal.flush().unwrap()),
            Step::WriteBlocks => locations.append(&mut journal.write_blocks().unwrap()),
        }
    }
    locations.append(&mut journal.flush().unwrap());
    assert_eq!(journal.bytes(), fs::metadata(&path).unwrap().len());
    let mut sample = Sample {
        _directory: directory,
        bytes: fs::read(&path).unwrap(),
        path,
        records: Vec::new(),
        bounds: Vec::new(),
    };
    sample.find_records(&written);
    let places: Vec<Location> = sample
        .records
        .iter()
        .map(|record| record.location)
        .collect();
    assert_eq!(places, locations);
    sample
}

impl Sample {
    /// Reads all records, which follow each other without a gap up to the end of the file.
    fn find_records(&mut self, written: &[(String, Vec<u8>)]) {
        let mut entries = Vec::new();
        let opened = JournalReader::open(&self.path, None, |entry| {
            entries.push((entry.task_id.to_owned(), entry.location, entry.next));
            ControlFlow::Continue(())
        });
        let (mut reader, _, summary) = opened.unwrap();
        let whole = ScanSummary {
            records: written.len() as u64,
            end: reader.bytes().unwrap(),
            ..ScanSummary::default()
        };
        assert_eq!(summary, whole);
        let mut at = encode_file_head(&encode_options(&options()), JournalVersion::LATEST).len();
        self.bounds.push(at);
        let (mut body, mut attributed) = (Vec::new(), at as u64);
        for ((id, location, next), expected) in entries.into_iter().zip(written) {
            assert_eq!(location.offset(), at as u64);
            attributed += location.bytes();
            at = usize::try_from(next).unwrap();
            let head = reader.read(&id, location, &mut body).unwrap();
            assert!((&id, &body) == (&expected.0, &expected.1));
            assert!(
                head.digest()
                    .is_none_or(|digest| digest == *Sha256::digest(&body))
            );
            self.records.push(Written {
                id,
                body: body.clone(),
                location,
                block: self.bounds.len() - 1,
            });
            if head.is_last() {
                self.bounds.push(at);
            }
        }
        assert_eq!(
            (at, attributed),
            (self.bytes.len(), self.bytes.len() as u64)
        );
        assert_eq!(self.bounds.last(), Some(&at));
    }

    /// The block that a byte is in.
    fn block_at(&self, at: usize) -> usize {
        self.bounds.partition_point(|bound| *bound <= at) - 1
    }

    /// What a scan finds in the file with other content: the numbers of the records, and what it reports.
    fn scan(&self, bytes: &[u8]) -> (Vec<usize>, ScanSummary) {
        fs::write(&self.path, bytes).unwrap();
        let mut found = Vec::new();
        let (mut reader, _, summary) = JournalReader::open(&self.path, None, |entry| {
            found.push((entry.task_id.to_owned(), entry.location));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(summary.records, found.len() as u64);
        let mut body = Vec::new();
        let found = found.into_iter().map(|(id, location)| {
            reader.read(&id, location, &mut body).unwrap();
            let is_it = |written: &Written| written.id == id && written.body == body;
            self.records.iter().position(is_it).unwrap()
        });
        (found.collect(), summary)
    }

    fn numbers(&self, is_it: impl Fn(&Written) -> bool) -> Vec<usize> {
        (0..self.records.len())
            .filter(|number| is_it(&self.records[*number]))
            .collect()
    }
}

/// A small journal with blocks of several records and of one.
fn small(version: JournalVersion) -> Sample {
    use Step::{Append, Flush, Mark};
    let steps = [
        Append(150),
        Append(0),
        Append(40),
        Append(200),
        Flush,
        Append(90),
        Flush,
        Mark,
        Append(120),
        Append(130),
        Append(10),
    ];
    write(version, &steps)
}

fn lost_ids(summary: &ScanSummary) -> Vec<&str> {
    let lost = summary.lost.iter();
    lost.map(|lost| lost.task_id.as_str()).collect()
}

#[test]
fn a_flipped_byte_costs_one_record_or_one_block_which_is_reported_by_id() {
    let sample = small(JournalVersion::Three);
    let sizes: Vec<usize> = (0..4)
        .map(|block| sample.numbers(|record| record.block == block).len())
        .collect();
    assert_eq!(sizes, [4, 1, 1, 3]);
    for at in sample.bounds[0]..sample.bytes.len() {
        let hit = sample.block_at(at);
        for flip in [1, 0x55, 0xFF] {
            let mut damaged = sample.bytes.clone();
            damaged[at] ^= flip;
            let (found, summary) = sample.scan(&damaged);
            let what = format!("byte {at} in block {hit}: {summary:?}");
            // The heads come first: the last head at or before the byte is the one that is hit.
            let heads = sample.numbers(|record| record.block == hit);
            let head = heads
                .iter()
                .rposition(|number| sample.records[*number].location.offset() <= at as u64);
            let head = heads[head.unwrap()];
            let head_end = sample.records[head].location.offset()
                + (JournalVersion::Three.head_bytes() + sample.records[head].id.len()) as u64;
            if (at as u64) < head_end {
                assert_eq!(
                    found,
                    sample.numbers(|record| *record != sample.records[head]),
                    "{what}"
                );
                assert!(summary.lost.is_empty(), "{what}");
            } else {
                assert_eq!(
                    found,
                    sample.numbers(|record| record.block != hit),
                    "{what}"
                );
                let ids: Vec<&str> = heads
                    .iter()
                    .map(|number| sample.records[*number].id.as_str())
                    .collect();
                assert_eq!(lost_ids(&summary), ids, "{what}");
            }
            let is_torn = summary.torn_bytes > 0;
            assert_eq!(summary.damaged, u64::from(!is_torn), "{what}");
        }
    }
}

#[test]
fn in_earlier_versions_a_flipped_byte_costs_one_record() {
    for version in [JournalVersion::One, JournalVersion::Two] {
        let sample = small(version);
        for at in sample.bounds[0]..sample.bytes.len() {
            let hit = sample.block_at(at);
            let mut damaged = sample.bytes.clone();
            damaged[at] ^= 0x55;
            let (found, summary) = sample.scan(&damaged);
            assert_eq!(
                found,
                sample.numbers(|record| record.block != hit),
                "byte {at}"
            );
            let is_torn = hit + 2 == sample.bounds.len();
            assert_eq!(
                (summary.damaged, summary.torn_bytes > 0),
                (u64::from(!is_torn), is_torn)
            );
        }
    }
}

#[test]
fn a_cut_at_any_byte_costs_what_was_not_whole() {
    for version in JournalVersion::ALL {
        let sample = small(version);
        for len in sample.bounds[0]..=sample.bytes.len() {
            let whole = sample.block_at(len);
            let (found, summary) = sample.scan(&sample.bytes[..len]);
            assert_eq!(
                found,
                sample.numbers(|record| record.block < whole),
                "{len}"
            );
            let torn = (len - sample.bounds[whole]) as u64;
            assert_eq!((summary.damaged, summary.torn_bytes), (0, torn), "{len}");
            let mut journal = open(&sample.path);
            assert_eq!(journal.bytes(), sample.bounds[whole] as u64);
            // What is appended after the cut is found.
            journal.end_run(1, 9).unwrap();
            let (_, _, summary) =
                JournalReader::open(&sample.path, None, |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(
                (summary.records, summary.torn_bytes),
                (found.len() as u64 + 1, 0)
            );
        }
    }
}

#[test]
fn bytes_that_were_inserted_or_removed_cost_nothing_in_other_blocks() {
    let sample = small(JournalVersion::Three);
    for at in sample.bounds[0]..sample.bytes.len() {
        let hit = sample.block_at(at);
        let mut longer = sample.bytes.clone();
        longer.insert(at, 0x7E);
        let mut shorter = sample.bytes.clone();
        shorter.remove(at);
        for damaged in [longer, shorter] {
            let (found, summary) = sample.scan(&damaged);
            let found: BTreeSet<usize> = found.into_iter().collect();
            let others = sample.numbers(|record| record.block != hit);
            assert!(
                others.iter().all(|number| found.contains(number)),
                "{at}: {summary:?}"
            );
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..400_usize).prop_map(Step::Append),
        2 => (0..30_000_usize).prop_map(Step::Append),
        1 => (60_000..140_000_usize).prop_map(Step::Append),
        1 => Just(Step::Mark),
        2 => Just(Step::Flush),
        1 => Just(Step::WriteBlocks),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_appending_and_writing_keeps_all_records(
        steps in steps(),
        version in prop::sample::select(JournalVersion::ALL.to_vec()),
        cut: prop::sample::Index,
        flip: prop::sample::Index,
    ) {
        let sample = write(version, &steps);
        let len = sample.bounds[0] + cut.index(sample.bytes.len() - sample.bounds[0] + 1);
        let whole = sample.block_at(len);
        let (found, summary) = sample.scan(&sample.bytes[..len]);
        prop_assert_eq!(found, sample.numbers(|record| record.block < whole));
        prop_assert_eq!(summary.torn_bytes, (len - sample.bounds[whole]) as u64);
        if sample.bytes.len() > sample.bounds[0] {
            let at = sample.bounds[0] + flip.index(sample.bytes.len() - sample.bounds[0]);
            let hit = sample.block_at(at);
            let mut damaged = sample.bytes.clone();
            damaged[at] ^= 0x20;
            let (found, summary) = sample.scan(&damaged);
            let all = 0..sample.records.len();
            let lost: Vec<usize> = all.filter(|number| !found.contains(number)).collect();
            prop_assert!(lost.iter().all(|number| sample.records[*number].block == hit));
            let is_head = version == JournalVersion::Three && summary.lost.is_empty();
            prop_assert!(!is_head || lost.len() == 1);
        }
    }
}

#[test]
fn neighbors_are_read_from_a_block_that_is_decompressed_once() {
    let sample = write(JournalVersion::Three, &[Step::Append(2_000); 30]);
    assert_eq!(sample.bounds.len(), 2);
    let (mut reader, ..) =
        JournalReader::open(&sample.path, None, |_| ControlFlow::Continue(())).unwrap();
    let mut body = Vec::new();
    let mut read = |record: &Written| {
        let read = reader.read(&record.id, record.location, &mut body);
        read.map(|_| assert!(body == record.body))
    };
    read(&sample.records[7]).unwrap();
    // What is not in the cache cannot be read any more.
    let mut damaged = sample.bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&sample.path, damaged).unwrap();
    for record in sample.records.iter().rev() {
        read(record).unwrap();
    }
    let (mut other, ..) =
        JournalReader::open(&sample.path, None, |_| ControlFlow::Continue(())).unwrap();
    let record = &sample.records[7];
    let error = other.read(&record.id, record.location, &mut Vec::new());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("task `task_7`") && error.contains("its checksum does not match"),
        "{error}"
    );
}
