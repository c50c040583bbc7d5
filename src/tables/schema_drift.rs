//! Counts differences between the responses and the API's documentation, by table and column.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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

/// The maximum number of unknown keys of a table that are counted one by one, so that the report stays readable and
/// bounded: the first ones in alphabetical order. There are few columns, but the keys of a few tasks may be data: a map
/// may have a million IDs as keys.
const MAX_UNKNOWN_KEYS: usize = 1_000;

/// The name under which the other unknown keys of a table are counted.
const OTHER: &str = "(other)";

/// The longest start of a key that the report shows, in bytes.
const MAX_KEY_BYTES: usize = 120;

/// How often a difference occurs, and where first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Occurrences {
    count: u64,
    /// How many tasks were flattened before the first one in which it occurs.
    tasks_before: u64,
    task_id: String,
}

impl Occurrences {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        if other.tasks_before < self.tasks_before {
            self.tasks_before = other.tasks_before;
            self.task_id = other.task_id;
        }
    }
}

/// The differences of one table and kind, by column.
type Columns = BTreeMap<String, Occurrences>;

/// Counts drift in a fixed order. The drift of a list is the same wherever the list is split and merged again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DriftRecord", into = "DriftRecord")]
pub struct Drift {
    /// Tasks so far.
    tasks: u64,
    tables: BTreeMap<(&'static str, DriftKind), Columns>,
    /// Unknown keys that are not counted one by one.
    others: BTreeMap<&'static str, Occurrences>,
}

impl Drift {
    /// Starts the next task.
    pub fn begin_task(&mut self) {
        self.tasks += 1;
    }

    /// Counts one occurrence.
    pub fn count(&mut self, table: Table, column: &str, kind: DriftKind, task_id: &str) {
        let end = column.floor_char_boundary(MAX_KEY_BYTES);
        let column = column.get(..end).unwrap_or_default();
        let columns = self.tables.entry((table.name(), kind)).or_default();
        if let Some(found) = columns.get_mut(column) {
            found.count += 1;
            return;
        }
        let occurrences = Occurrences {
            count: 1,
            tasks_before: self.tasks,
            task_id: task_id.to_owned(),
        };
        self.add(table.name(), column.to_owned(), kind, occurrences);
    }

    /// Adds the drift of the tasks that follow.
    pub(crate) fn append(&mut self, next: Self) {
        let before = self.tasks;
        let moved = |found: Occurrences| Occurrences {
            tasks_before: found.tasks_before + before,
            ..found
        };
        for ((table, kind), columns) in next.tables {
            for (column, found) in columns {
                self.add(table, column, kind, moved(found));
            }
        }
        for (table, found) in next.others {
            self.add_other(table, moved(found));
        }
        self.tasks += next.tasks;
    }

    fn add(&mut self, table: &'static str, column: String, kind: DriftKind, found: Occurrences) {
        let columns = self.tables.entry((table, kind)).or_default();
        match columns.entry(column) {
            Entry::Occupied(mut entry) => entry.get_mut().add(found),
            Entry::Vacant(entry) => drop(entry.insert(found)),
        }
        // A key that is left out once is never among the first ones again, so the result does not depend on the order.
        if kind == DriftKind::UnknownKey
            && columns.len() > MAX_UNKNOWN_KEYS
            && let Some((_, found)) = columns.pop_last()
        {
            self.add_other(table, found);
        }
    }

    fn add_other(&mut self, table: &'static str, found: Occurrences) {
        match self.others.entry(table) {
            Entry::Occupied(mut entry) => entry.get_mut().add(found),
            Entry::Vacant(entry) => drop(entry.insert(found)),
        }
    }

