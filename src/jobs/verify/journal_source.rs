//! What the export was made of: the list of IDs and the raw responses.

use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::api::task_response::UnreadableBody;
use crate::ids::error::IdsError;
use crate::ids::read::read_published;
use crate::ids::task_ids::TaskIds;
use crate::jobs::lost_records::LostIds;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::journal::binding::distinct;
use crate::journal::error::JournalError;
use crate::journal::failure_note::FailureNote;
use crate::journal::format::JournalOptions;
use crate::journal::index::JournalIndex;
use crate::journal::reader::JournalReader;
use crate::journal::saved_index::remove_index;
use crate::journal::scan::break_if;
use crate::json::document::Document;
use crate::json::lexer::JsonErrorKind;
use crate::json::parser::Parser;
use crate::plural::plural;
use crate::publish::digest_file::ResponseDigest;
use crate::publish::failure_lines::{unusable, write_line};
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::ManifestOptions;
use crate::state::paths::{IDS, JOURNAL};

/// The raw responses by the position of their ID.
#[derive(Debug)]
pub(crate) struct RawResponses {
    reader: JournalReader,
    journal: Arc<JournalIndex>,
    /// Whether `flatten` made the export, in place (it requests nothing) or from copies. Only then responses may be
    /// missing.
    is_flattened: bool,
    /// Whether IDs that the API reports as missing leave the tables (`--drop-missing`).
    drop_missing: bool,
}

impl RawResponses {
    /// Opens the journal, if there is one, and reads what it held at the time of publication.
    pub(crate) fn open(
        export: VerifiedExport<'_>,
        ids: &TaskIds,
        results: &mut VerifyResults,
    ) -> Result<Option<Self>, VerifyError> {
        let manifest = export.manifest;
        let path = export.state.journal();
        if !JournalReader::is_there(&path)? {
            let cause = read_error(&path, JOURNAL);
            results.add_unverified(format!(
                "the equality of tasks and their raw responses ({cause})"
            ));
            return Ok(None);
        }
        let mut journal = JournalIndex::new(ids.len());
        let end = manifest.run.journal_bytes;
        let opened = JournalReader::open(&path, end, |entry| {
            journal.add_record(ids.position(entry.task_id), &entry);
            break_if(export.cancel.is_cancelled())
        });
        let (reader, options, opened) = match opened {
            Err(JournalError::Header { cause, .. }) => {
                let cause = cause.to_string();
                results.add(Finding::of_unreadable(JOURNAL, "a journal", &cause));
                return Ok(None);
            }
            opened => opened?,
        };
        journal.finish_scan();
        let lost = LostIds::new(&opened.lost);
        if opened.damaged > 0 {
            remove_index(&path);
            let found = plural(opened.damaged, "damaged place") + &lost.suffix();
            results.add(Finding::of_file(JOURNAL, "complete records", &found));
        } else if end.is_some() && !lost.is_empty() {
            // The published part cannot end within a block.
            let found = format!("an incomplete end{}", lost.suffix());
            results.add(Finding::of_file(JOURNAL, "complete records", &found));
        }
        let bytes = reader.bytes()?;
        if let Some(end) = end.filter(|end| *end > bytes) {
            let expected = format!("at least {}", plural(end, "byte"));
            results.add(Finding::of_file(JOURNAL, &expected, &bytes.to_string()));
        }
        compare_options(&options, &manifest.options, results);
        Ok(Some(Self {
            reader,
            journal: Arc::new(journal),
            is_flattened: options.copied || manifest.run.requests == 0,
            drop_missing: manifest.options.drop_missing,
        }))
    }

    /// The same responses for another thread.
    pub(crate) fn another(&self) -> Self {
        Self {
            reader: self.reader.another(),
            journal: Arc::clone(&self.journal),
            is_flattened: self.is_flattened,
            drop_missing: self.drop_missing,
        }
    }

    /// Whether `flatten` made the export.
    pub(crate) fn is_flattened(&self) -> bool {
        self.is_flattened
    }

    /// Positions of the IDs whose last request failed.
    pub(crate) fn failed(&self) -> Vec<usize> {
        self.journal.failed()
    }

    /// Reads the response of an ID into `body` and returns its digest, or what the journal has instead.
    pub(crate) fn read(
        &mut self,
        position: usize,
        task_id: &str,
        body: &mut Vec<u8>,
    ) -> Result<Result<ResponseDigest, String>, VerifyError> {
        let entry = self.journal.get(position);
        let Some(response) = entry.response() else {
            let found = entry.failure().map_or("none", |_| "a failure");
            return Ok(Err(found.to_owned()));
        };
        let read = separate_damage(self.reader.read(task_id, response, body))?;
        Ok(read.and_then(|head| {
            let sha256 = Sha256::digest(body).into();
            if head.digest().is_none_or(|stored| stored == sha256) {
                Ok(sha256)
            } else {
                Err("a damaged record: its digest does not match its body".to_owned())
            }
        }))
    }

