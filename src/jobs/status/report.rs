//! What an export holds, as `status --json` prints it. `docs/status.md` describes every member.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::encode::format::Format;
use crate::failure_kind::FailureKind;
use crate::ids::shard::Shard;
use crate::journal::format::JournalOptions;
use crate::pacer::types::LearnedRate;
use crate::publish::manifest::{Manifest, ManifestOptions};
use crate::state::paths::JOURNAL;

/// The version of the JSON. A new member does not change it.
pub const STATUS_VERSION: u32 = 1;

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportStatus {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// The directory, as given.
    pub directory: String,
    /// The published export; `None` before the first publication, and when the manifest is damaged.
    pub publication: Option<PublicationCounts>,
    /// Whether a publication was interrupted, which the next run completes or undoes.
    pub is_publication_interrupted: bool,
    /// The options that later runs must share, and those of the publication; `None` if neither is known.
    pub options: Option<BoundOptions>,
    /// The tasks, as of now: a run that has not published counts.
    pub tasks: SavedTaskCounts,
    /// What a run with the same list would fetch; `None` where no run can continue, and where only the owner can read it.
    pub next_run: Option<NextRun>,
    /// The file of raw responses; `None` if there is none or it cannot be read.
    pub journal: Option<JournalCounts>,
    /// What the latest run learned of the rate limit.
    pub pace: Option<LearnedRate>,
    /// The content of `last_run.json`; `None` if there is none or it cannot be read.
    pub last_run: Option<Value>,
    /// Whether a run writes now.
    pub lock: LockStatus,
    /// The parts that are damaged or cannot be read.
    pub problems: Vec<Problem>,
}

impl ExportStatus {
    /// The status of the export that this is a copy of. A copy has no raw responses, so nothing is known of them.
    pub(crate) fn of_copy(mut self, place: &Path) -> Self {
        self.directory = place.display().to_string();
        self.next_run = None;
        self.problems.retain(|problem| problem.part != JOURNAL);
        self
    }
}

/// The published export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicationCounts {
    /// When its run finished, in RFC 3339.
    pub published_at: String,
    /// The version of scale-export that wrote it.
    pub tool_version: String,
    /// The version of its tables.
    pub schema_version: String,
    /// The shard of a list that it is; `None` for a whole list.
    pub shard: Option<Shard>,
    /// Distinct IDs.
    pub requested: u64,
    /// IDs with a row in `tasks`.
    pub exported: u64,
    /// IDs without one.
    pub failed: u64,
    /// Exported IDs whose last request failed.
    pub stale: u64,
    /// Published files, the manifest not included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Values and keys that the documentation of the API does not have.
    pub drift: u64,
}

impl PublicationCounts {
    /// What a manifest says.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let rows = manifest.tables.iter();
        Self {
            published_at: manifest.run.finished_at.clone(),
            tool_version: manifest.tool.version.clone(),
            schema_version: manifest.schema_version.clone(),
            shard: manifest.shard.as_ref().map(|place| place.shard),
            requested: manifest.ids.requested,
            exported: manifest.ids.exported,
            failed: manifest.ids.failed,
            stale: manifest.ids.stale,
            files: manifest.published_files().count() as u64,
            bytes: manifest.published_files().map(|file| file.bytes).sum(),
            rows: rows
                .map(|(name, table)| (name.clone(), table.rows))
                .collect(),
            drift: manifest.drift.len() as u64,
        }
    }
}

/// The options that an export is bound to. A run with another base URL, `expand`, `opts` or `keep_secrets` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundOptions {
    /// The URL of the API.
    pub base_url: String,
    /// Expanded entities.
    pub expand: Vec<String>,
    /// Requested details.
    pub opts: Vec<String>,
    /// Whether credentials in responses are kept.
    pub keep_secrets: bool,
    /// The options of the last publication that a run may change; `None` before the first one.
    #[serde(flatten)]
    pub published: Option<PublishedOptions>,
}

/// The options of a publication that a run may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedOptions {
    /// File format.
    pub format: Format,
    /// The selected tables; empty for all.
    pub tables: Vec<String>,
    /// Whether IDs that the API does not find are treated as deleted tasks.
    pub drop_missing: bool,
    /// The list endpoints that the tasks were fetched from, in words; empty if none.
    pub lists: Vec<String>,
}

impl From<&ManifestOptions> for BoundOptions {
    fn from(options: &ManifestOptions) -> Self {
        Self {
            base_url: options.base_url.clone(),
            expand: options.expand.clone(),
            opts: options.opts.clone(),
            keep_secrets: options.keep_secrets,
            published: Some(PublishedOptions {
                format: options.format,
                tables: options.tables.clone(),
                drop_missing: options.drop_missing,
                lists: options.lists.clone(),
            }),
        }
    }
}

impl From<&JournalOptions> for BoundOptions {
    fn from(options: &JournalOptions) -> Self {
        Self {
            base_url: options.base_url.clone(),
            expand: options.expand.clone(),
            opts: options.opts.clone(),
            keep_secrets: options.keep_secrets,
            published: None,
        }
    }
}

/// The tasks of an export, by what is saved of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SavedTaskCounts {
    /// IDs of the published list; `None` before the first publication, when the list is not known.
    pub listed: Option<u64>,
    /// IDs with a response that is not stale. Without a list, of all IDs that any run requested, as below.
    pub kept: u64,
    /// Of these, tasks that will never change; `None` where the journal cannot be read.
    #[serde(rename = "final")]
    pub is_final: Option<u64>,
    /// Of these, tasks that can change; `None` where the journal cannot be read.
    pub not_final: Option<u64>,
    /// IDs with a response whose last request failed.
    pub stale: u64,
    /// IDs without a response whose last request failed.
    pub failed: u64,
    /// IDs of the list without a response or a failure.
    pub not_requested: u64,
    /// IDs with a response that are not in the published list.
    pub unlisted: u64,
    /// Failed and stale IDs, by the kind of their failure.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Rows of the published `tasks` by the API's status; `None` where there is no such table. A task without a status
    /// has the key `null`.
    pub by_status: Option<BTreeMap<String, u64>>,
}

/// What a run with the same list and `--refresh pending` would fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NextRun {
    /// IDs in all.
    pub fetch: u64,
    /// Of these, tasks that were not in a final state.
    pub not_final: u64,
    /// Of these, IDs that failed or are stale.
    pub failed: u64,
    /// Of these, IDs that no run has requested, or whose response is lost.
    pub not_requested: u64,
    /// Whether the list is known. If not, only IDs that some run requested are counted.
    pub is_list_known: bool,
}

/// The file of raw responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct JournalCounts {
    /// Bytes of the file.
    pub bytes: u64,
    /// Whole records.
    pub records: u64,
    /// Bytes of records that a later one replaces. Over half of the file makes the next run write a new one.
    pub superseded_bytes: u64,
    /// The same as a share of the file, from 0 to 1.
    pub superseded_share: f64,
    /// Places that cannot be read.
    pub damaged: u64,
    /// Bytes of an incomplete record at the end: of a run that writes now, or that was killed.
    pub incomplete_bytes: u64,
}

/// Whether a run writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockStatus {
    /// Whether a run, or a command that reads under the lock, holds the lock; `None` if only the owner of the export
    /// can find out.
    pub is_held: Option<bool>,
    /// The process that holds it.
    pub holder: Option<String>,
}

/// A part of an export that is damaged or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as a path in the directory.
    pub part: String,
    /// What is wrong with it.
    pub cause: String,
}
