//! What a job reports when it ends.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::failure_kind::FailureKind;
use crate::pacer::types::LearnedRate;
use crate::publish::manifest::Manifest;

/// Failed and stale IDs by kind.
pub type FailureCounts = BTreeMap<FailureKind, u64>;

/// How a job ended that did not fail.
#[derive(Debug)]
pub enum JobEnd<R> {
    /// It completed.
    Done(R),
    /// Stopped by the user.
    Stopped(SavedWork),
}

/// What a job saved that the user stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum SavedWork {
    /// Nothing that was not there before.
    Nothing,
    /// The tasks that were listed so far.
    Listed {
        /// How many.
        tasks: usize,
    },
    /// The responses that were fetched so far.
    Fetched(SavedResponses),
    /// The export is published in its directory, and not yet in the object store.
    NotUploaded,
}

/// What the journal holds for the tasks of a stopped export.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SavedResponses {
    /// IDs with a response.
    pub kept: usize,
    /// Distinct IDs.
    pub requested: usize,
    /// IDs that this run was to fetch.
    pub wanted: usize,
    /// Of these, IDs that have an earlier response, which stays until a new one arrives.
    pub again: usize,
    /// Tasks that this run fetched.
    pub fetched: u64,
    /// Whether the output directory has a published export, which stays as it is.
    pub has_export: bool,
    /// Requests that were sent, retries included.
    pub requests: u64,
    /// Of these, rate-limited with 429.
    pub rate_limited: u64,
    /// What was learned of the rate limit; nothing with `--rate`.
    pub learned: Option<LearnedRate>,
}

/// What an export published.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// Distinct IDs.
    pub requested: u64,
    /// IDs in the tables.
    pub exported: u64,
    /// IDs that are not in the tables.
    pub failed: u64,
    /// IDs in the tables by an earlier response, since the last request failed.
    pub stale: u64,
    /// Of the failed IDs, those that are treated as deleted tasks (`--drop-missing`).
    pub dropped: u64,
    /// IDs exported from responses of earlier runs.
    pub reused: u64,
    /// Lines that repeated an ID.
    pub duplicates: u64,
    /// Failed and stale IDs by kind.
    pub failures: FailureCounts,
    /// Lines of the sources that are not valid tasks.
    pub unreadable: u64,
    /// Whether the job is one that requests tasks from a server.
    pub uses_network: bool,
    /// Whether everything was published before, so that nothing was requested and nothing written.
    pub is_idle: bool,
    /// Whether every published file except the manifest is the same as before.
    pub unchanged: bool,
    /// Tasks in the journal that are not in the list.
    pub unlisted: u64,
    /// Of these, tasks that were dropped.
    pub pruned: u64,
    /// The lists that the tasks were taken from, if they were.
    pub lists: Option<ListReport>,
    /// Rows by table.
    pub rows: Vec<(String, u64)>,
    /// Bytes of all published files.
    pub bytes: u64,
    /// Values and keys that the documented shape does not have.
    pub drift: u64,
    /// Requests that were sent, retries included.
    pub requests: u64,
    /// Requests beyond the first of their ID.
    pub retries: u64,
    /// Responses with status 429.
    pub rate_limited: u64,
    /// Bytes of responses, decompressed.
    pub bytes_received: u64,
    /// List pages that were fetched instead of single tasks.
    pub pages: u64,
    /// Tasks from these pages.
    pub from_lists: u64,
    /// What was learned of the rate limit; nothing with `--rate`.
    pub learned: Option<LearnedRate>,
    /// The Delta tables that the tables were committed to, if there are any.
    pub delta: Option<DeltaReport>,
}

/// What was committed to Delta tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeltaReport {
    /// Where they are.
    pub url: String,
    /// The tables that were written before or now.
    pub tables: u64,
    /// Of these, tables with a new version.
    pub committed: u64,
}

/// What lists gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListReport {
    /// Lists that were read.
    pub lists: u64,
    /// Of these, lists that were not read completely, as far as is known.
    pub incomplete: u64,
    /// Unexpected responses, by what was unexpected.
    #[serde(rename = "surprises")]
    pub anomalies: BTreeMap<&'static str, u64>,
}

impl ExportReport {
    /// Failed and stale IDs, without those that are treated as deleted tasks.
    pub fn failures(&self) -> u64 {
        (self.failed + self.stale).saturating_sub(self.dropped)
    }

    /// What a manifest says of an export.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let tables = manifest.tables.iter();
        let files = manifest.published_files();
        Self {
            requested: manifest.ids.requested,
            exported: manifest.ids.exported,
            failed: manifest.ids.failed,
            stale: manifest.ids.stale,
            dropped: 0,
            reused: 0,
            duplicates: manifest.ids.duplicates,
            failures: BTreeMap::new(),
            unreadable: 0,
            uses_network: true,
            is_idle: false,
            unchanged: false,
            unlisted: 0,
            pruned: 0,
            lists: None,
            rows: tables
                .map(|(name, table)| (name.clone(), table.rows))
                .collect(),
            bytes: files.map(|file| file.bytes).sum(),
            drift: manifest.drift.iter().map(|entry| entry.count).sum(),
            requests: manifest.run.requests,
            retries: manifest.run.retries,
            rate_limited: manifest.run.rate_limited,
            bytes_received: manifest.run.bytes_received,
            pages: 0,
            from_lists: 0,
            learned: None,
            delta: None,
        }
    }
}
