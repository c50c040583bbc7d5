//! What the export was made of: the list of IDs, the failed ones, and the raw responses.
//! Depends on `ids`, `journal` and the files of this folder.

use std::fs::{self, File};
use std::io::{BufReader, Error, ErrorKind};
use std::path::Path;

use serde::Deserialize;

use crate::ids::error::IdsError;
use crate::ids::read::read_published;
use crate::ids::task_ids::IdList;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::verify::VerifyReport;
use crate::journal::error::JournalError;
use crate::journal::format::distinct;
use crate::journal::index::JournalIndex;
use crate::journal::reader::{FailureNote, JournalReader, break_if};
use crate::json::document::{Document, Parser};
use crate::json::lexer::JsonErrorKind;
use crate::memory::read_line;
use crate::publish::failure_lines::{missing, unusable, write_line};
use crate::publish::file_names::{FAILURES, IDS, JOURNAL};
use crate::publish::manifest::Manifest;
use crate::state::lock::STATE_DIRECTORY;

/// The raw responses by the position of their ID.
#[derive(Debug)]
pub(crate) struct RawResponses {
    reader: JournalReader,
    journal: JournalIndex,
    /// Did `flatten` make the export, in place (it requests nothing) or from copies? Only then can responses be
    /// missing.
    is_flattened: bool,
    /// Do IDs that the API does not know any more leave the tables?
    drop_missing: bool,
}

/// A line of `failures.jsonl`.
fn failure_line(task_id: &str, note: &FailureNote, exported: bool) -> Vec<u8> {
    let mut line = Vec::new();
    write_line(task_id, note, exported, &mut line);
    line
}

impl RawResponses {
    /// Opens the journal, if there is one, and finds what it held at the time of publication.
    pub(crate) fn open(
        directory: &Path,
        manifest: &Manifest,
        ids: &IdList,
        findings: &mut Findings,
        report: &mut VerifyReport,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, VerifyError> {
        let state = directory.join(STATE_DIRECTORY);
        if !JournalReader::is_there(&state)? {
            let text = "that the tasks are as they were received: there is no .scale-export/journal that can be read, with the raw responses";
            report.unproven.push(text.to_owned());
            return Ok(None);
        }
        let mut journal = JournalIndex::new(ids.len());
        let end = manifest.run.journal_bytes;
        let opened = JournalReader::open(&state, end, |entry| {
            journal.see(ids.position(entry.task_id), &entry);
            break_if(is_over())
        });
        let (reader, options, opened) = match opened {
            Err(JournalError::Header { cause, .. }) => {
                findings.add(Finding::of_file(JOURNAL, "a journal", &cause));
                return Ok(None);
            }
            opened => opened?,
        };
        journal.settle();
        if opened.damaged > 0 {
            let found = match opened.damaged {
                1 => "a damaged place".to_owned(),
                places => format!("{places} damaged places"),
            };
            findings.add(Finding::of_file(JOURNAL, "whole records", &found));
        }
        let bytes = reader.bytes()?;
        if let Some(end) = end.filter(|end| *end > bytes) {
            let expected = format!("{end} bytes or more");
            findings.add(Finding::of_file(JOURNAL, &expected, &bytes.to_string()));
        }
        let made_with = &manifest.options;
        let same = (
            &options.base_url,
            distinct(&options.expand),
            distinct(&options.opts),
            options.keep_secrets,
        ) == (
            &made_with.base_url,
            distinct(&made_with.expand),
            distinct(&made_with.opts),
            made_with.keep_secrets,
        );
        if !same {
            let text = |base_url: &str, expand: &[String], opts: &[String], keep: bool| {
                format!(
                    "base_url {base_url}, expand {expand:?}, opts {opts:?}, keep_secrets {keep}"
                )
            };
            let expected = text(
                &options.base_url,
                &options.expand,
                &options.opts,
                options.keep_secrets,
            );
            let found = text(
                &made_with.base_url,
                &made_with.expand,
                &made_with.opts,
                made_with.keep_secrets,
            );
            findings.add(Finding::of_file("manifest.json", &expected, &found));
        }
        Ok(Some(Self {
            reader,
            journal,
            is_flattened: options.copied || manifest.run.requests == 0,
            drop_missing: made_with.drop_missing,
        }))
    }

    /// Reads the response of an ID into `body`; or says what stands in its place.
    pub(crate) fn read(
        &mut self,
        position: usize,
        task_id: &str,
        body: &mut Vec<u8>,
    ) -> Result<Result<(), String>, VerifyError> {
        let held = self.journal.get(position);
        let Some(response) = held.response() else {
            let found = held.failure().map_or("none", |_| "a failure");
            return Ok(Err(found.to_owned()));
        };
        let read = settle(self.reader.read(task_id, response, body))?;
        Ok(read.and_then(|head| {
            if head.is_digest_of(body) {
                Ok(())
            } else {
                Err("a damaged record: its digest is of another body".to_owned())
            }
        }))
    }

    /// The line of `failures.jsonl` that the journal calls for at an ID; nothing when it holds nothing for it.
    fn expected(
        &mut self,
        position: usize,
        task_id: &str,
    ) -> Result<Result<Option<Vec<u8>>, String>, VerifyError> {
        let held = self.journal.get(position);
        let mut body = Vec::new();
        let note = match held.failure() {
            None => None,
            Some(failure) => match settle(self.reader.read_failure(task_id, failure, &mut body))? {
                Ok(note) => Some(note),
                Err(cause) => return Ok(Err(cause)),
            },
        };
        let is_dropped = |note: &FailureNote| self.drop_missing && note.is_gone();
        let response = match (held.response(), note) {
            (None, None) => return Ok(Ok(None)),
            (None, Some(note)) => return Ok(Ok(Some(failure_line(task_id, &note, false)))),
            (Some(_), Some(note)) if is_dropped(&note) => {
                return Ok(Ok(Some(failure_line(task_id, &note, false))));
            }
            (Some(response), note) => (response, note),
        };
        let (response, note) = response;
        if let Err(cause) = settle(self.reader.read(task_id, response, &mut body))? {
            return Ok(Err(cause));
        }
        let mut parser = Parser::default();
        let document = parse(task_id, &mut parser, &body)?;
        let root = document.as_ref().map(Document::root).map_err(Clone::clone);
        Ok(match (unusable(task_id, root), note) {
            (Some(note), _) => Ok(Some(failure_line(task_id, &note, false))),
            (None, Some(note)) => Ok(Some(failure_line(task_id, &note, true))),
            (None, None) => Err("a response".to_owned()),
        })
    }
}

/// Parses a task; or says what is wrong with it.
pub(crate) fn parse<'d>(
    task_id: &str,
    parser: &'d mut Parser,
    body: &'d [u8],
) -> Result<Result<Document<'d>, String>, VerifyError> {
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match parser.parse(text) {
        Err(error) if error.kind == JsonErrorKind::Memory => Err(VerifyError::NoMemory {
            task_id: task_id.to_owned(),
        }),
        parsed => Ok(parsed.map_err(|error| error.to_string())),
    }
}

