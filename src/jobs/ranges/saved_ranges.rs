//! What the state keeps of each range of the published tables, so that the next run copies the ranges that have not
//! changed.
//!
//! ```text
//! file = SHA-256 of the rest in hexadecimal, a line break, JSON
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// Maximum bytes of a file that is read: 20 times what a million tasks in a hundred ranges take. If every task has a project
/// of its own, the file may have more, and all ranges are built.
const MAX_BYTES: u64 = 64 << 20;

/// All ranges, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedRanges {
    version: u32,
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
    json: String,
    task_id: String,
}

impl From<EntityVersion> for SavedVersion {
    fn from(version: EntityVersion) -> Self {
        Self {
            table: version.table.name().to_owned(),
            digest: version.digest,
            json: version.json,
            task_id: version.task_id,
        }
    }
}

impl SavedVersion {
    /// The version; `None` if its table is unknown.
    pub(crate) fn version(&self) -> Option<EntityVersion> {
        Some(EntityVersion {
            table: Table::find(&self.table)?,
            digest: self.digest,
            json: self.json.clone(),
            task_id: self.task_id.clone(),
        })
    }
}

impl SavedRanges {
    pub(crate) fn new(tails: BTreeMap<String, Region>, ranges: Vec<SavedRange>) -> Self {
        Self {
            version: VERSION,
            tails,
            ranges,
        }
    }

    /// The content of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: serialization cannot fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = hex::encode(&Sha256::digest(&json)).into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(&json);
        bytes
    }

    /// Reads a file. `None` if it is missing, damaged, or of another version: the ranges are built again then.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let bytes = read_small(path, MAX_BYTES).ok()?;
        let line = bytes.iter().position(|byte| *byte == b'\n')?;
        let (sha256, json) = (bytes.get(..line)?, bytes.get(line + 1..)?);
        if hex::encode(&Sha256::digest(json)).as_bytes() != sha256 {
            return None;
        }
        let saved: Self = serde_json::from_slice(json).ok()?;
        (saved.version == VERSION).then_some(saved)
    }
}
