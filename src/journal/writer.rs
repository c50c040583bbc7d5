//! Writes the journal: opens what is there, appends, syncs.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::journal::binding::refuse_other;
use crate::journal::block_encoder::{BlockEncoder, EncodedBlocks};
use crate::journal::error::JournalError;
use crate::journal::file_head_encoder::{encode_file_head, encode_options};
use crate::journal::format::{End, JournalOptions, JournalRecord, JournalVersion, RecordKind};
use crate::journal::index_writer::min_bytes;
use crate::journal::journal_file::JournalFile;
use crate::journal::location::Location;
use crate::journal::reader::JournalReader;
use crate::journal::record_head::RecordHead;
use crate::journal::scan::{RecordEntry, ScanSummary};

/// The extension of its name while its header is being written.
const NEW_EXTENSION: &str = "new";

/// Bytes that are buffered before they should be written: large writes cost little per response.
const FULL_BYTES: usize = 1 << 20;

/// Bytes of the buffer that are kept from one write to the next: one huge response must not keep its memory.
const KEPT_BYTES: usize = 4 << 20;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    log: JournalFile,
    /// Bytes that were written.
    end: u64,
    /// What is not yet written.
    encoder: BlockEncoder,
    dirty: bool,
}

impl Journal {
    /// Opens the journal at a path, or begins one. Passes every whole record to `visit`, in the order of writing, until it
    /// breaks; then cuts off an incomplete record at the end.
    pub fn open(
        path: &Path,
        options: &JournalOptions,
        mut visit: impl FnMut(RecordEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(Self, ScanSummary), JournalError> {
        let name = std::fs::symlink_metadata(path);
        if name.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok((Self::begin(path, options)?, ScanSummary::default()));
        }
        // A broken link is an error: a new journal would replace it.
        let found = std::fs::metadata(path).map_err(JournalError::io("inspect", path))?;
        // An empty file holds nothing that could be lost.
        if found.len() == 0 {
            return Ok((Self::begin(path, options)?, ScanSummary::default()));
        }
        let file = durable_fs::open(path, Access::Owner).map_err(JournalError::io("open", path))?;
        let mut journal = Self::new(JournalFile::new(path.to_owned(), file));
        let (before, end) = journal.log.read_head()?;
        journal.encoder = BlockEncoder::new(journal.log.version);
        if let Err(refused) = refuse_other(&journal.log.path, &before, options) {
            if journal.log.has_response(end)? {
                return Err(refused);
            }
            // Nothing was received with the earlier options, so a run with others may begin a new journal.
            return Ok((Self::begin(path, options)?, ScanSummary::default()));
        }
        journal.end = end;
        let opened = journal.index(&mut visit)?;
        Ok((journal, opened))
    }

    fn new(log: JournalFile) -> Self {
        Self {
            encoder: BlockEncoder::new(log.version),
            log,
            end: 0,
            dirty: false,
        }
    }

    /// Begins a journal. It gets its name when its header is on the disk.
    fn begin(path: &Path, options: &JournalOptions) -> Result<Self, JournalError> {
        let new = path.with_extension(NEW_EXTENSION);
        let mut journal = Self::create(new.clone(), options)?;
        journal.sync()?;
        durable_fs::rename(&new, path)
            .and_then(|()| durable_fs::sync_directory(directory_of(path)))
            .map_err(JournalError::io("write the header of", path))?;
        path.clone_into(&mut journal.log.path);
        Ok(journal)
    }

    /// Passes all whole records to `visit`, and cuts off an incomplete one at the end.
    fn index(
        &mut self,
        visit: &mut dyn FnMut(RecordEntry<'_>) -> ControlFlow<()>,
    ) -> Result<ScanSummary, JournalError> {
        let len = self.log.len()?;
        let scanned = self
            .log
            .scan_with_index(self.end, len, Some(min_bytes()), visit)?;
        let opened = scanned.ok_or_else(|| self.log.interrupted())?;
        if opened.torn_bytes > 0 {
            // Otherwise the rest of an incomplete block would follow the next, shorter one.
            durable_fs::set_length(&self.log.file, &self.log.path, opened.end)
                .map_err(JournalError::io("truncate", &self.log.path))?;
            self.sync_now()?;
        }
        self.end = opened.end;
        Ok(opened)
    }

    /// Appends a record. It is in the file after the next [`flush`](Self::flush), and survives a power loss after the next
    /// [`sync`](Self::sync). Records that are appended between two flushes share blocks.
    pub fn append(&mut self, record: &JournalRecord<'_>) {
        self.encoder.append(record);
    }

    /// Appends a record of another journal, as [`JournalReader::read`] returns it.
    pub(crate) fn append_copy(&mut self, head: &RecordHead, task_id: &str, body: &[u8]) {
        self.encoder.append_copy(head, task_id, body);
    }

    /// Appends blocks that were encoded in the [version](Self::version) of the journal, for example on another thread.
    pub(crate) fn append_blocks(&mut self, blocks: EncodedBlocks) {
        self.encoder.end_block();
        self.encoder.encoded().append(blocks);
    }

    /// Appends a mark, alone in a block, and writes it. Returns where it is.
    pub fn append_mark(&mut self, mark: &JournalRecord<'_>) -> Result<Location, JournalError> {
        // Alone in its block, so that its offset and that of the next record are those of blocks.
        self.flush()?;
        let offset = self.end;
        self.append(mark);
        self.flush()?;
        Ok(Location::new(offset, self.end - offset))
    }

    /// Appends a mark: the run ends by decision and without a publication, and failures at or after the offset `since`
    /// are revoked. The mark survives a power loss when this returns.
    pub fn end_run(&mut self, since: u64, time: u64) -> Result<(), JournalError> {
        // A number: serialization cannot fail.
        let body = serde_json::to_vec(&End { since }).unwrap_or_default();
        self.append_mark(&JournalRecord {
            kind: RecordKind::End,
            flags: 0,
            attempts: 0,
            time,
            task_id: "",
            body: &body,
            digest: None,
        })?;
        self.sync()?;
        Ok(())
    }

    /// The version of the format that it is written in. Compaction raises it to the latest one.
    pub fn version(&self) -> JournalVersion {
        self.log.version
    }

    /// Begins a journal under another name, to replace the directory's own: [sync](Self::sync) it, then rename it.
    pub fn create(path: PathBuf, options: &JournalOptions) -> Result<Self, JournalError> {
        let created = durable_fs::create(&path, Access::Owner);
        let file = created.map_err(JournalError::io("create", &path))?;
        let options = encode_options(options);
        let mut journal = Self::new(JournalFile::new(path, file));
        journal.encoder.encoded().bytes = encode_file_head(&options, JournalVersion::LATEST);
        journal.flush()?;
        Ok(journal)
    }

    /// Whether enough is buffered to be [written](Self::write_blocks).
    pub fn is_full(&self) -> bool {
        self.encoder.encoded_bytes() >= FULL_BYTES
    }

    /// Writes what was appended. Returns where the records are that were not written before, in the order in which they
    /// were appended.
    pub fn flush(&mut self) -> Result<Vec<Location>, JournalError> {
        self.encoder.end_block();
        self.write_blocks()
    }

    /// Writes what was appended, except for a last block that is not full. Returns where the records are, like
    /// [`flush`](Self::flush).
    pub fn write_blocks(&mut self) -> Result<Vec<Location>, JournalError> {
        let blocks = self.encoder.encoded();
        if blocks.bytes.is_empty() {
            return Ok(Vec::new());
        }
        // At a fixed offset, so that a write after a partial failure starts over.
        durable_fs::write_all_at(&self.log.file, &self.log.path, &blocks.bytes, self.end)
            .map_err(JournalError::io("write", &self.log.path))?;
        let placed = blocks.take_placed(self.end).collect();
        self.end += blocks.bytes.len() as u64;
        blocks.bytes.clear();
        if blocks.bytes.capacity() > KEPT_BYTES {
            blocks.bytes = Vec::new();
        }
        self.dirty = true;
        Ok(placed)
    }

    /// Makes what was appended survive a power loss. Returns where the records are, like [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<Vec<Location>, JournalError> {
        let placed = self.flush()?;
        // A sync without new bytes would still wait for the disk.
        if self.dirty {
            self.sync_now()?;
        }
        // With each sync and not with each write: a crash may cost the records since the last sync anyway.
        self.is_in_place()?;
        Ok(placed)
    }

    /// Fails when the file was removed or replaced during the run: what is written to it would be lost.
    fn is_in_place(&self) -> Result<(), JournalError> {
        let path = &self.log.path;
        let here = self.log.file.metadata();
        let there = std::fs::metadata(path);
        let (here, there) = here
            .and_then(|here| Ok((here, there?)))
            .map_err(JournalError::io("find", path))?;
        // The name alone says little: a restored backup may have another file under it.
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        let replaced = std::io::Error::other("another file replaced it");
        Err(JournalError::io("find", path)(replaced))
    }

    fn sync_now(&mut self) -> Result<(), JournalError> {
        durable_fs::sync(&self.log.file, &self.log.path)
            .map_err(JournalError::io("sync", &self.log.path))?;
        self.dirty = false;
        Ok(())
    }

    /// A reader of single records, which may be used while this journal is appended to.
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(self.log.clone())
    }