    /// The drift report.
    pub fn entries(&self) -> Vec<DriftEntry> {
        let tables = self.tables.iter().flat_map(|((table, kind), columns)| {
            let columns = columns.iter();
            columns.map(|(column, found)| ((*table, column.as_str(), *kind), found))
        });
        let others = self.others.iter();
        let others = others.map(|(table, found)| ((*table, OTHER, DriftKind::UnknownKey), found));
        let mut all: Vec<_> = tables.chain(others).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        let entries = all.into_iter();
        entries
            .map(|((table, column, kind), found)| DriftEntry {
                table: table.to_owned(),
                column: column.to_owned(),
                kind,
                count: found.count,
                first_task_id: found.task_id.clone(),
            })
            .collect()
    }
}

/// Drift as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct DriftRecord {
    tasks: u64,
    columns: Vec<(String, DriftKind, String, Occurrences)>,
    others: Vec<(String, Occurrences)>,
}

impl From<Drift> for DriftRecord {
    fn from(drift: Drift) -> Self {
        let tables = drift.tables.into_iter();
        let columns = tables.flat_map(|((table, kind), columns)| {
            let columns = columns.into_iter();
            columns.map(move |(column, found)| (table.to_owned(), kind, column, found))
        });
        let others = drift.others.into_iter();
        Self {
            tasks: drift.tasks,
            columns: columns.collect(),
            others: others
                .map(|(table, found)| (table.to_owned(), found))
                .collect(),
        }
    }
}

impl TryFrom<DriftRecord> for Drift {
    type Error = String;

    fn try_from(record: DriftRecord) -> Result<Self, String> {
        let name = |table: &str| {
            let found = Table::find(table).map(Table::name);
            found.ok_or_else(|| format!("`{table}` is not a table"))
        };
        let mut drift = Self {
            tasks: record.tasks,
            ..Self::default()
        };
        for (table, kind, column, found) in record.columns {
            let columns = drift.tables.entry((name(&table)?, kind)).or_default();
            columns.insert(column, found);
        }
        for (table, found) in record.others {
            drift.others.insert(name(&table)?, found);
        }
        Ok(drift)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_unknown_keys_do_not_hide_a_type_mismatch() {
        let mut drift = Drift::default();
        for number in 0..MAX_UNKNOWN_KEYS + 5 {
            let key = format!("key_{number}");
            drift.count(Table::Tasks, &key, DriftKind::UnknownKey, "task_1");
        }
        drift.count(Table::Tasks, "status", DriftKind::TypeMismatch, "task_2");
        let entries = drift.entries();
        assert_eq!(entries.len(), MAX_UNKNOWN_KEYS + 2);
        let count = |column: &str| {
            let entry = entries.iter().find(|entry| entry.column == column);
            entry.map(|entry| entry.count)
        };
        assert_eq!((count(OTHER), count("status")), (Some(5), Some(1)));
    }

    /// Keys of consecutive tasks: more than are counted one by one.
    fn keys() -> impl Strategy<Value = Vec<usize>> {
        let numbers = 0..2 * MAX_UNKNOWN_KEYS;
        proptest::collection::vec(numbers, 0..3 * MAX_UNKNOWN_KEYS)
    }

    fn drift_of(keys: &[usize], first: usize) -> Drift {
        let mut drift = Drift::default();
        for (index, key) in keys.iter().enumerate() {
            drift.begin_task();
            let task_id = format!("task_{}", first + index);
            drift.count(
                Table::Tasks,
                &key.to_string(),
                DriftKind::UnknownKey,
                &task_id,
            );
        }
        drift
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_drift_of_a_list_does_not_depend_on_where_it_is_split(
            keys in keys(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(keys.len() + 1)).collect();
            cuts.extend([0, keys.len()]);
            cuts.sort_unstable();
            let mut merged = Drift::default();
            for pair in cuts.windows(2) {
                merged.append(drift_of(&keys[pair[0]..pair[1]], pair[0]));
            }
            let stored = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(&merged, &serde_json::from_str::<Drift>(&stored).unwrap());
            prop_assert_eq!(merged, drift_of(&keys, 0));
        }
    }
}