    /// The line of `failures.jsonl` that follows from the journal for an ID.
    pub(crate) fn expected_line(
        &mut self,
        position: usize,
        task_id: &str,
    ) -> Result<ExpectedLine, VerifyError> {
        let entry = self.journal.get(position);
        let mut body = Vec::new();
        let note = match entry.failure() {
            None => None,
            Some(failure) => {
                match separate_damage(self.reader.read_failure(task_id, failure, &mut body))? {
                    Ok(note) => Some(note),
                    Err(cause) => return Ok(ExpectedLine::None(cause)),
                }
            }
        };
        let line = |note: &FailureNote, exported| {
            let mut line = Vec::new();
            write_line(task_id, note, exported, &mut line);
            ExpectedLine::Line(line)
        };
        let is_dropped = |note: &FailureNote| self.drop_missing && note.is_gone();
        let (response, note) = match (entry.response(), note) {
            (None, None) => return Ok(ExpectedLine::Nothing),
            (None, Some(note)) => return Ok(line(&note, false)),
            (Some(_), Some(note)) if is_dropped(&note) => return Ok(line(&note, false)),
            (Some(response), note) => (response, note),
        };
        if let Err(cause) = separate_damage(self.reader.read(task_id, response, &mut body))? {
            return Ok(ExpectedLine::None(cause));
        }
        let mut parser = Parser::default();
        let document = parse(task_id, &mut parser, &body)?;
        let root = document.as_ref().map(Document::root);
        Ok(match (unusable(task_id, root), note) {
            (Some(note), _) => line(&note, false),
            (None, Some(note)) => line(&note, true),
            (None, None) => ExpectedLine::None("a response".to_owned()),
        })
    }
}

/// The line of `failures.jsonl` that follows from the journal for an ID.
pub(crate) enum ExpectedLine {
    Line(Vec<u8>),
    /// There is neither a response nor a failure.
    Nothing,
    /// The ID should have no line; what the journal has for it.
    None(String),
}

/// Compares the options of the journal with those of the manifest.
fn compare_options(
    options: &JournalOptions,
    made_with: &ManifestOptions,
    results: &mut VerifyResults,
) {
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
    if same {
        return;
    }
    let text = |base_url: &str, expand: &[String], opts: &[String], keep: bool| {
        format!("base_url {base_url}, expand {expand:?}, opts {opts:?}, keep_secrets {keep}")
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
    results.add(Finding::of_file(MANIFEST, &expected, &found));
}

/// Parses a task, or returns what is wrong with it.
pub(crate) fn parse<'d>(
    task_id: &str,
    parser: &'d mut Parser,
    body: &'d [u8],
) -> Result<Result<Document<'d>, UnreadableBody>, VerifyError> {
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error.into())),
    };
    match parser.parse(text) {
        Err(error) if error.kind == JsonErrorKind::Memory => Err(VerifyError::NoMemory {
            task_id: task_id.to_owned(),
        }),
        parsed => Ok(parsed.map_err(UnreadableBody::from)),
    }
}

/// Whether a file of the state is missing, or only its owner may read it.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

/// Separates damaged records, which are findings, from errors.
fn separate_damage<T>(read: Result<T, JournalError>) -> Result<Result<T, String>, VerifyError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(JournalError::Record { cause, .. }) => Ok(Err(format!("a damaged record: {cause}"))),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file that this user may read. Opening a pipe would wait for a writer.
fn open_file(path: &Path) -> Result<(), Error> {
    if !fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::NotFound, "it is not a file"));
    }
    File::open(path).map(|_| ())
}

/// Why this user cannot read a file of the state; `name` is its name in the export.
fn read_error(path: &Path, name: &str) -> String {
    match open_file(path) {
        // It was restored meanwhile.
        Ok(()) => format!("could not read {name}"),
        Err(error) => read_error_text(&error, name),
    }
}

fn read_error_text(error: &Error, name: &str) -> String {
    if error.kind() == ErrorKind::NotFound && error.raw_os_error().is_some() {
        return format!("{name} is missing");
    }
    format!("could not read {name}: {error}")
}

/// The list of IDs of the export; `None` when it is missing.
pub(crate) fn read_list(
    export: VerifiedExport<'_>,
    results: &mut VerifyResults,
) -> Result<Option<TaskIds>, VerifyError> {
    let list = export.state.ids();
    // The state is for its owner only; for other users the list counts as missing.
    match open_file(&list) {
        Ok(()) => {}
        Err(error) if is_missing(&error) => {
            let cause = read_error_text(&error, IDS);
            results.add_unverified(format!(
                "the order and completeness of the IDs, and their failures ({cause})"
            ));
            return Ok(None);
        }
        Err(source) => return Err(VerifyError::Io { path: list, source }),
    }
    let list_bytes = fs::metadata(&list).map(|metadata| metadata.len());
    match read_published(&list) {
        Ok(ids) => {
            let requested = export.manifest.ids.requested;
            if ids.len() as u64 != requested {
                let expected = plural(requested, "ID");
                results.add(Finding::of_file(IDS, &expected, &ids.len().to_string()));
            }
            // The file has only the IDs: no byte order mark, no repetition, and a line feed at the end.
            let bytes: u64 = ids.iter().map(|id| id.len() as u64 + 1).sum();
            let found = list_bytes.unwrap_or_default();
            if bytes != found {
                let expected = format!("{} for these IDs", plural(bytes, "byte"));
                results.add(Finding::of_file(IDS, &expected, &found.to_string()));
            }
            Ok(Some(ids))
        }
        Err(IdsError::Read { error, .. }) => Err(VerifyError::Io {
            path: list,
            source: error,
        }),
        Err(error) => {
            results.add(Finding::of_unreadable(
                IDS,
                "a list of IDs",
                &error.to_string(),
            ));
            Ok(None)
        }
    }
}
