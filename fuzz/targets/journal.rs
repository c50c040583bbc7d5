//! Fuzzes the journal reader with damaged journals and with any bytes. Every record that is read was written.
#![no_main]

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use scale_export::journal::file_head_encoder::{encode_file_head, encode_options};
use scale_export::journal::format::{JournalOptions, JournalRecord, JournalVersion, RecordKind};
use scale_export::journal::reader::JournalReader;
use scale_export::journal::writer::Journal;

const KINDS: [RecordKind; 4] = [
    RecordKind::Response,
    RecordKind::Failure,
    RecordKind::Refresh,
    RecordKind::End,
];

fn options() -> JournalOptions {
    JournalOptions {
        base_url: "https://api.example.com".into(),
        expand: vec![],
        opts: vec![],
        keep_secrets: false,
        copied: false,
    }
}

thread_local! {
    static STATE: tempfile::TempDir = {
        // Uses a file system in memory if there is one, since it writes thousands of files per second.
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        made.expect("a directory for the journal")
    };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let mut written = HashMap::new();
    let file = if first % 8 == 0 {
        rest.to_vec()
    } else {
        let version = JournalVersion::ALL[usize::from(first / 8) % JournalVersion::ALL.len()];
        // Bits that say after which records the writer flushes.
        let flushes = first / 24;
        STATE.with(|state| {
            let path = state.path().join("written");
            damaged(
                &path,
                usize::from(first % 8),
                (version, flushes),
                rest,
                &mut written,
            )
        })
    };
    STATE.with(|state| {
        let path = state.path().join("journal");
        std::fs::write(&path, file).expect("the file can be written");
        let mut seen = Vec::new();
        let read = JournalReader::open(&path, None, |entry| {
            seen.push((entry.task_id.to_owned(), entry.location));
            ControlFlow::Continue(())
        });
        if let Ok((mut reader, _, _)) = read {
            let mut body = Vec::new();
            for (task_id, location) in &seen {
                if reader.read(task_id, *location, &mut body).is_ok() && first % 8 != 0 {
                    assert!(written[task_id].contains(&body), "{task_id}");
                }
            }
            // The writer cuts off a torn tail, and must find the same records.
            let mut again = Vec::new();
            let opened = Journal::open(&path, &options(), |entry| {
                again.push((entry.task_id.to_owned(), entry.location));
                ControlFlow::Continue(())
            });
            if opened.is_ok() {
                assert_eq!(seen, again);
            }
        }
    });
});

/// A journal of `count` records. `bytes` gives their bodies and the damage.
fn damaged(
    path: &Path,
    count: usize,
    (version, flushes): (JournalVersion, u8),
    bytes: &[u8],
    written: &mut HashMap<String, Vec<Vec<u8>>>,
) -> Vec<u8> {
    let (bodies, damage) = bytes.split_at(bytes.len() / 2);
    let head = encode_file_head(&encode_options(&options()), version);
    std::fs::write(path, head).expect("the file can be written");
    let opened = Journal::open(path, &options(), |_| ControlFlow::Continue(()));
    let (mut journal, _) = opened.expect("the header is whole");
    for (index, body) in bodies
        .chunks(bodies.len().div_ceil(count).max(1))
        .enumerate()
    {
        let task_id = format!("task_{}", index % 3);
        let body = body.repeat(1 + index * 20);
        journal.append(&JournalRecord {
            kind: KINDS[index % KINDS.len()],
            flags: 0,
            attempts: 1,
            time: 0,
            task_id: &task_id,
            body: &body,
            digest: None,
        });
        if flushes >> (index % 4) & 1 == 1 {
            journal.flush().expect("the file can be written");
        }
        written.entry(task_id).or_default().push(body);
    }
    journal.flush().expect("the file can be written");
    let mut file = std::fs::read(path).expect("the file can be read");
    for change in damage.chunks_exact(4) {
        let [low, high, what, byte] = [change[0], change[1], change[2], change[3]];
        let at = usize::from(u16::from_le_bytes([low, high])) % file.len().max(1);
        match what % 4 {
            0 if at < file.len() => file[at] ^= byte,
            1 => file.truncate(at),
            2 if at < file.len() => drop(file.remove(at)),
            _ => file.insert(at.min(file.len()), byte),
        }
    }
    file
}
