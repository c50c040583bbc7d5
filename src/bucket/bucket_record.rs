//! What the state remembers of the last publication in a store, so that a run repeats only what was interrupted.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::durable_fs;
use crate::output_error::OutputError;
use crate::state::paths::StateDir;
use crate::state::replace::{Durability, replace};

/// Maximum bytes of the record. It names about thirty objects.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// The record, `bucket.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketRecord {
    /// Where the export was published.
    pub(crate) url: String,
    /// The SHA-256 checksum of the manifest that this state published there.
    pub(crate) manifest: String,
    /// For each stable name the object that it is a copy of.
    pub(crate) copies: BTreeMap<String, String>,
}

impl BucketRecord {
    /// The record of a publication at a place. `None` if the state has none, or one that is damaged.
    pub(crate) fn find(state: &StateDir, url: &str) -> io::Result<Option<Self>> {
        let text = match durable_fs::read_small(&state.bucket(), MAX_RECORD_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let record = serde_json::from_slice::<Self>(&text).ok();
        Ok(record.filter(|record| record.url == url && !record.manifest.is_empty()))
    }

    /// The record for a place. A missing, unreadable or other record is an empty one: the run then copies all objects.
    pub(crate) fn read(state: &StateDir, url: &str) -> Self {
        let record = Self::find(state, url).ok().flatten();
        record.unwrap_or_else(|| Self {
            url: url.to_owned(),
            ..Self::default()
        })
    }

    /// Writes the record.
    pub(crate) fn write(&self, state: &StateDir) -> Result<(), OutputError> {
        let path = state.bucket();
        // Strings only: serialization cannot fail.
        let text = serde_json::to_vec(self).unwrap_or_default();
        replace(&path, &text, Durability::Synced).map_err(OutputError::io("write", &path))
    }
}
