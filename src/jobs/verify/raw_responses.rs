//! The raw responses that an export was made from: its own, or those of the shards that it was combined from.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::api::task_response::UnreadableBody;
use crate::ids::task_ids::TaskIds;
use crate::jobs::lost_records::LostIds;
use crate::jobs::shards::shard_set::ShardSet;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::id_list::read_error;
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
use crate::publish::manifest::{Manifest, ManifestOptions};
use crate::state::paths::JOURNAL;

/// The raw responses by the position of their ID.
#[derive(Debug)]
pub(crate) struct RawResponses {
    /// One journal, or one for each shard, in the order of the list.
    parts: Vec<ResponsePart>,
    /// Whether IDs that the API reports as missing leave the tables (`--drop-missing`).
    drop_missing: bool,
}

/// The responses of a journal.
#[derive(Debug)]
struct ResponsePart {
    /// The positions of its IDs.
    positions: Range<usize>,
    reader: JournalReader,
    /// Positions begin at 0.
    journal: Arc<JournalIndex>,
    /// Whether `flatten` made the export, in place (it requests nothing) or from copies. Only then responses may be
    /// missing.
    is_flattened: bool,
}

/// Where the journal of an export or of a shard is, and what it should have.
struct SourceJournal<'j> {
    path: PathBuf,
    /// The name in findings.
    name: String,
    manifest: &'j Manifest,
    positions: Range<usize>,
}

impl RawResponses {
    /// Opens the journals, if they are there, and reads what they held at the time of publication.
    pub(crate) fn open(
        export: VerifiedExport<'_>,
        ids: &TaskIds,
        results: &mut VerifyResults,
    ) -> Result<Option<Self>, VerifyError> {
        let files = match export.shards {
            None => vec![SourceJournal {
                path: export.state.journal(),
                name: JOURNAL.to_owned(),
                manifest: export.manifest,
                positions: 0..ids.len(),
            }],
            Some(shards) => files_of(shards, ids.len()),
        };
        let mut parts = Vec::new();
        for file in files {
            let Some(part) = ResponsePart::open(file, export, ids, results)? else {
                return Ok(None);
            };
            parts.push(part);
        }
        Ok(Some(Self {
            parts,
            drop_missing: export.manifest.options.drop_missing,
        }))
    }

    /// The same responses for another thread.
    pub(crate) fn another(&self) -> Self {
        let parts = self.parts.iter();
        Self {
            parts: parts.map(ResponsePart::another).collect(),
            drop_missing: self.drop_missing,
        }
    }

