//! The dictionary of a column chunk: its distinct values, which are found by their hash.

use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::hash_table::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::encode::parquet::write::runs::MAX_NUMBER;

/// Bytes before a value of variable length: its length.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Entries whose memory is kept for the next chunk.
const KEPT_ENTRIES: usize = 1_024;

/// Bytes of the dictionary page whose memory is reserved for the next chunk.
const KEPT_BYTES: usize = 16 << 10;

/// The distinct values of a column chunk, in the order of their first occurrence.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    /// The values in PLAIN encoding: the content of the dictionary page.
    body: Vec<u8>,
    entries: Vec<DictionaryEntry>,
    /// Indices of entries by their hash.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Bytes before each value: [`LENGTH_BYTES`], or 0 for values of a fixed size.
    prefix: usize,
    /// The value that was interned last.
    last: Option<LastValue>,
}

/// A value by its index and its place in the body.
#[derive(Debug, Clone, Copy)]
struct LastValue {
    index: u32,
    start: usize,
    end: usize,
}

/// A value, in few bytes: the dictionaries of a range have hundreds of thousands.
#[derive(Debug, Clone, Copy)]
struct DictionaryEntry {
    /// End of the value in the body. No dictionary page is larger than the format can state.
    end: u32,
    /// The upper half of its hash.
    hash: u32,
}

impl DictionaryEntry {
    fn end(self) -> usize {
        self.end as usize
    }

    /// The number by which the table finds it.
    fn slot_hash(self) -> u64 {
        slot_hash(self.hash)
    }
}

impl Dictionary {
    pub(crate) fn new(has_lengths: bool) -> Self {
        Self {
            prefix: if has_lengths { LENGTH_BYTES } else { 0 },
            ..Self::default()
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of the dictionary page.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Bytes of a value in PLAIN encoding.
    pub(crate) fn plain_bytes(&self, value: &[u8]) -> usize {
        self.prefix + value.len()
    }

    /// A value by its index. Empty if there is none.
    pub(crate) fn value(&self, index: u32) -> &[u8] {
        value(&self.body, &self.entries, self.prefix, index)
    }

    /// All values in the order of their indices.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..).take(self.len()).map(|index| self.value(index))
    }

    /// The index of a value, which is added if it is new. `None` if the page would then exceed `limit` bytes.
    #[inline]
    pub(crate) fn intern(&mut self, new: &[u8], limit: usize) -> Option<u32> {
        // Many columns have the same value in adjacent rows.
        if let Some(last) = self.last
            && self.body.get(last.start..last.end) == Some(new)
        {
            return Some(last.index);
        }
        self.intern_hashed(new, limit)
    }

    fn intern_hashed(&mut self, new: &[u8], limit: usize) -> Option<u32> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(new);
        let [.., a, b, c, d] = hasher.finish().to_le_bytes();
        let hash = u32::from_le_bytes([a, b, c, d]);
        let (body, entries, prefix) = (&mut self.body, &mut self.entries, self.prefix);
        let entry = |index: u32| entries.get(index as usize).copied();
        let slot = self.table.entry(
            slot_hash(hash),
            |&index| {
                entry(index).is_some_and(|entry| entry.hash == hash)
                    && value(body, entries, prefix, index) == new
            },
            |&index| entry(index).map_or(0, DictionaryEntry::slot_hash),
        );
        let index = match slot {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(vacant) => {
                if body.len() + prefix + new.len() > limit {
                    return None;
                }
                let index = u32::try_from(entries.len()).ok()?;
                if index > MAX_NUMBER {
                    return None;
                }
                let end = u32::try_from(body.len() + prefix + new.len()).ok()?;
                reserve(body, prefix + new.len());
                push_plain(new, prefix > 0, body);
                reserve(entries, 1);
                entries.push(DictionaryEntry { end, hash });
                vacant.insert(index);
                index
            }
        };
        let end = entries.get(index as usize)?.end();
        let start = end.checked_sub(new.len())?;
        self.last = Some(LastValue { index, start, end });
        Some(index)
    }

    /// Removes all entries, and returns the content of their page.
    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        self.last = None;
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES);
        self.table.clear();
        self.table.shrink_to(KEPT_ENTRIES, |_| 0);
        let next = Vec::with_capacity(self.body.len().min(KEPT_BYTES));
        std::mem::replace(&mut self.body, next)
    }
}

/// Spreads the half of a hash, so that all bits of the number depend on it: the table takes its lowest and its highest.
fn slot_hash(hash: u32) -> u64 {
    /// The fractional part of the golden ratio.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let spread = u64::from(hash).wrapping_mul(SPREAD);
    spread ^ spread >> u32::BITS
}

/// Makes room for more items. A quarter more each time, and not twice as many: a worker has hundreds of dictionaries.
fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more.max(items.len() / 4));
    }
}

fn value<'b>(body: &'b [u8], entries: &[DictionaryEntry], prefix: usize, index: u32) -> &'b [u8] {
    let index = index as usize;
    let before = index.checked_sub(1).and_then(|before| entries.get(before));
    let start = before.map_or(0, |entry| entry.end()) + prefix;
    let end = entries.get(index).map_or(0, |entry| entry.end());
    body.get(start..end).unwrap_or_default()
}

/// Appends a value in PLAIN encoding.
pub(crate) fn push_plain(value: &[u8], has_length: bool, out: &mut Vec<u8>) {
    if has_length {
        // The format cannot state a longer one. No response is that large.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_values_have_one_index(
            values in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..4), 0..300),
            has_lengths in any::<bool>(),
        ) {
            let mut dictionary = Dictionary::new(has_lengths);
            let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
            let mut body = Vec::new();
            for value in &values {
                let next = u32::try_from(known.len()).unwrap();
                let index = *known.entry(value.clone()).or_insert_with(|| {
                    push_plain(value, has_lengths, &mut body);
                    next
                });
                prop_assert_eq!(dictionary.intern(value, usize::MAX), Some(index));
                prop_assert_eq!(dictionary.value(index), value.as_slice());
            }
            prop_assert_eq!(dictionary.len(), known.len());
            prop_assert_eq!(dictionary.bytes(), body.len());
            prop_assert_eq!(dictionary.take_body(), body);
            prop_assert_eq!(dictionary.len(), 0);
            prop_assert_eq!(dictionary.intern(b"x", usize::MAX), Some(0));
        }
    }

    #[test]
    fn a_full_dictionary_knows_its_values_and_takes_no_others() {
        let mut dictionary = Dictionary::new(true);
        assert_eq!(dictionary.intern(b"abc", 7), Some(0));
        assert_eq!(dictionary.intern(b"", 7), None);
        assert_eq!(dictionary.intern(b"abc", 7), Some(0));
        assert_eq!(dictionary.intern(b"", 11), Some(1));
    }

    #[test]
    fn little_memory_is_kept_for_the_next_chunk() {
        let mut dictionary = Dictionary::new(true);
        for number in 0..50_000_u32 {
            dictionary.intern(&number.to_le_bytes(), usize::MAX);
        }
        drop(dictionary.take_body());
        assert!(dictionary.body.capacity() <= KEPT_BYTES);
        assert!(dictionary.entries.capacity() <= KEPT_ENTRIES);
        assert!(dictionary.table.capacity() <= 2 * KEPT_ENTRIES);
    }
}
