//! Journals of earlier versions.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use scale_export::journal::block::encode;
use scale_export::journal::compressor::Compressor;
use scale_export::journal::format::{JournalRecord, JournalVersion};
use scale_export::journal::reader::JournalReader;

/// Makes an export look as if an earlier version had written it: its journal has the same records in the format of that
/// version.
pub(crate) fn downgrade(out: &Path, version: JournalVersion) {
    let journal = out.join(".scale-export/journal");
    let upgraded = fs::read(&journal).unwrap();
    let mut records = Vec::new();
    let (mut reader, ..) = JournalReader::open(&journal, None, |entry| {
        records.push((
            entry.kind,
            entry.is_final,
            entry.task_id.to_owned(),
            entry.location,
        ));
        ControlFlow::Continue(())
    })
    .unwrap();
    let first = usize::try_from(records[0].3.offset()).unwrap();
    let mut bytes = upgraded[..first].to_vec();
    bytes[8] = version as u8;
    for (kind, is_final, task_id, location) in &records {
        let mut body = Vec::new();
        let head = reader.read(task_id, *location, &mut body).unwrap();
        let record = JournalRecord {
            kind: *kind,
            flags: u16::from(*is_final),
            attempts: head.attempts,
            time: head.time,
            task_id,
            body: &body,
            digest: None,
        };
        encode(&record, version, &mut Compressor::default(), &mut bytes);
    }
    let path = out.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        &format!("\"journal_bytes\": {}", upgraded.len()),
        &format!("\"journal_bytes\": {}", bytes.len()),
    );
    fs::write(&path, text).unwrap();
    fs::write(&journal, &bytes).unwrap();
}
