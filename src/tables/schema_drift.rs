//! Counts differences between the responses and the API's documentation, by table and column.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tables::table::Table;

/// How a value differs from the documented shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A value that does not have its column's type. It goes to `extra`.
    #[serde(rename = "misfit")]
    TypeMismatch,
    /// A key that has no column. It goes to `extra`.
    UnknownKey,
    /// A status, role or annotation type that is not documented. It goes to its column.
    UnknownValue,
}

/// One line of the drift report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftEntry {
    /// The table.
    pub table: String,
    /// The column, or the unknown key: a path from the row's object, with dots.
    pub column: String,
    /// The kind of difference.
    pub kind: DriftKind,
    /// How often it occurs.
    pub count: u64,
    /// The first task, in the order of the input, in which it occurs.
    pub first_task_id: String,
}

/// From this many entries on, new unknown keys are counted together, so that the report stays readable and bounded.
/// There are few columns, but the keys of a few tasks may be data: a map may have a million IDs as keys.
const MAX_ENTRIES: usize = 1_000;

/// The name under which unknown keys after [`MAX_ENTRIES`] are counted.
const OTHER: &str = "(other)";

/// The longest start of a key that the report shows, in bytes.
const MAX_KEY_BYTES: usize = 120;

/// Counts drift in a fixed order.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    entries: BTreeMap<(&'static str, Cow<'static, str>, DriftKind), (u64, String)>,
}

impl Drift {
    /// Counts one occurrence.
    pub fn count(&mut self, table: Table, column: &str, kind: DriftKind, task_id: &str) {
        let end = column.floor_char_boundary(MAX_KEY_BYTES);
        let mut key = (
            table.name(),
            Cow::Owned(column.get(..end).unwrap_or_default().to_owned()),
            kind,
        );
        let is_bounded = kind == DriftKind::UnknownKey;
        if is_bounded && self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            key.1 = Cow::Borrowed(OTHER);
        }
        self.entries
            .entry(key)
            .or_insert_with(|| (0, task_id.to_owned()))
            .0 += 1;
    }

    /// The drift report.
    pub fn entries(&self) -> Vec<DriftEntry> {
        self.entries
            .iter()
            .map(
                |((table, column, kind), (count, first_task_id))| DriftEntry {
                    table: (*table).to_owned(),
                    column: column.clone().into_owned(),
                    kind: *kind,
                    count: *count,
                    first_task_id: first_task_id.clone(),
                },
            )
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_unknown_keys_do_not_hide_a_type_mismatch() {
        let mut drift = Drift::default();
        for number in 0..MAX_ENTRIES + 5 {
            let key = format!("key_{number}");
            drift.count(Table::Tasks, &key, DriftKind::UnknownKey, "task_1");
        }
        drift.count(Table::Tasks, "status", DriftKind::TypeMismatch, "task_2");
        let entries = drift.entries();
        assert_eq!(entries.len(), MAX_ENTRIES + 2);
        let count = |column: &str| {
            let entry = entries.iter().find(|entry| entry.column == column);
            entry.map(|entry| entry.count)
        };
        assert_eq!((count(OTHER), count("status")), (Some(5), Some(1)));
    }
}
