//! A set of positions in the list of IDs, one bit each. Depends on nothing.

/// Bits of a word.
const BITS: usize = 64;

/// The set.
#[derive(Debug, Default)]
pub(crate) struct Positions(Vec<u64>);

impl Positions {
    /// Adds a position, or takes it out.
    pub(crate) fn set(&mut self, position: usize, is_in: bool) {
        let (word, bit) = (position / BITS, 1 << (position % BITS));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// Is a position in it?
    pub(crate) fn has(&self, position: usize) -> bool {
        let word = self.0.get(position / BITS).copied().unwrap_or_default();
        word & (1 << (position % BITS)) != 0
    }
}
