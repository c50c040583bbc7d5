//! Resumes what earlier runs left: reads the journal, repairs it, and decides whether anything is to be done.

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::event::{Event, Events};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::found_journal::FoundJournal;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::report::ExportReport;
use crate::jobs::runtime::Network;
use crate::jobs::unlisted::JournalTasks;
use crate::journal::format::{JournalOptions, RecordKind};
use crate::journal::index::JournalIndex;
use crate::journal::reader::{Location, break_if};
use crate::journal::repair::repair_header;
use crate::journal::writer::Journal;
use crate::publish::checksum::has_sha256;
use crate::publish::commit::Recovered;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::publish::previous_export;
use crate::state::paths::{IDS, StateDir};

/// Records between two progress events.
const EVENT_RECORDS: usize = 10_000;

/// What the journal of an export holds.
pub(crate) struct Resumed {
    /// For the IDs of the list.
    pub(crate) index: SharedIndex,
    /// For other IDs.
    pub(crate) unlisted: JournalTasks,
    /// Responses that were kept with failures, and the positions of their IDs.
    pub(crate) refused: Vec<(Location, usize)>,
    /// Whether it has records that cannot be read.
    pub(crate) is_damaged: bool,
}

/// Bytes of the journal that the published export was made from: 0 before the first publication, `None` when the manifest
/// is lost.
pub(crate) fn published_bytes(directory: &Path, published: Option<&Manifest>) -> Option<u64> {
    match published {
        Some(manifest) => manifest.run.journal_bytes,
        None => (!StateDir::of_output(directory).ids().exists()).then_some(0),
    }
}

/// The failed IDs of the published export, as far as they are known.
fn failed(directory: &OutputDirectory, published: &Manifest) -> Vec<String> {
    if published.ids.failed == 0 {
        return Vec::new();
    }
    previous_export::failed(directory.path(), published).unwrap_or_default()
}

/// Opens the journal and indexes its records. `found` is what listing found in the journal, if it read it before.
pub(crate) fn open_journal(
    options: &ExportOptions,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
    found: Option<FoundJournal>,
    network: &Network<'_>,
) -> Result<(Journal, Resumed), ExportError> {
    let (events, cancel) = (network.context.events, network.cancel);
    let published_bytes = match found {
        Some(found) => found.published_bytes,
        None => published_bytes(directory.path(), published),
    };
    let journal = JournalIndex::new(options.ids.len());
    let index = SharedIndex::new(journal, published_bytes);
    let mut unlisted = JournalTasks::default();
    let mut refused = Vec::new();
    let mut done = 0;
    events.send(Event::Phase("reading the journal"));
    let path = directory.state().journal();
    let (journal, scan) = Journal::open(&path, &options.journal_options(), |entry| {
        let position = options.ids.position(entry.task_id);
        index.add_record(position, &entry);
        match position {
            Some(position) if entry.kind == RecordKind::Refused => {
                refused.push((entry.location, position));
            }
            Some(_) => {}
            None => unlisted.add_record(&entry),
        }
        done += 1;
        if done % EVENT_RECORDS == 0 {
            events.send(Event::Progress { done, total: None });
        }
        break_if(cancel.is_cancelled())
    })?;
    let is_other = index.finish_scan(journal.bytes());
    unlisted.finish_scan();
    let found = found.unwrap_or_else(|| {
        FoundJournal::report(&scan, journal.bytes(), published_bytes, is_other, events)
    });
    for task_id in published.map_or_else(Vec::new, |manifest| failed(directory, manifest)) {
        // A response that could not be used is in the journal as a response.
        if let Some(position) = options.ids.position(&task_id) {
            index.request_again(position);
        }
    }
    let resumed = Resumed {
        index,
        unlisted,
        refused,
        is_damaged: found.is_damaged || scan.damaged > 0,
    };
    Ok((journal, resumed))
}

/// Repairs a damaged header of the journal, where its content is known.
pub(crate) fn repair_journal(
    directory: &OutputDirectory,
    published: Option<&Manifest>,
    events: &Events,
) -> Result<(), ExportError> {
    let options = published.map(|manifest| {
        let options = manifest.options.clone();
        JournalOptions {
            base_url: options.base_url,
            expand: options.expand,
            opts: options.opts,
            keep_secrets: options.keep_secrets,
            copied: false,
        }
    });
    if repair_header(&directory.state().journal(), options.as_ref())? {
        let text = "repaired the damaged header of the journal; all responses are kept";
        events.send(Event::Warning(text.to_owned()));
    }
    Ok(())
}

/// Reports files that are left alone, and the recovery of an interrupted publication.
pub(crate) fn report_directory(directory: &OutputDirectory, events: &Events) {
    for name in directory.taken() {
        events.send(Event::Warning(format!(
            "kept the existing `{name}`, which scale-export did not create; the export is published without this file"
        )));
    }
    if let Some(cause) = directory.damage() {
        events.send(Event::Warning(format!(
            "manifest.json is damaged ({cause}); rebuilding it from the journal and the list of IDs"
        )));
    }
    let text = match directory.recovered() {
        None => return,
        Some(Recovered::Forward) => {
            "completed the publication of an earlier run, which was interrupted"
        }
        Some(Recovered::Back) => {
            "restored the previous export, because an earlier run failed during its publication"
        }
    };
    events.send(Event::Warning(text.to_owned()));
}

/// The report of a run that would publish what is published already; `None` when something differs.
pub(crate) fn unchanged(
    options: &ExportOptions,
    directory: &OutputDirectory,
    published: &Manifest,
    index: &SharedIndex,
) -> Option<ExportReport> {
    let ids = &published.ids;
    let sha256 = || {
        let lines = options.ids.lines();
        lines.fold(Sha256::new(), Sha256::chain_update).finalize()
    };
    let is_same = published.is_of_this_version()
        && published.options == options.manifest_options()
        && ids.duplicates == options.ids.duplicates()
        && ids.file.sha256 == crate::hex::encode(&sha256())
        && index.is_all_published()
        && directory.is_complete(published)
        && has_sha256(directory.path(), IDS, &ids.file.sha256);
    let are_there = published.all_files().all(|file| {
        let found = fs::metadata(directory.path().join(&file.path));
        found.is_ok_and(|found| found.is_file() && found.len() == file.bytes)
    });
    (is_same && are_there).then(|| ExportReport {
        reused: ids.exported,
        is_idle: true,
        unchanged: true,
        requests: 0,
        retries: 0,
        rate_limited: 0,
        bytes_received: 0,
        ..ExportReport::of(published)
    })
}
