//! The journal's file: opening and indexing what is there, appending, reading single records.
//! Depends on `format`.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JournalError;
use super::format::{
    self, FILE_HEAD_BYTES, FLAG_FINAL, HEAD_BYTES, Head, Options, Record, RecordKind,
};

/// Its name in the state directory.
const FILE_NAME: &str = "journal";

/// Bytes that are read at once while the file is indexed.
const SCAN_BYTES: usize = 1 << 20;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    offset: u64,
    bytes: u32,
}

impl Location {
    /// Stands where there is no record.
    pub(crate) const NOWHERE: Self = Self {
        offset: 0,
        bytes: 0,
    };
}

/// A final failure, as the journal and `failures.jsonl` have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureNote {
    /// `not_found`, `timeout`, …
    pub kind: String,
    /// Status of the last response, if there was one.
    pub http_status: Option<u16>,
    /// Attempts that were made.
    pub attempts: u32,
    /// What went wrong last, printable and free of secrets.
    pub message: String,
}

/// What opening an existing journal found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Whole records.
    pub records: u64,
    /// Stretches that could not be read and were passed over.
    pub damaged: u64,
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
}

/// One record as the index sees it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// The task.
    pub task_id: &'a str,
    /// Where its body is.
    pub location: Location,
    /// Was the task in a state that does not change any more?
    pub is_final: bool,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    end: u64,
    buffer: Vec<u8>,
    dirty: bool,
}

impl Journal {
    /// Opens the journal of a state directory, or begins one. Every whole record is shown to `see`,
    /// in the order of writing; a torn tail is cut off.
    pub fn open(
        state: &Path,
        options: &Options,
        mut see: impl FnMut(Entry<'_>),
    ) -> Result<(Self, Opened), JournalError> {
        let path = state.join(FILE_NAME);
        let file = crate::output::state_file_options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(JournalError::io("open", &path))?;
        let len = file
            .metadata()
            .map_err(JournalError::io("look at", &path))?
            .len();
        let mut journal = Self {
            path,
            file: Arc::new(file),
            end: 0,
            buffer: Vec::new(),
            dirty: false,
        };
        let head = format::encode_file_head(options);
        // A header that was cut off by a crash has no records behind it.
        if len < head.len() as u64 && len < FILE_HEAD_BYTES as u64 {
            journal.begin(&head, state)?;
            return Ok((journal, Opened::default()));
        }
        let (before, end) = journal.read_head()?;
        if len == end && before != *options {
            // Nothing was fetched with the options of before: they bind nobody.
            journal.begin(&head, state)?;
            return Ok((journal, Opened::default()));
        }
        journal.refuse_other(&before, options)?;
        journal.end = end;
        let opened = journal.index(len, &mut see)?;
        Ok((journal, opened))
    }

    /// Writes the header of a new journal, and makes it and its name survive a power loss.
    fn begin(&mut self, head: &[u8], state: &Path) -> Result<(), JournalError> {
        self.file
            .set_len(0)
            .map_err(JournalError::io("empty", &self.path))?;
        self.buffer.extend_from_slice(head);
        self.dirty = true;
        self.flush()?;
        self.sync()?;
        File::open(state)
            .and_then(|directory| directory.sync_all())
            .map_err(JournalError::io("sync the directory of", &self.path))
    }

    /// Reads the header; gives its options and where the records begin.
    fn read_head(&self) -> Result<(Options, u64), JournalError> {
        let mut head = vec![0; SCAN_BYTES];
        let filled = self.read_some(&mut head, 0)?;
        head.truncate(filled);
        match format::decode_file_head(&head) {
            Ok((options, end)) => Ok((options, end as u64)),
            Err(cause) => Err(JournalError::Header {
                path: self.path.clone(),
                cause,
            }),
        }
    }

    /// Responses that were asked for with other options do not mix with those of now.
    fn refuse_other(&self, before: &Options, now: &Options) -> Result<(), JournalError> {
        // The order of a list, or a name that stands twice, changes no response.
        let list = |names: &[String]| {
            let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let names: Vec<&str> = names.into_iter().collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(",")
            }
        };
        let differs = |option: &str, before: String, now: String| {
            let path = self.path.clone();
            (before != now).then(|| JournalError::Options {
                path,
                option: option.into(),
                before,
                now,
            })
        };
        let difference = differs("--base-url", before.base_url.clone(), now.base_url.clone())
            .or_else(|| differs("--expand", list(&before.expand), list(&now.expand)))
            .or_else(|| differs("--opts", list(&before.opts), list(&now.opts)))
            .or_else(|| {
                let text = |keep: bool| keep.to_string();
                differs(
                    "--keep-secrets",
                    text(before.keep_secrets),
                    text(now.keep_secrets),
                )
            });
        difference.map_or(Ok(()), Err)
    }

