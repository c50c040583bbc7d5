//! Resumes what earlier runs left: reads the journal, repairs it, and decides whether anything is to be done.

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::event::{Event, Events};
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_contents::{JournalContents, RefusedResponse};
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::journal_marks::{JournalMarks, report_losses};
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::published_digests::{PublishedDigests, ScannedJournalTasks};
use crate::jobs::report::ExportReport;
use crate::jobs::runtime::Network;
use crate::journal::format::{JournalOptions, RecordKind};
use crate::journal::location::Location;
use crate::journal::repair::repair_header;
use crate::journal::scan::{RecordEntry, ScanSummary, break_if};
use crate::journal::writer::Journal;
use crate::publish::checksum::has_sha256;
use crate::publish::commit::Recovered;
use crate::publish::digest_file::DigestFile;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::publish::previous_export;
use crate::state::paths::{IDS, StateDir};

/// Records between two progress events.
pub(crate) const EVENT_RECORDS: usize = 10_000;

/// What the journal of an export holds.
pub(crate) struct Resumed {
    pub(crate) contents: JournalContents,
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
pub(crate) fn failed(directory: &Path, published: Option<&Manifest>) -> Vec<String> {
    let with_failures = published.filter(|published| published.ids.failed > 0);
    with_failures
        .and_then(|published| previous_export::failed(directory, published).ok())
        .unwrap_or_default()
}

/// What the journal of an export holds, before the list of IDs is known.
pub(crate) struct ScannedJournal {
    pub(crate) tasks: JournalTasks,
    pub(crate) marks: JournalMarks,
    /// Responses that were kept with failures, where the next record is, and their IDs.
    refused: Vec<(Location, u64, String)>,
    is_damaged: bool,
}

/// Opens the journal, and passes all its records to `visit`.
fn scan(
    options: &ExportOptions,
    directory: &OutputDirectory,
    network: &Network<'_>,
    mut visit: impl FnMut(RecordEntry<'_>),
) -> Result<(Journal, ScanSummary), ExportError> {
    let (events, cancel) = (network.context.events, network.cancel);
    events.send(Event::Phase("reading the journal"));
    let mut done = 0;
    let path = directory.state().journal();
    Ok(Journal::open(&path, &options.journal_options(), |entry| {
        visit(entry);
        done += 1;
        if done % EVENT_RECORDS == 0 {
            events.send(Event::Progress { done, total: None });
        }
        break_if(cancel.is_cancelled())
    })?)
}

/// Opens the journal and indexes its records by the list of IDs.
pub(crate) fn open_journal(
    options: &ExportOptions,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
    network: &Network<'_>,
) -> Result<(Journal, Resumed), ExportError> {
    let published_bytes = published_bytes(directory.path(), published);
    let digests = PublishedDigests::of(directory.path(), published);
    let mut contents = JournalContents::new(&options.ids, published_bytes, digests);
    let (journal, mut scan) = scan(options, directory, network, |entry| {
        contents.add_record(&options.ids, &entry);
    })?;
    let end = journal.bytes();
    let is_other = contents.finish_scan(&options.ids, &mut scan);
    report_losses(
        &scan,
        end,
        published_bytes,
        is_other,
        network.context.events,
    );
    let resumed = Resumed {
        contents,
        is_damaged: scan.damaged > 0,
    };
    resumed.request_failed_again(&options.ids, directory, published);
    Ok((journal, resumed))
}

/// Opens the journal and indexes its records before the list of IDs is known.
pub(crate) fn scan_journal(
    options: &ExportOptions,
    directory: &OutputDirectory,
    published: Option<&Manifest>,
    network: &Network<'_>,
) -> Result<(Journal, ScannedJournal), ExportError> {
    let published_bytes = published_bytes(directory.path(), published);
    let mut tasks = JournalTasks::default();
    let mut marks = JournalMarks::new(published_bytes);
    let mut refused = Vec::new();
    let (journal, mut scan) = scan(options, directory, network, |entry| {
        marks.see(&entry);
        if entry.kind == RecordKind::Refused {
            refused.push((entry.location, entry.next, entry.task_id.to_owned()));
        }
        tasks.add_record(&entry);
    })?;
    let end = journal.bytes();
    let is_other = marks.published.finish_scan(end);
    if let Some(digests) = PublishedDigests::of(directory.path(), published) {
        tasks.journal.finish_scan();
        digests.name_lost(ScannedJournalTasks {
            scan: &mut scan,
            is_other,
            responses_before: &|end| tasks.journal.responses_before(end),
            held: &|task_id| tasks.held_task(task_id),
        });
    }
    tasks.finish_scan(&scan);
    report_losses(
        &scan,
        end,
        published_bytes,
        is_other,
        network.context.events,
    );
    let scanned = ScannedJournal {
        tasks,
        marks,
        refused,
        is_damaged: scan.damaged > 0,
    };
    Ok((journal, scanned))
}

impl ScannedJournal {
    /// What the journal holds for a list of IDs.
    pub(crate) fn resume(
        self,
        ids: &TaskIds,
        directory: &OutputDirectory,
        published: Option<&Manifest>,
    ) -> Resumed {
        let (listed, unlisted) = self.tasks.split(ids);
        let refused = self.refused.into_iter();
        let refused = refused
            .filter_map(|(location, next, task_id)| {
                Some(RefusedResponse {
                    location,
                    next,
                    position: ids.position(&task_id)?,
                })
            })
            .collect();
        let resumed = Resumed {
            contents: JournalContents::of_scan(
                SharedIndex::new(listed, self.marks),
                unlisted,
                refused,
            ),
            is_damaged: self.is_damaged,
        };
        resumed.request_failed_again(ids, directory, published);
        resumed
    }
}

impl Resumed {
    /// Marks the failed IDs of the published export as due.
    fn request_failed_again(
        &self,
        ids: &TaskIds,
        directory: &OutputDirectory,
        published: Option<&Manifest>,
    ) {
        let failed = failed(directory.path(), published);
        self.contents.index.request_failed(ids, &failed);
    }
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

/// Whether the digests of the published export are there. Otherwise they are written again.
fn has_digests(directory: &OutputDirectory, published: &Manifest) -> bool {
    let id = published.publication.as_ref();
    id.is_some_and(|id| DigestFile::open(&directory.state().digests(id.as_str()), id).is_ok())
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
        && published.shard == options.shard
        && ids.duplicates == options.ids.duplicates()
        && ids.file.sha256 == crate::hex::encode(&sha256())
        && index.is_all_published()
        && directory.is_complete(published)
        && has_digests(directory, published)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::{Format, Selection};
    use crate::journal::index::IndexEntry;
    use crate::journal::index::StoredResponse;
    use crate::tables::selection::TableSelection;
    use crate::tables::table::Table;

    #[test]
    fn a_scanned_journal_is_split_by_the_list_that_follows() {
        let out = tempfile::tempdir().unwrap();
        let selection = Selection {
            format: Format::Csv,
            tables: TableSelection::from_iter([Table::Tasks]),
        };
        let directory = OutputDirectory::open(out.path(), selection, false).unwrap();
        let at = |offset| Location::new(offset, 10);
        let mut tasks = JournalTasks::default();
        for (task_id, offset) in [("task_1", 10), ("task_2", 20), ("task_3", 30)] {
            let position = tasks.insert(task_id).unwrap().position;
            let stored = StoredResponse {
                location: at(offset),
                is_final: true,
                digest: None,
            };
            tasks.journal.set_response(position, stored);
        }
        tasks.journal.set_failure(2, at(50), true);
        let scanned = ScannedJournal {
            tasks,
            marks: JournalMarks::new(Some(0)),
            refused: vec![
                (at(40), 45, "task_3".to_owned()),
                (at(60), 65, "task_9".to_owned()),
            ],
            is_damaged: false,
        };
        let list = TaskIds::collect(["task_3", "task_4", "task_1"]).unwrap();
        let resumed = scanned.resume(&list, &directory, None);
        let stale = IndexEntry::Stale {
            response: at(30),
            failure: at(50),
        };
        let held = [0, 1, 2].map(|position| resumed.contents.index.get(position));
        let task_1 = IndexEntry::Response(at(10));
        assert_eq!(held, [Some(stale), Some(IndexEntry::Nothing), Some(task_1)]);
        let refused = RefusedResponse {
            location: at(40),
            next: 45,
            position: 0,
        };
        assert_eq!(resumed.contents.refused, [refused]);
        let unlisted = resumed.contents.unlisted;
        assert_eq!(unlisted.ids.iter().collect::<Vec<_>>(), ["task_2"]);
        assert_eq!(unlisted.journal.get(0), IndexEntry::Response(at(20)));
    }
}
