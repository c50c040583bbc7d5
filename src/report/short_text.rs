//! Texts as keys of statistics: of a long one, the start and a checksum.

use sha2::{Digest as _, Sha256};

/// Bytes of a text that are kept. The page shows fewer characters.
const KEPT_BYTES: usize = 240;

/// Bytes of the checksum of a longer text.
const DIGEST_BYTES: usize = 16;

/// A text that takes bounded memory. Two texts are equal here only if they are equal as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText {
    start: String,
    /// Checksum of the whole text; empty if `start` is the whole text.
    digest: Vec<u8>,
}

impl ShortText {
    /// The key of a text.
    pub fn of(text: &str) -> Self {
        if text.len() <= KEPT_BYTES {
            return Self {
                start: text.to_owned(),
                digest: Vec::new(),
            };
        }
        let end = text.floor_char_boundary(KEPT_BYTES);
        let digest = Sha256::digest(text);
        Self {
            start: text.get(..end).unwrap_or_default().to_owned(),
            digest: digest.into_iter().take(DIGEST_BYTES).collect(),
        }
    }

    /// The start of the text.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// Whether the text has more than its start.
    pub fn is_cut(&self) -> bool {
        !self.digest.is_empty()
    }

    /// A checksum of the key, which does not depend on the machine.
    pub fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.start.as_bytes());
        hasher.update(&self.digest);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_with_the_same_start_differ() {
        let start = "é".repeat(KEPT_BYTES);
        let [one, other] = ["a", "b"].map(|end| ShortText::of(&format!("{start}{end}")));
        assert_ne!(one, other);
        assert_eq!(one.start(), other.start());
        assert!(one.is_cut() && !ShortText::of("short").is_cut());
        assert_eq!(one, ShortText::of(&format!("{start}a")));
    }
}