/// Is a file of the state not there, or for its owner only?
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

/// A damaged record is a finding; a disk that cannot be read is an error.
fn settle<T>(read: Result<T, JournalError>) -> Result<Result<T, String>, VerifyError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(JournalError::Record { cause, .. }) => Ok(Err(format!("a damaged record: {cause}"))),
        Err(error) => Err(error.into()),
    }
}

/// Is there a file that this user may read? Opening a pipe waits for a writer.
fn is_readable(path: &Path) -> Result<bool, VerifyError> {
    let metadata = fs::metadata(path);
    let opened = metadata.and_then(|found| Ok(found.is_file() && File::open(path).map(|_| true)?));
    match opened {
        Err(error) if is_missing(&error) => Ok(false),
        opened => opened.map_err(|source| VerifyError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The list of IDs that the export was made for; `None` when it is not there.
pub(crate) fn read_list(
    directory: &Path,
    manifest: &Manifest,
    findings: &mut Findings,
    report: &mut VerifyReport,
) -> Result<Option<IdList>, VerifyError> {
    let list = directory.join(IDS);
    // A list that others may not read, and none at all.
    if !is_readable(&list)? {
        let text = "that the rows stand in the order of the IDs, that none is missing, and how often the failed ones were tried: there is no .scale-export/ids.txt that can be read";
        report.unproven.push(text.to_owned());
        return Ok(None);
    }
    let list_bytes = fs::metadata(&list).map(|metadata| metadata.len());
    match read_published(&list) {
        Ok(ids) => {
            if ids.len() as u64 != manifest.ids.requested {
                let expected = format!("{} IDs", manifest.ids.requested);
                findings.add(Finding::of_file(IDS, &expected, &ids.len().to_string()));
            }
            // Nothing but the IDs: no byte order mark, none twice, the last line ended.
            let bytes: u64 = ids.iter().map(|id| id.len() as u64 + 1).sum();
            let found = list_bytes.unwrap_or_default();
            if bytes != found {
                let expected = format!("{bytes} bytes of these IDs");
                findings.add(Finding::of_file(IDS, &expected, &found.to_string()));
            }
            Ok(Some(ids))
        }
        Err(IdsError::Read { error, .. }) => Err(VerifyError::Io {
            path: list,
            source: error,
        }),
        Err(error) => {
            findings.add(Finding::of_file(IDS, "a list of IDs", &error.to_string()));
            Ok(None)
        }
    }
}

/// A line of a file, as a finding shows it; its end shows too where it is odd.
fn text_of(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.strip_suffix('\n') {
        Some(text) => format!("`{text}`"),
        None => format!("`{text}` and no end of the line"),
    }
}

/// Bytes of a line of `failures.jsonl` that are read at once. One has an ID and a message, each 1 kB at most.
const MAX_LINE_BYTES: u64 = 64 << 10;

#[derive(Deserialize)]
struct Line {
    task_id: String,
    #[serde(flatten)]
    note: FailureNote,
    #[serde(default)]
    exported: bool,
}

/// Checks `failures.jsonl` against the list and the journal; gives the IDs there that are not exported.
pub(crate) fn check_failures(
    directory: &Path,
    manifest: &Manifest,
    ids: Option<&IdList>,
    mut raw: Option<&mut RawResponses>,
    findings: &mut Findings,
) -> Result<IdList, VerifyError> {
    let (mut failed, mut seen) = (IdList::default(), IdList::default());
    let path = directory.join(FAILURES);
    let text = match fs::metadata(&path) {
        // Told already.
        Ok(metadata) if !metadata.is_file() => return Ok(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(failed),
        found => found.and_then(|_| File::open(&path)),
    };
    let io = |source| VerifyError::Io {
        path: path.clone(),
        source,
    };
    let mut text = BufReader::new(text.map_err(io)?);
    let mut line = Vec::new();
    let (mut lines, mut stale) = (0, 0);
    let mut before = None;
    while read_line(&mut text, MAX_LINE_BYTES, &mut line).map_err(io)? > 0 {
        lines += 1;
        let line = line.as_slice();
        let mut differ = |expected: &str, found: &str| {
            let expected = format!("{expected} in line {lines}");
            findings.add(Finding::of_file(FAILURES, &expected, found));
        };
        let parsed: Line = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(error) => {
                differ("a failed ID", &error.to_string());
                continue;
            }
        };
        let task_id = parsed.task_id.as_str();
        let mut canonical = Vec::new();
        write_line(task_id, &parsed.note, parsed.exported, &mut canonical);
        if canonical != line {
            differ("a line as this tool writes it", &text_of(line));
        }
        let known = seen.len();
        if seen.add(task_id).is_err() || seen.len() == known {
            differ("another ID", &format!("`{task_id}`"));
            continue;
        }
        if parsed.exported {
            stale += 1;
        } else {
            // It was added to the other list.
            let _ = failed.add(task_id);
        }
        let Some(ids) = ids else {
            continue;
        };
        let Some(position) = ids.position(task_id) else {
            differ("an ID of the list", &format!("`{task_id}`"));
            continue;
        };
        if before.is_some_and(|before| before > position) {
            differ("the order of the list", &format!("`{task_id}`"));
        }
        before = Some(position);
        if let Some(raw) = raw.as_deref_mut() {
            match raw.expected(position, task_id)? {
                Ok(Some(expected)) if expected == canonical => {}
                Ok(Some(expected)) => differ(&text_of(&expected), &text_of(line)),
                Ok(None) if raw.is_flattened && parsed.note == missing() => {}
                Ok(None) => differ("a failure that the journal has", "one that it has not"),
                Err(cause) => differ("an ID that failed", &format!("{cause} in the journal")),
            }
        }
    }
    if let (Some(raw), Some(ids)) = (raw, ids) {
        for position in raw.journal.failed() {
            let task_id = ids.get(position).unwrap_or_default();
            if seen.position(task_id).is_none() {
                let expected = format!("a line for `{task_id}`, whose last request failed");
                findings.add(Finding::of_file(FAILURES, &expected, "none"));
            }
        }
    }
    for (name, expected, found) in [
        ("failed", manifest.ids.failed, failed.len() as u64),
        ("stale", manifest.ids.stale, stale),
    ] {
        if expected != found {
            let expected = format!("{expected} {name} IDs");
            findings.add(Finding::of_file(FAILURES, &expected, &found.to_string()));
        }
    }
    Ok(failed)
}
