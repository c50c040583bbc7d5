//! Objects that the manifest no longer names: for how long they stay for readers of an earlier manifest. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

/// When each object was superseded.
pub(crate) type Superseded = BTreeMap<String, Timestamp>;

/// What a publication knows of the objects in a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownObjects<'o> {
    /// Objects that the new manifest names.
    pub(crate) named: &'o BTreeSet<String>,
    /// Objects that the store has, among those that scale-export names by their content.
    pub(crate) stored: &'o BTreeSet<String>,
    /// The objects that the previous manifest lists as superseded.
    pub(crate) before: &'o Superseded,
}

impl KnownObjects<'_> {
    /// The superseded objects of the new manifest: those of the previous one that still exist, and from `now` on all
    /// other objects that it does not name. Among the latter can be objects of a run that is uploading, which removes
    /// them from the list when it publishes.
    pub(crate) fn superseded(self, now: Timestamp) -> Superseded {
        let unnamed = self.stored.difference(self.named);
        unnamed
            .map(|name| (name.clone(), self.before.get(name).copied().unwrap_or(now)))
            .collect()
    }
}

/// The objects that no reader needs any more: superseded for longer than `grace`.
pub(crate) fn expired(superseded: &Superseded, grace: Duration, now: Timestamp) -> Vec<&str> {
    let age = |at: &Timestamp| Duration::try_from(now.duration_since(*at)).unwrap_or_default();
    let expired = superseded.iter().filter(|(_, at)| age(at) > grace);
    expired.map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_time_counts_from_the_publication_that_superseded_an_object() {
        let before = Superseded::from([
            ("old".to_owned(), at(5)),
            ("gone".to_owned(), at(5)),
            ("again".to_owned(), at(5)),
        ]);
        let objects = KnownObjects {
            named: &names(&["new", "again"]),
            stored: &names(&["old", "again", "new", "previous"]),
            before: &before,
        };
        let superseded = objects.superseded(at(100));
        let expected = [("old", at(5)), ("previous", at(100))];
        assert!(
            superseded
                .iter()
                .map(|(name, at)| (name.as_str(), *at))
                .eq(expected)
        );
        let grace = Duration::from_mins(1);
        assert_eq!(expired(&superseded, grace, at(100)), ["old"]);
        assert_eq!(expired(&superseded, grace, at(60)), [""; 0]);
        // A clock that went back expires nothing.
        assert_eq!(expired(&superseded, Duration::ZERO, at(1)), [""; 0]);
    }
}