    /// Its size in bytes, without what is not yet written.
    pub fn bytes(&self) -> u64 {
        self.end
    }
}

/// The directory that a journal is in.
fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The journal's name in the directories of these tests.
    const FILE_NAME: &str = "journal";

    fn options() -> JournalOptions {
        JournalOptions {
            base_url: "https://api.example.com".into(),
            expand: vec![],
            opts: vec!["annotation_details".into()],
            keep_secrets: false,
            copied: false,
        }
    }

    fn response<'a>(task_id: &'a str, body: &'a [u8]) -> JournalRecord<'a> {
        JournalRecord {
            kind: RecordKind::Response,
            flags: 0,
            attempts: 1,
            time: 0,
            task_id,
            body,
            digest: None,
        }
    }

    fn seen(state: &Path) -> (Vec<(String, Location)>, ScanSummary) {
        let mut seen = Vec::new();
        let (_, opened) = Journal::open(&state.join(FILE_NAME), &options(), |entry| {
            seen.push((entry.task_id.to_owned(), entry.location));
            ControlFlow::Continue(())
        })
        .unwrap();
        (seen, opened)
    }

    fn written(count: usize) -> (tempfile::TempDir, Vec<Location>) {
        let state = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&state.path().join(FILE_NAME), &options(), |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut locations = Vec::new();
        for index in 0..count {
            let body = format!("{{\"a\":{index}}}").repeat(20);
            journal.append(&response(&format!("task_{index}"), body.as_bytes()));
            // Alone in a block, as if it arrived slowly.
            locations.append(&mut journal.flush().unwrap());
        }
        journal.sync().unwrap();
        (state, locations)
    }

    #[test]
    fn what_a_run_adds_during_a_scan_is_no_damage() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(FILE_NAME);
        let (mut journal, _) =
            Journal::open(&path, &options(), |_| ControlFlow::Continue(())).unwrap();
        let offsets = ["a", "b", "c"].map(|id| {
            let body = id.repeat(100);
            journal.append(&response(id, body.as_bytes()));
            journal.flush().unwrap()[0].offset()
        });
        let [_, second, third] = offsets;
        // The length that the scan begins with is within the second record, and the third arrives meanwhile.
        for len in second + 1..third {
            let visit = |_: RecordEntry<'_>| ControlFlow::Continue(());
            let (_, _, summary) = JournalReader::open(&path, Some(len), visit).unwrap();
            assert_eq!((summary.records, summary.damaged), (1, 0), "{len}");
            assert_eq!(summary.torn_bytes, len - second);
        }
    }

    #[test]
    fn records_are_found_again() {
        let (state, locations) = written(5);
        let (found, opened) = seen(state.path());
        assert_eq!(
            opened,
            ScanSummary {
                records: 5,
                end: std::fs::metadata(state.path().join(FILE_NAME))
                    .unwrap()
                    .len(),
                ..ScanSummary::default()
            }
        );
        assert_eq!(
            found
                .iter()
                .map(|(_, location)| *location)
                .collect::<Vec<_>>(),
            locations
        );
        let (journal, _) = Journal::open(&state.path().join(FILE_NAME), &options(), |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut body = Vec::new();
        journal
            .reader()
            .read("task_3", locations[3], &mut body)
            .unwrap();
        assert_eq!(body, "{\"a\":3}".repeat(20).as_bytes());
        assert!(
            journal
                .reader()
                .read("task_4", locations[3], &mut body)
                .is_err()
        );
    }

    #[test]
    fn a_torn_tail_is_cut_off_at_every_length() {
        let (state, locations) = written(2);
        let path = state.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        let second = usize::try_from(locations[1].offset()).unwrap();
        for len in second..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (found, opened) = seen(state.path());
            assert_eq!(
                (found.len(), opened.torn_bytes),
                (1, (len - second) as u64),
                "{len}"
            );
            assert_eq!(std::fs::metadata(&path).unwrap().len(), second as u64);
        }
    }

    #[test]
    fn damage_to_a_block_costs_its_records_which_are_reported_by_id() {
        let (state, locations) = written(2);
        let path = state.path().join(FILE_NAME);
        let (mut journal, _) =
            Journal::open(&path, &options(), |_| ControlFlow::Continue(())).unwrap();
        for id in ["task_2", "task_3"] {
            journal.append(&response(id, b"{}".repeat(90).as_slice()));
        }
        journal.sync().unwrap();
        let mut damaged = std::fs::read(&path).unwrap();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        damaged[usize::try_from(locations[1].offset()).unwrap() - 1] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let (found, opened) = seen(state.path());
        assert_eq!(found, [("task_1".to_owned(), locations[1])]);
        let ids: Vec<&str> = opened
            .lost
            .iter()
            .map(|lost| lost.task_id.as_str())
            .collect();
        assert_eq!(ids, ["task_0", "task_2", "task_3"]);
        assert_eq!((opened.damaged, opened.torn_bytes), (2, 0));
    }

    #[test]
    fn a_scan_that_is_stopped_does_not_change_the_file() {
        let (state, _) = written(3);
        let path = state.path().join(FILE_NAME);
        let mut torn = std::fs::read(&path).unwrap();
        torn.truncate(torn.len() - 1);
        std::fs::write(&path, &torn).unwrap();
        let mut seen = 0;
        let opened = Journal::open(&state.path().join(FILE_NAME), &options(), |_| {
            seen += 1;
            crate::journal::scan::break_if(seen == 2)
        });
        assert!(matches!(opened, Err(JournalError::Interrupted { .. })));
        assert_eq!(seen, 2);
        assert!(std::fs::read(&path).unwrap() == torn);
    }

    #[test]
    fn other_options_are_refused_by_name() {
        let (state, _) = written(1);
        let other = JournalOptions {
            expand: vec!["project".into()],
            ..options()
        };
        let error = Journal::open(&state.path().join(FILE_NAME), &other, |_| {
            ControlFlow::Continue(())
        })
        .unwrap_err();
        assert!(error.to_string().contains("--expand"), "{error}");
    }
}