    /// Positions of the IDs whose last request failed.
    pub(crate) fn failed(&self) -> Vec<usize> {
        let of_part = |part: &ResponsePart| {
            let failed = part.journal.failed().into_iter();
            let positions = failed.map(|position| part.positions.start + position);
            positions.collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Whether `flatten` made the export that has the ID at this position.
    pub(crate) fn is_flattened(&self, position: usize) -> bool {
        let part = self
            .number_of(position)
            .and_then(|number| self.parts.get(number));
        part.is_some_and(|part| part.is_flattened)
    }

    /// Reads the response of an ID into `body` and returns its digest, or what the journal has instead.
    pub(crate) fn read(
        &mut self,
        position: usize,
        task_id: &str,
        body: &mut Vec<u8>,
    ) -> Result<Result<ResponseDigest, String>, VerifyError> {
        let Some((part, position)) = self.part(position) else {
            return Ok(Err("none".to_owned()));
        };
        let entry = part.journal.get(position);
        let Some(response) = entry.response() else {
            let found = entry.failure().map_or("none", |_| "a failure");
            return Ok(Err(found.to_owned()));
        };
        let read = separate_damage(part.reader.read(task_id, response, body))?;
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
        let drop_missing = self.drop_missing;
        let Some((part, position)) = self.part(position) else {
            return Ok(ExpectedLine::Nothing);
        };
        let entry = part.journal.get(position);
        let mut body = Vec::new();
        let note = match entry.failure() {
            None => None,
            Some(failure) => {
                match separate_damage(part.reader.read_failure(task_id, failure, &mut body))? {
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
        let is_dropped = |note: &FailureNote| drop_missing && note.is_gone();
        let (response, note) = match (entry.response(), note) {
            (None, None) => return Ok(ExpectedLine::Nothing),
            (None, Some(note)) => return Ok(line(&note, false)),
            (Some(_), Some(note)) if is_dropped(&note) => return Ok(line(&note, false)),
            (Some(response), note) => (response, note),
        };
        if let Err(cause) = separate_damage(part.reader.read(task_id, response, &mut body))? {
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

    /// The number of the part with a position.
    fn number_of(&self, position: usize) -> Option<usize> {
        let number = self
            .parts
            .partition_point(|part| part.positions.end <= position);
        let part = self.parts.get(number)?;
        part.positions.contains(&position).then_some(number)
    }

    /// The part with a position, and the position in it.
    fn part(&mut self, position: usize) -> Option<(&mut ResponsePart, usize)> {
        let number = self.number_of(position)?;
        let part = self.parts.get_mut(number)?;
        let start = part.positions.start;
        Some((part, position - start))
    }
}

/// The journals of the shards of a list with `ids` IDs.
fn files_of(shards: &ShardSet, ids: usize) -> Vec<SourceJournal<'_>> {
    let mut start = 0;
    let shards = shards.shards.iter();
    shards
        .map(|shard| {
            // A manifest can have any number.
            let requested = usize::try_from(shard.manifest.ids.requested).unwrap_or(ids);
            let positions = start..requested.saturating_add(start).min(ids);
            start = positions.end;
            let path = shard.state().journal();
            SourceJournal {
                name: path.display().to_string(),
                path,
                manifest: &shard.manifest,
                positions,
            }
        })
        .collect()
}

impl ResponsePart {
    /// Opens a journal, if it is there.
    fn open(
        file: SourceJournal<'_>,
        export: VerifiedExport<'_>,
        ids: &TaskIds,
        results: &mut VerifyResults,
    ) -> Result<Option<Self>, VerifyError> {
        let SourceJournal {
            path,
            name,
            manifest,
            positions,
        } = file;
        if !JournalReader::is_there(&path)? {
            let cause = read_error(&path, &name);
            results.add_unverified(format!(
                "the equality of tasks and their raw responses ({cause})"
            ));
            return Ok(None);
        }
        let mut journal = JournalIndex::new(positions.len());
        let end = manifest.run.journal_bytes;
        let own = |position: usize| {
            let position = position.checked_sub(positions.start)?;
            (position < positions.len()).then_some(position)
        };
        let opened = JournalReader::open(&path, end, |entry| {
            journal.add_record(ids.position(entry.task_id).and_then(own), &entry);
            break_if(export.cancel.is_cancelled())
        });
        let (reader, options, opened) = match opened {
            Err(JournalError::Header { cause, .. }) => {
                let cause = cause.to_string();
                results.add(Finding::of_unreadable(&name, "a journal", &cause));
                return Ok(None);
            }
            opened => opened?,
        };
        journal.finish_scan();
        let lost = LostIds::new(&opened.lost);
        if opened.damaged > 0 {
            remove_index(&path);
            let found = plural(opened.damaged, "damaged place") + &lost.suffix();
            results.add(Finding::of_file(&name, "complete records", &found));
            results.report.has_lost_responses = true;
        } else if end.is_some() && opened.torn_bytes > 0 {
            // The published part cannot end within a block.
            let found = format!("an incomplete end{}", lost.suffix());
            results.add(Finding::of_file(&name, "complete records", &found));
            results.report.has_lost_responses = true;
        }
        let bytes = reader.bytes()?;
        if let Some(end) = end.filter(|end| *end > bytes) {
            let expected = format!("at least {}", plural(end, "byte"));
            results.add(Finding::of_file(&name, &expected, &bytes.to_string()));
            results.report.has_lost_responses = true;
        }
        compare_options(&options, &export.manifest.options, results);
        Ok(Some(Self {
            positions,
            reader,
            journal: Arc::new(journal),
            is_flattened: options.copied || manifest.run.requests == 0,
        }))
    }

    /// The same responses for another thread.
    fn another(&self) -> Self {
        Self {
            positions: self.positions.clone(),
            reader: self.reader.another(),
            journal: Arc::clone(&self.journal),
            is_flattened: self.is_flattened,
        }
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

/// Separates damaged records, which are findings, from errors.
fn separate_damage<T>(read: Result<T, JournalError>) -> Result<Result<T, String>, VerifyError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(JournalError::Record { cause, .. }) => Ok(Err(format!("a damaged record: {cause}"))),
        Err(error) => Err(error.into()),
    }
}