    /// Shows all whole records, and cuts off what is torn at the end.
    fn index(&mut self, len: u64, see: &mut dyn FnMut(Entry<'_>)) -> Result<Opened, JournalError> {
        let mut opened = Opened::default();
        let mut at = self.end;
        let mut record = Vec::new();
        while at < len {
            let next = match self.read_record(at, len, &mut record)? {
                Some((head, task_id, location)) => {
                    opened.records += 1;
                    see(Entry {
                        kind: head.kind,
                        task_id,
                        location,
                        is_final: head.flags & FLAG_FINAL != 0,
                    });
                    at + head.record_bytes()
                }
                None => match self.find_record(at + 1, len)? {
                    Some(next) => {
                        opened.damaged += 1;
                        next
                    }
                    None => break,
                },
            };
            at = next;
        }
        if at < len {
            opened.torn_bytes = len - at;
            self.file
                .set_len(at)
                .map_err(JournalError::io("cut the torn tail of", &self.path))?;
            self.sync_now()?;
        }
        self.end = at;
        Ok(opened)
    }

    /// Reads the record at an offset; nothing when there is no whole one.
    fn read_record<'b>(
        &self,
        at: u64,
        len: u64,
        record: &'b mut Vec<u8>,
    ) -> Result<Option<(Head, &'b str, Location)>, JournalError> {
        let mut head = [0; HEAD_BYTES];
        if self.read_some(&mut head, at)? < HEAD_BYTES {
            return Ok(None);
        }
        let Some(head) = format::decode_head(&head) else {
            return Ok(None);
        };
        let bytes = head.record_bytes();
        if bytes > len - at {
            return Ok(None);
        }
        let (Ok(total), Ok(body)) = (
            u32::try_from(bytes),
            usize::try_from(bytes - HEAD_BYTES as u64),
        ) else {
            return Ok(None);
        };
        record.resize(body, 0);
        if self.read_some(record, at + HEAD_BYTES as u64)? < body {
            return Ok(None);
        }
        let location = Location {
            offset: at,
            bytes: total,
        };
        Ok(head
            .decode_id(record)
            .map(|(task_id, _)| (head, task_id, location)))
    }

    /// Where the next record with a valid head begins.
    fn find_record(&self, from: u64, len: u64) -> Result<Option<u64>, JournalError> {
        let mut window = vec![0; SCAN_BYTES];
        let mut at = from;
        while at < len {
            let filled = self.read_some(&mut window, at)?;
            let bytes = window.get(..filled).unwrap_or_default();
            if let Some(found) = format::find_head(bytes, 0) {
                return Ok(Some(at + found as u64));
            }
            if filled < window.len() {
                return Ok(None);
            }
            // A head may lie across the windows' border.
            at += (filled - HEAD_BYTES) as u64;
        }
        Ok(None)
    }

    /// Reads up to a full buffer; less only at the end of the file.
    fn read_some(&self, buffer: &mut [u8], at: u64) -> Result<usize, JournalError> {
        read_some(&self.file, buffer, at).map_err(JournalError::io("read", &self.path))
    }

    /// Appends a record. It is in the file after the next [`flush`](Self::flush), and survives a
    /// power loss after the next [`sync`](Self::sync).
    pub fn append(&mut self, record: &Record<'_>) -> Location {
        let before = self.buffer.len();
        format::encode(record, &mut self.buffer);
        let bytes = self.buffer.len() - before;
        Location {
            offset: self.end + before as u64,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    /// Bytes that wait for [`flush`](Self::flush).
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Writes what was appended.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // At a known offset: after a write that failed half-way, the next one begins anew.
        self.file
            .write_all_at(&self.buffer, self.end)
            .map_err(JournalError::io("write", &self.path))?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.dirty = true;
        Ok(())
    }

    /// Makes what was written survive a power loss.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.flush()?;
        if self.dirty {
            self.sync_now()?;
        }
        Ok(())
    }

    fn sync_now(&mut self) -> Result<(), JournalError> {
        self.file
            .sync_data()
            .map_err(JournalError::io("sync", &self.path))?;
        self.dirty = false;
        Ok(())
    }

