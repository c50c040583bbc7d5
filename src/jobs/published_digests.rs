//! The digests of the published export name the records whose own IDs are damaged or cut off: a task whose response in the journal
//! has another digest than the published one has lost that one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::journal::format::{BodyDigest, RecordKind};
use crate::journal::index::JournalIndex;
use crate::journal::location::Location;
use crate::journal::scan::{LostRecord, ScanSummary};
use crate::publish::digest_file::{DigestFile, DigestKind, ResponseDigest};
use crate::publish::manifest::Manifest;
use crate::publish::publication_id::PublicationId;
use crate::state::paths::StateDir;

/// Where the digests of the published export are.
#[derive(Debug)]
pub(crate) struct PublishedDigests {
    path: PathBuf,
    id: PublicationId,
    /// Bytes of the journal that the export was made from.
    journal_bytes: u64,
}

/// The response that a journal has for a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldResponse {
    location: Location,
    /// Journals of version 1 do not have it.
    digest: Option<BodyDigest>,
}

impl HeldResponse {
    /// The response at a position of an index.
    pub(crate) fn of(index: &JournalIndex, position: usize) -> Option<Self> {
        Some(Self {
            location: index.get(position).response()?,
            digest: index.digest(position),
        })
    }
}

impl PublishedDigests {
    /// `None` if the published export does not say of which journal it was made.
    pub(crate) fn of(directory: &Path, published: Option<&Manifest>) -> Option<Self> {
        let published = published?;
        let id = published.publication.clone()?;
        Some(Self {
            path: StateDir::of_output(directory).digests(id.as_str()),
            id,
            journal_bytes: published.run.journal_bytes?,
        })
    }

    /// Adds the records whose IDs are damaged or cut off to those that a scan lost, as far as the published export was made
    /// from them. The last record of the journal ends at `end`, `is_other` says whether the export was made from another
    /// journal, and `held` is what the journal has for a task.
    pub(crate) fn name_lost(
        &self,
        scan: &mut ScanSummary,
        (end, is_other): (u64, bool),
        held: impl Fn(&str) -> Option<HeldResponse>,
    ) {
        // A journal that was cut off looks like another one.
        let is_cut = end < self.journal_bytes;
        if !is_cut && (is_other || scan.ids_lost_before.is_none()) {
            return;
        }
        let Ok(digests) = DigestFile::open(&self.path, &self.id) else {
            return;
        };
        let named: HashSet<&str> = scan.lost.iter().map(|lost| &*lost.task_id).collect();
        let mut found = Vec::new();
        let mut is_certain = scan.ids_lost_before <= Some(self.journal_bytes);
        let read = digests.each(|task| {
            if task.kind != DigestKind::Exported || named.contains(task.task_id) {
                return;
            }
            match self.holds(held(task.task_id), task.sha256) {
                Some(true) => {}
                Some(false) => found.push(LostRecord {
                    kind: RecordKind::Response,
                    task_id: task.task_id.to_owned(),
                    // An earlier response does not take its place, a later one does.
                    offset: self.journal_bytes,
                }),
                None => is_certain = false,
            }
        });
        // Damage of the digests must not look like damage of the journal.
        if read.is_ok() {
            scan.lost.append(&mut found);
            if is_certain {
                scan.ids_lost_before = None;
            }
        }
    }

    /// Whether the published response or a later one is there. `None` if that is not known.
    fn holds(&self, held: Option<HeldResponse>, published: ResponseDigest) -> Option<bool> {
        match held {
            None => Some(false),
            Some(held) if held.location.offset() >= self.journal_bytes => Some(true),
            Some(held) => held.digest.map(|digest| digest == published),
        }
    }
}
