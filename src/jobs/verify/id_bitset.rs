//! A set of positions in the list of IDs, with one bit for each.

/// Bits of a word.
const BITS: usize = 64;

/// A set of positions.
#[derive(Debug, Default)]
pub(crate) struct IdBitset(Vec<u64>);

impl IdBitset {
    /// Adds a position, or removes it.
    pub(crate) fn set(&mut self, position: usize, is_in: bool) {
        let (word, bit) = (position / BITS, 1 << (position % BITS));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// Whether the set has a position.
    pub(crate) fn has(&self, position: usize) -> bool {
        let word = self.0.get(position / BITS).copied().unwrap_or_default();
        word & (1 << (position % BITS)) != 0
    }
}
