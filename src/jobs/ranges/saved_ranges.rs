//! What the state keeps of each range of the published tables, so that the next run copies the ranges that have not
//! changed.
//!
//! ```text
//! file = SHA-256 of the rest in hexadecimal, a line break, JSON
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::durable_fs::read_small;
use crate::encode::region_writer::Region;
use crate::encode::table_writers::AppendedRows;
use crate::flatten::entity_versions::EntityVersion;
use crate::hex;
use crate::jobs::ranges::range_key::RangeKey;
use crate::journal::failure_note::FailureNote;
use crate::tables::schema_drift::Drift;
use crate::tables::table::Table;

/// The version of the file. Another one is not read, and all ranges are built again.
const VERSION: u32 = 1;

/// Maximum bytes of a file that is read: many times what a million tasks in a hundred ranges take. All ranges are rebuilt if it
/// has more, which takes hundreds of thousands of distinct projects and batches.
const MAX_BYTES: u64 = 64 << 20;

/// Why the file cannot be used. The ranges are built again then.
#[derive(Debug, Error)]
pub(crate) enum UnusableRanges {
    /// No run has written it yet.
    #[error("it is missing")]
    Missing,
    /// The system returned an error, or the file is too large.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has other bytes than were written.
    #[error("it is damaged")]
    Damaged,
    /// Another version of scale-export wrote it.
    #[error("it has version {0}, and this program reads version {VERSION}")]
    Version(u32),
}

/// The part of the file that every version has.
#[derive(Debug, Deserialize)]
struct SavedVersionNumber {
    version: u32,
}

/// All ranges, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedRanges {
    version: u32,
    /// The objects of projects and batches as received, each once.
    pub(crate) texts: Vec<String>,
    /// What follows the rows in the file of each table, by its name.
    pub(crate) tails: BTreeMap<String, Region>,
    pub(crate) ranges: Vec<SavedRange>,
}

/// A range.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedRange {
    pub(crate) key: RangeKey,
    /// Its rows in each table that has some.
    pub(crate) tables: Vec<AppendedRows>,
    pub(crate) versions: Vec<SavedVersion>,
    pub(crate) drift: Drift,
    /// Responses that cannot be used: their positions in the range, and why.
    pub(crate) unusable: Vec<(usize, FailureNote)>,
}

/// A version of a project or a batch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedVersion {
    table: String,
    digest: [u8; 32],
    /// The number of its text.
    text: usize,
    task_id: String,
}

impl SavedVersion {
    /// The version, with the texts of all versions; `None` if its table or its text is unknown.
    pub(crate) fn version(&self, texts: &[String]) -> Option<EntityVersion> {
        Some(EntityVersion {
            table: Table::find(&self.table)?,
            digest: self.digest,
            json: texts.get(self.text)?.clone(),
            task_id: self.task_id.clone(),
        })
    }
}

/// Collects ranges. Many of them have the same projects and batches, so that each text is kept once.
#[derive(Debug, Default)]
pub(crate) struct RangeCollector {
    texts: HashMap<String, usize>,
    pub(crate) ranges: Vec<SavedRange>,
}

impl RangeCollector {
    /// The versions of a range as they are saved.
    pub(crate) fn versions(&mut self, versions: Vec<EntityVersion>) -> Vec<SavedVersion> {
        let versions = versions.into_iter();
        versions
            .map(|version| {
                let next = self.texts.len();
                SavedVersion {
                    table: version.table.name().to_owned(),
                    digest: version.digest,
                    text: *self.texts.entry(version.json).or_insert(next),
                    task_id: version.task_id,
                }
            })
            .collect()
    }

    /// All ranges.
    pub(crate) fn finish(self, tails: BTreeMap<String, Region>) -> SavedRanges {
        let mut texts: Vec<(String, usize)> = self.texts.into_iter().collect();
        texts.sort_unstable_by_key(|(_, number)| *number);
        SavedRanges {
            version: VERSION,
            texts: texts.into_iter().map(|(text, _)| text).collect(),
            tails,
            ranges: self.ranges,
        }
    }
}

impl SavedRanges {
    /// The content of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: serialization cannot fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = hex::encode(&Sha256::digest(&json)).into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(&json);
        bytes
    }

    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, UnusableRanges> {
        let bytes = match read_small(path, MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(UnusableRanges::Missing);
            }
            read => read?,
        };
        let line = bytes.iter().position(|byte| *byte == b'\n');
        let Some((sha256, [_, json @ ..])) = line.map(|line| bytes.split_at(line)) else {
            return Err(UnusableRanges::Damaged);
        };
        if hex::encode(&Sha256::digest(json)).as_bytes() != sha256 {
            return Err(UnusableRanges::Damaged);
        }
        let SavedVersionNumber { version } =
            serde_json::from_slice(json).map_err(|_| UnusableRanges::Damaged)?;
        if version != VERSION {
            return Err(UnusableRanges::Version(version));
        }
        serde_json::from_slice(json).map_err(|_| UnusableRanges::Damaged)
    }
}
