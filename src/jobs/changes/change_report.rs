//! The options of `changes`, and what it reports: also the content of `changes.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::encode::format::Format;
use crate::publish::manifest::{TableFile, Tool};
use crate::publish::publication_id::PublicationId;
use crate::tables::table::SCHEMA_VERSION;

/// Version of the format of `changes.json`.
const FORMAT_VERSION: u32 = 1;

/// Which publications are compared, and where the changes are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangesOptions {
    /// An older export. Without it, the last publication of `new` is compared with the one before.
    pub old: Option<PathBuf>,
    /// The export.
    pub new: PathBuf,
    /// The publication that the consumer has: the last one, or the one before.
    pub since: Option<String>,
    /// The feed that is written; `None` to count only.
    pub feed: Option<FeedOptions>,
}

/// A feed of changes as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedOptions {
    /// A new or empty directory, or one that has an earlier feed.
    pub out: PathBuf,
    /// File format; `None` for that of the export.
    pub format: Option<Format>,
    /// Whether the rows of inserted and updated tasks are written too.
    pub with_tables: bool,
}

/// Numbers of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// Tasks that are in the new publication only.
    pub insert: u64,
    /// Tasks whose responses differ.
    pub update: u64,
    /// Tasks that are in the publication before only.
    pub delete: u64,
    /// Tasks in both publications whose responses are the same.
    pub unchanged: u64,
    /// Tasks that the new publication lacks because a fetch failed. They are not deleted: consumers keep them.
    pub lost: u64,
}

/// The changes from one publication to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesReport {
    format_version: u32,
    /// The tool that compared them.
    pub tool: Tool,
    /// Version of the tables.
    pub schema_version: String,
    /// The publication before; `None` if the new one is the first.
    pub from: Option<PublicationId>,
    /// The new publication.
    pub to: PublicationId,
    /// What changed.
    #[serde(flatten)]
    pub counts: ChangeCounts,
    /// The files of the feed, if it was written: `changes` first, then the tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<TableFile>,
}

impl ChangesReport {
    pub(crate) fn new(
        from: Option<PublicationId>,
        to: PublicationId,
        counts: ChangeCounts,
        files: Vec<TableFile>,
    ) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            tool: Tool::this(),
            schema_version: SCHEMA_VERSION.to_owned(),
            from,
            to,
            counts,
            files,
        }
    }

    /// Whether scale-export wrote it, in a format that this version knows.
    pub(crate) fn is_ours(&self) -> bool {
        self.tool.name == Tool::this().name && self.format_version == FORMAT_VERSION
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        // Plain values: serialization cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
