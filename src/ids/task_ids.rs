//! The list of task IDs, in the order of first appearance, and its readers: `read` opens a list, and one file for
//! each format reads it.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The column of a list that holds the IDs, unless another one is named.
pub const DEFAULT_COLUMN: &str = "task_id";

/// Bytes of an ID at most. IDs are opaque; this only tells them from data that came here by mistake.
pub const MAX_ID_BYTES: usize = 1024;

/// Distinct IDs, in a few flat allocations: a million of them cost some 20 MB beyond their text.
#[derive(Debug, Default, Clone)]
pub struct IdList {
    /// All IDs, one after the other.
    text: String,
    /// Where each ends in `text`.
    ends: Vec<usize>,
    /// Positions in `ends`, by the hash of the ID.
    positions: HashTable<u32>,
    hasher: DefaultHashBuilder,
    duplicates: u64,
}

/// Why a text cannot be used as an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidId {
    /// It has no characters.
    Empty,
    /// It has more than [`MAX_ID_BYTES`].
    TooLong,
    /// It contains a control character.
    Control,
    /// It contains white space.
    WhiteSpace,
    /// The list is full.
    TooMany,
}

impl std::fmt::Display for InvalidId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it is over {MAX_ID_BYTES} bytes long"),
            Self::Control => f.write_str("it has a control character"),
            Self::WhiteSpace => f.write_str("it has white space inside"),
            Self::TooMany => write!(f, "there are over {} IDs before it", u32::MAX),
        }
    }
}

/// IDs are never matched against a pattern; only what no request could carry is refused.
pub(crate) fn validate(id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        Err(InvalidId::Empty)
    } else if id.len() > MAX_ID_BYTES {
        Err(InvalidId::TooLong)
    } else if id.contains(char::is_whitespace) {
        Err(InvalidId::WhiteSpace)
    } else if id.contains(char::is_control) {
        Err(InvalidId::Control)
    } else {
        Ok(())
    }
}

/// Whether a text cannot be used as an ID.
pub(crate) fn is_invalid(id: &str) -> bool {
    validate(id).is_err()
}

impl IdList {
    /// Adds an ID, or counts it as a duplicate.
    pub(crate) fn add(&mut self, id: &str) -> Result<(), InvalidId> {
        validate(id)?;
        if self.position(id).is_some() {
            self.duplicates += 1;
            return Ok(());
        }
        let position = u32::try_from(self.ends.len()).map_err(|_| InvalidId::TooMany)?;
        self.text.push_str(id);
        self.ends.push(self.text.len());
        let Self {
            text,
            ends,
            positions,
            hasher,
            ..
        } = self;
        positions.insert_unique(hasher.hash_one(id), position, |&other| {
            hasher.hash_one(nth(text, ends, other as usize).unwrap_or_default())
        });
        Ok(())
    }

    /// Gives back the memory that only a growing list needs.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Distinct IDs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Not a single one?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How often an ID came again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The ID at a position.
    pub fn get(&self, position: usize) -> Option<&str> {
        nth(&self.text, &self.ends, position)
    }

    /// The position of an ID.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions
            .find(self.hasher.hash_one(id), |&position| {
                self.get(position as usize) == Some(id)
            })
            .map(|&position| position as usize)
    }

    /// All IDs in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// All IDs in order, one a line, as this tool publishes them; in pieces: a million of them would take as much
    /// memory again as one text.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.iter().flat_map(|id| [id, "\n"])
    }
}

fn nth<'a>(text: &'a str, ends: &[usize], position: usize) -> Option<&'a str> {
    let end = *ends.get(position)?;
    let start = match position.checked_sub(1) {
        Some(previous) => *ends.get(previous)?,
        None => 0,
    };
    text.get(start..end)
}