    /// A reader of single records, which may be used while this one appends.
    pub fn reader(&self) -> JournalReader {
        JournalReader {
            path: self.path.clone(),
            file: Arc::clone(&self.file),
            record: Vec::new(),
        }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.end
    }
}

/// Reads single records.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: Arc<File>,
    record: Vec<u8>,
}

impl JournalReader {
    /// Frees the memory that one very large record left behind.
    pub fn shrink(&mut self) {
        self.record = Vec::new();
    }

    /// The error for a record whose content makes no sense.
    pub fn damaged(&self, task_id: &str, cause: &str) -> JournalError {
        JournalError::Record {
            path: self.path.clone(),
            task_id: task_id.to_owned(),
            cause: cause.to_owned(),
        }
    }

    /// Reads the body of the record at a location into `body`.
    pub fn read(
        &mut self,
        task_id: &str,
        location: Location,
        body: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        self.record.resize(location.bytes as usize, 0);
        let filled = read_some(&self.file, &mut self.record, location.offset)
            .map_err(JournalError::io("read", &self.path))?;
        let damaged = |cause: &str| self.damaged(task_id, cause);
        if filled < self.record.len() {
            return Err(damaged("it is cut off"));
        }
        let (head, rest) = self
            .record
            .split_at_checked(HEAD_BYTES)
            .ok_or_else(|| damaged("it is cut off"))?;
        let head = format::decode_head(head).ok_or_else(|| damaged("its head is damaged"))?;
        let (_, stored) = head
            .decode_id(rest)
            .filter(|(id, _)| *id == task_id)
            .ok_or_else(|| damaged("its checksum does not match"))?;
        head.decode_body(stored, body)
            .map_err(|cause| damaged(&cause))
    }
}

fn read_some(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            base_url: "https://api.example.com".into(),
            expand: vec![],
            opts: vec!["annotation_details".into()],
            keep_secrets: false,
        }
    }

    fn response<'a>(task_id: &'a str, body: &'a [u8]) -> Record<'a> {
        Record {
            kind: RecordKind::Response,
            flags: 0,
            attempts: 1,
            time: 0,
            task_id,
            body,
        }
    }

    fn seen(state: &Path) -> (Vec<(String, Location)>, Opened) {
        let mut seen = Vec::new();
        let (_, opened) = Journal::open(state, &options(), |entry| {
            seen.push((entry.task_id.to_owned(), entry.location));
        })
        .unwrap();
        (seen, opened)
    }

    fn written(count: usize) -> (tempfile::TempDir, Vec<Location>) {
        let state = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(state.path(), &options(), |_| ()).unwrap();
        let locations = (0..count)
            .map(|index| {
                journal.append(&response(
                    &format!("task_{index}"),
                    format!("{{\"a\":{index}}}").repeat(20).as_bytes(),
                ))
            })
            .collect();
        journal.sync().unwrap();
        (state, locations)
    }

    #[test]
    fn records_are_found_again() {
        let (state, locations) = written(5);
        let (found, opened) = seen(state.path());
        assert_eq!(
            opened,
            Opened {
                records: 5,
                damaged: 0,
                torn_bytes: 0
            }
        );
        assert_eq!(
            found
                .iter()
                .map(|(_, location)| *location)
                .collect::<Vec<_>>(),
            locations
        );
        let (journal, _) = Journal::open(state.path(), &options(), |_| ()).unwrap();
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
        let second = usize::try_from(locations[1].offset).unwrap();
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
    fn damage_in_the_middle_costs_one_record() {
        let (state, locations) = written(3);
        let path = state.path().join(FILE_NAME);
        let whole = std::fs::read(&path).unwrap();
        let second = usize::try_from(locations[1].offset).unwrap();
        for at in second..usize::try_from(locations[2].offset).unwrap() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&path, &damaged).unwrap();
            let (found, opened) = seen(state.path());
            let ids: Vec<_> = found.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(ids, ["task_0", "task_2"], "byte {at}");
            assert_eq!(opened.damaged, 1);
        }
    }

    #[test]
    fn other_options_are_refused_by_name() {
        let (state, _) = written(1);
        let other = Options {
            expand: vec!["project".into()],
            ..options()
        };
        let error = Journal::open(state.path(), &other, |_| ()).unwrap_err();
        assert!(error.to_string().contains("--expand"), "{error}");
    }
}
