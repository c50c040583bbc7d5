//! What the published export knows of the journal that it was made from: it names the records whose own IDs are damaged
//! or cut off. A task has lost one if its response in the journal has another digest than the published one, or if its
//! published failure is not there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::journal::format::{BodyDigest, RecordKind};
use crate::journal::index::JournalIndex;
use crate::journal::location::Location;
use crate::journal::scan::{LostRecord, ScanSummary};
use crate::publish::digest_file::{DigestError, DigestFile, DigestKind, ResponseDigest};
use crate::publish::manifest::Manifest;
use crate::publish::previous_export;
use crate::publish::publication_id::PublicationId;
use crate::state::paths::StateDir;

/// The published export, as the origin of a journal.
#[derive(Debug)]
pub(crate) struct PublishedDigests {
    directory: PathBuf,
    manifest: Manifest,
    id: PublicationId,
    /// Bytes of the journal that the export was made from.
    journal_bytes: u64,
}

/// What a journal has for a task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeldTask {
    /// The digest is not known in journals of version 1.
    response: Option<(Location, Option<BodyDigest>)>,
    has_failure: bool,
}

impl HeldTask {
    /// What an index has at a position.
    pub(crate) fn of(index: &JournalIndex, position: usize) -> Self {
        let held = index.get(position);
        Self {
            response: held
                .response()
                .map(|location| (location, index.digest(position))),
            has_failure: held.failure().is_some(),
        }
    }
}

/// A journal that was scanned.
pub(crate) struct ScannedJournalTasks<'s> {
    pub(crate) scan: &'s mut ScanSummary,
    /// Whether the published export was made from another journal, as far as that can be seen.
    pub(crate) is_other: bool,
    /// The number of tasks with a response before an offset.
    pub(crate) responses_before: &'s dyn Fn(u64) -> usize,
    /// What the journal has for a task. `None` for a task that does not matter.
    pub(crate) held: &'s dyn Fn(&str) -> Option<HeldTask>,
}

impl PublishedDigests {
    /// `None` if the published export does not say of which journal it was made.
    pub(crate) fn of(directory: &Path, published: Option<&Manifest>) -> Option<Self> {
        let published = published?;
        Some(Self {
            directory: directory.to_owned(),
            id: published.publication.clone()?,
            journal_bytes: published.run.journal_bytes?,
            manifest: published.clone(),
        })
    }

    /// Adds the records whose IDs are damaged or cut off to those that a scan lost, as far as the published export was made
    /// from them.
    pub(crate) fn name_lost(&self, journal: ScannedJournalTasks<'_>) {
        let ScannedJournalTasks {
            scan,
            is_other,
            responses_before,
            held,
        } = journal;
        let is_cut = scan.end < self.journal_bytes;
        if !is_cut && !is_other && scan.ids_lost_before.is_none() {
            return;
        }
        // In another journal, a response that differs may be older or newer. A request decides that.
        let published_end = if is_other && !is_cut {
            u64::MAX
        } else {
            self.journal_bytes
        };
        let lost = LostTasks {
            named: scan.lost.iter().map(|lost| &*lost.task_id).collect(),
            published_end,
            held,
            found: Vec::new(),
            // Records after the publication are not in it.
            is_certain: scan.ids_lost_before <= Some(published_end),
            matched: 0,
        };
        match self.find(lost) {
            Ok((mut found, is_certain, matched)) => {
                // Damage may have cost a record of a task that is not in the publication.
                let is_certain = is_certain && matched >= responses_before(published_end);
                scan.lost.append(&mut found);
                if is_certain {
                    scan.ids_lost_before = None;
                }
            }
            // Damage of the digests must not look like damage of the journal.
            Err(_) if is_cut => scan.ids_lost_before = Some(self.journal_bytes),
            Err(_) => {}
        }
    }

    /// The records that were lost, whether they are all, and the number of published tasks with a response.
    fn find(&self, mut lost: LostTasks<'_>) -> Result<(Vec<LostRecord>, bool, usize), DigestError> {
        let path = StateDir::of_output(&self.directory).digests(self.id.as_str());
        DigestFile::open(&path, &self.id)?.each(|task| {
            if task.kind == DigestKind::Exported {
                lost.exported(task.task_id, task.sha256);
            }
        })?;
        match previous_export::all_failures(&self.directory, &self.manifest) {
            Ok(failed) => failed
                .iter()
                .for_each(|(task_id, is_exported)| lost.failed(task_id, *is_exported)),
            Err(_) => lost.is_certain = false,
        }
        Ok((lost.found, lost.is_certain, lost.matched))
    }
}

/// Collects the published tasks that have lost a record.
struct LostTasks<'l> {
    /// Tasks whose lost records are known without this.
    named: HashSet<&'l str>,
    /// Records from here on replace what was published.
    published_end: u64,
    held: &'l dyn Fn(&str) -> Option<HeldTask>,
    found: Vec<LostRecord>,
    is_certain: bool,
    /// Tasks with a response that was published or replaces one.
    matched: usize,
}

impl LostTasks<'_> {
    /// Sees a task of the tables.
    fn exported(&mut self, task_id: &str, published: ResponseDigest) {
        let Some(held) = (self.held)(task_id) else {
            return;
        };
        let is_there = match held.response {
            None => false,
            Some((location, _)) if location.offset() >= self.published_end => return,
            Some((_, Some(digest))) => digest == published,
            Some((_, None)) => {
                self.is_certain = false;
                true
            }
        };
        self.matched += usize::from(held.response.is_some());
        if !is_there {
            self.add(RecordKind::Response, task_id);
        }
    }

    /// Sees a task of the failures, which may be in the tables with an earlier response.
    fn failed(&mut self, task_id: &str, is_exported: bool) {
        let Some(held) = (self.held)(task_id) else {
            return;
        };
        let replaced = |(location, _): (Location, _)| location.offset() >= self.published_end;
        if held.has_failure || held.response.is_some_and(replaced) {
            return;
        }
        if is_exported {
            self.add(RecordKind::Failure, task_id);
        } else {
            // No response from before is in the tables, whatever the lost record was.
            self.found.push(self.record(RecordKind::Response, task_id));
        }
    }

    fn add(&mut self, kind: RecordKind, task_id: &str) {
        if !self.named.contains(task_id) {
            self.found.push(self.record(kind, task_id));
        }
    }

    fn record(&self, kind: RecordKind, task_id: &str) -> LostRecord {
        LostRecord {
            kind,
            task_id: task_id.to_owned(),
            // Somewhere in the published part. A response before its end does not replace the record, a later one does.
            offset: self.published_end.saturating_sub(1),
        }
    }
}
