//! Counts of the journal: what is saved of each task, and what a run would fetch.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events};
use crate::failure_kind::FailureKind;
use crate::ids::task_ids::TaskIds;
use crate::jobs::compaction::LiveRecords;
use crate::jobs::export_options::Refresh;
use crate::jobs::journal_contents::JournalContents;
use crate::jobs::journal_index::{FetchPlan, IndexCounts, SharedIndex};
use crate::jobs::journal_marks::JournalMarks;
use crate::jobs::published_digests::PublishedDigests;
use crate::jobs::resume::{EVENT_RECORDS, failed, published_bytes};
use crate::jobs::status::report::{JournalCounts, NextRun};
use crate::journal::error::JournalError;
use crate::journal::format::JournalOptions;
use crate::journal::index::IndexEntry;
use crate::journal::reader::JournalReader;
use crate::journal::scan::{ScanSummary, break_if};
use crate::publish::manifest::Manifest;
use crate::state::paths::StateDir;

/// What the journal of an export says.
#[derive(Debug)]
pub(crate) struct SavedCounts {
    /// The options that its responses were requested with; `None` without a journal.
    pub(crate) options: Option<JournalOptions>,
    /// The file; `None` without a journal.
    pub(crate) journal: Option<JournalCounts>,
    /// IDs of the list, or of the journal if there is no list.
    pub(crate) counts: IndexCounts,
    /// IDs with a response that are not in the list.
    pub(crate) unlisted: u64,
    /// Failures that count, by kind.
    pub(crate) failures: BTreeMap<FailureKind, u64>,
    pub(crate) next_run: NextRun,
}

/// An export whose journal is read.
#[derive(Clone, Copy)]
pub(crate) struct SavedExport<'e> {
    pub(crate) directory: &'e Path,
    pub(crate) published: Option<&'e Manifest>,
    /// The published list.
    pub(crate) ids: Option<&'e TaskIds>,
}

/// A journal that was read once.
struct CountedJournal {
    reader: JournalReader,
    options: JournalOptions,
    scan: ScanSummary,
    /// Bytes of all whole records.
    record_bytes: u64,
}

/// Counts what a journal holds, without changing it. A run may append to it meanwhile.
pub(crate) fn saved_counts(
    export: SavedExport<'_>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<SavedCounts, JournalError> {
    let known_bytes = published_bytes(export.directory, export.published);
    let no_ids = TaskIds::default();
    let list = export.ids.unwrap_or(&no_ids);
    let digests = PublishedDigests::of(export.directory, export.published);
    let mut contents = JournalContents::new(list, known_bytes, digests);
    let scanned = scan(export, list, &mut contents, events, cancel)?;
    let JournalContents {
        index,
        unlisted,
        refused,
        ..
    } = contents;
    let live = LiveRecords {
        ids: list,
        index: &index,
        refused: &refused,
        unlisted: Some(&unlisted),
    };
    let live_bytes = live.bytes();
    let with_response = |held: &IndexEntry| held.response().is_some();
    let unlisted_tasks = unlisted.journal.iter().filter(with_response).count();
    // Without a list, the IDs that some run requested stand for it.
    let (ids, index, unlisted_tasks) = match export.ids {
        Some(ids) => (ids, index, unlisted_tasks),
        None => (
            &unlisted.ids,
            SharedIndex::new(unlisted.journal, JournalMarks::new(known_bytes)),
            0,
        ),
    };
    let counts = index.counts();
    let (mut failures, mut journal, mut options) = (BTreeMap::new(), None, None);
    if let Some(mut scanned) = scanned {
        failures = by_kind(ids, &index, &mut scanned.reader);
        journal = Some(scanned.counts(live_bytes)?);
        options = Some(scanned.options);
    }
    // Like in a run. The counts come first, since a plan revokes the failures of the IDs that it requests again.
    index.request_failed(ids, &failed(export.directory, export.published));
    let plan = index.plan(Refresh::Pending);
    Ok(SavedCounts {
        options,
        journal,
        counts,
        unlisted: unlisted_tasks as u64,
        failures,
        next_run: next_run(plan, export.ids.is_some()),
    })
}

/// Reads the journal, if there is one, into `contents`.
fn scan(
    export: SavedExport<'_>,
    list: &TaskIds,
    contents: &mut JournalContents,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Option<CountedJournal>, JournalError> {
    let path = StateDir::of_output(export.directory).journal();
    // A run replaces an empty journal.
    let is_empty = path.metadata().is_ok_and(|found| found.len() == 0);
    if is_empty || !JournalReader::is_there(&path)? {
        return Ok(None);
    }
    events.send(Event::Phase("reading the journal"));
    let (mut done, mut end, mut record_bytes) = (0, 0, 0);
    let (reader, options, mut scan) = JournalReader::open_with_index(&path, |entry| {
        contents.add_record(list, &entry);
        record_bytes += entry.location.bytes();
        end = entry.next;
        done += 1;
        if done % EVENT_RECORDS == 0 {
            events.send(Event::Progress { done, total: None });
        }
        break_if(cancel.is_cancelled())
    })?;
    contents.finish_scan(list, &mut scan);
    Ok(Some(CountedJournal {
        reader,
        options,
        scan,
        record_bytes,
    }))
}

impl CountedJournal {
    /// Counts of the file, of whose records so many bytes count.
    fn counts(&self, live_bytes: u64) -> Result<JournalCounts, JournalError> {
        let bytes = self.reader.bytes()?;
        let superseded_bytes = self.record_bytes.saturating_sub(live_bytes);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let superseded_share = superseded_bytes as f64 / bytes.max(1) as f64;
        Ok(JournalCounts {
            bytes,
            records: self.scan.records,
            superseded_bytes,
            superseded_share,
            damaged: self.scan.damaged,
            incomplete_bytes: self.scan.torn_bytes,
        })
    }
}

/// Counts the failures that count by kind. One that cannot be read has an unknown kind.
fn by_kind(
    ids: &TaskIds,
    index: &SharedIndex,
    reader: &mut JournalReader,
) -> BTreeMap<FailureKind, u64> {
    let mut counts = BTreeMap::new();
    let mut body = Vec::new();
    for (position, held) in index.failures() {
        let task_id = ids.get(position).unwrap_or_default();
        let note = held
            .failure()
            .and_then(|failure| reader.read_failure(task_id, failure, &mut body).ok());
        let kind = note.map_or(FailureKind::Unknown, |note| note.kind);
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn next_run(plan: FetchPlan, is_list_known: bool) -> NextRun {
    let FetchPlan { wanted, again, .. } = plan;
    let before = again.failed + again.not_final + again.is_final;
    NextRun {
        fetch: wanted as u64,
        not_final: again.not_final as u64,
        failed: again.failed as u64,
        not_requested: wanted.saturating_sub(before) as u64,
        is_list_known,
    }
}
