//! Statistics by key, for at most a fixed number of keys.
//!
//! Beyond the limit, the keys with the smallest checksums are kept. Which keys these are does not depend on the order of
//! the rows, and a kept key was never dropped before, so its statistics are exact.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::report::merge::Merge;
use crate::report::short_text::ShortText;

/// A key with a checksum that spreads keys evenly.
pub trait Checksum: Ord {
    /// The checksum.
    fn checksum(&self) -> u32;
}

impl Checksum for ShortText {
    fn checksum(&self) -> u32 {
        Self::checksum(self)
    }
}

impl Checksum for i64 {
    fn checksum(&self) -> u32 {
        crc32fast::hash(&self.to_le_bytes())
    }
}

impl<A: Checksum, B: Checksum> Checksum for (A, B) {
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.checksum().to_le_bytes());
        hasher.update(&self.1.checksum().to_le_bytes());
        hasher.finalize()
    }
}

impl<A: Checksum> Checksum for Option<A> {
    fn checksum(&self) -> u32 {
        self.as_ref().map_or(0, Checksum::checksum)
    }
}

/// Statistics of at most `LIMIT` keys.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundedMap<K, V, const LIMIT: usize> {
    kept: BTreeMap<(u32, K), V>,
    /// Whether there were more keys.
    has_dropped: bool,
}

impl<K, V, const LIMIT: usize> Default for BoundedMap<K, V, LIMIT> {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            has_dropped: false,
        }
    }
}

impl<K: Checksum, V: Merge, const LIMIT: usize> BoundedMap<K, V, LIMIT> {
    /// The statistics of a key, to be changed. `None` if the key is beyond the limit.
    pub fn entry(&mut self, key: K) -> Option<&mut V> {
        let key = (key.checksum(), key);
        if self.kept.len() >= LIMIT && !self.kept.contains_key(&key) {
            self.has_dropped = true;
            if self
                .kept
                .last_key_value()
                .is_none_or(|(last, _)| *last < key)
            {
                return None;
            }
            self.kept.pop_last();
        }
        Some(self.kept.entry(key).or_default())
    }

    /// The kept keys and their statistics.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.kept.iter().map(|((_, key), value)| (key, value))
    }

    /// The kept keys with the highest counts first, then by key.
    pub fn by_count(&self, count: impl Fn(&V) -> u64) -> Vec<(&K, &V)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by_key(|(key, value)| (Reverse(count(value)), *key));
        all
    }

    /// The number of kept keys.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether there were more keys than the limit.
    pub fn has_dropped(&self) -> bool {
        self.has_dropped
    }
}

impl<K: Checksum, V: Merge, const LIMIT: usize> Merge for BoundedMap<K, V, LIMIT> {
    fn merge(&mut self, other: Self) {
        self.has_dropped |= other.has_dropped;
        for ((_, key), value) in other.kept {
            if let Some(entry) = self.entry(key) {
                entry.merge(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Counts = BoundedMap<ShortText, u64, 8>;

    fn count(words: &[u8]) -> Counts {
        let mut counts = Counts::default();
        for word in words {
            if let Some(count) = counts.entry(ShortText::of(&word.to_string())) {
                *count += 1;
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn kept_counts_are_exact_whatever_the_parts(words: Vec<u8>, cut: prop::sample::Index) {
            let whole = count(&words);
            let (left, right) = words.split_at(cut.index(words.len() + 1));
            let mut merged = count(left);
            merged.merge(count(right));
            prop_assert_eq!(&merged, &whole);
            let mut swapped = count(right);
            swapped.merge(count(left));
            prop_assert_eq!(&swapped, &whole);
            for (key, &found) in whole.iter() {
                let exact = words.iter().filter(|word| word.to_string() == key.start()).count();
                prop_assert_eq!(found, exact as u64);
            }
            let distinct: std::collections::BTreeSet<u8> = words.iter().copied().collect();
            prop_assert_eq!(whole.has_dropped(), distinct.len() > 8);
            prop_assert_eq!(whole.len(), distinct.len().min(8));
        }
    }
}
