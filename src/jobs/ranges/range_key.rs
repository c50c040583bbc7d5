//! What the rows of a range follow from. Ranges with the same key have the same bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::encode::format::Selection;
use crate::hex;
use crate::publish::digest_file::ResponseDigest;
use crate::publish::manifest::ENCODING_VERSION;
use crate::tables::table::SCHEMA_VERSION;

/// A digest of everything that the rows of a range follow from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RangeKey(String);

/// Computes a key, one task after the other.
#[derive(Debug)]
pub(crate) struct RangeKeyHasher(Sha256);

impl RangeKeyHasher {
    /// Starts with the options. Another version of the program may encode rows in another way.
    pub(crate) fn new(selection: Selection) -> Self {
        let Selection { format, tables } = selection;
        let tables: Vec<&str> = tables.tables().map(|table| table.name).collect();
        let shape = format!(
            "{} {SCHEMA_VERSION} {ENCODING_VERSION} {} {}\n",
            env!("CARGO_PKG_VERSION"),
            format.extension(),
            tables.join(",")
        );
        Self(Sha256::new_with_prefix(shape))
    }

    /// Adds the next task: with the digest of the response that its rows follow from, if there is one.
    pub(crate) fn add(&mut self, task_id: &str, response: Option<ResponseDigest>) {
        // The length keeps two IDs apart from one that is the text of both.
        self.0.update((task_id.len() as u64).to_le_bytes());
        self.0.update(task_id);
        match response {
            Some(digest) => {
                self.0.update([1]);
                self.0.update(digest);
            }
            None => self.0.update([0]),
        }
    }

    /// The key of the tasks so far.
    pub(crate) fn finish(self) -> RangeKey {
        RangeKey(hex::encode(&self.0.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::Format;
    use crate::tables::selection::TableSelection;

    #[test]
    fn every_part_of_a_range_changes_its_key() {
        let key = |format, tables, tasks: &[(&str, Option<u8>)]| {
            let mut hasher = RangeKeyHasher::new(Selection { format, tables });
            for (task_id, digest) in tasks {
                hasher.add(task_id, digest.map(|byte| [byte; 32]));
            }
            hasher.finish()
        };
        let all = TableSelection::all();
        let tasks: &[_] = &[("task_1", Some(1)), ("task_2", None)];
        let keys = [
            key(Format::Parquet, all, tasks),
            key(Format::Csv, all, tasks),
            key(Format::Parquet, TableSelection::NONE, tasks),
            key(Format::Parquet, all, &tasks[..1]),
            key(Format::Parquet, all, &[tasks[1], tasks[0]]),
            key(
                Format::Parquet,
                all,
                &[("task_1", Some(2)), ("task_2", None)],
            ),
            key(
                Format::Parquet,
                all,
                &[("task_1", Some(1)), ("task_2", Some(0))],
            ),
            key(
                Format::Parquet,
                all,
                &[("task_1", Some(1)), ("task_", None), ("2", None)],
            ),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(keys[0], key(Format::Parquet, all, tasks));
    }
}
