//! A list of distinct task IDs, and which texts are valid IDs.

use std::hash::BuildHasher as _;
use std::ops::Range;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// The default name of the column of IDs.
pub const DEFAULT_COLUMN: &str = "task_id";

/// The longest ID in bytes. IDs are opaque; the limit only distinguishes them from other data.
pub const MAX_ID_BYTES: usize = 1024;

/// The most IDs and bytes that memory is reserved for: a file of something else can be huge.
const MAX_RESERVED: (usize, usize) = (4 << 20, 128 << 20);

/// Bytes of IDs that are hashed or written together.
const PIECE_BYTES: usize = 64 << 10;

/// Distinct IDs in order of first appearance. They are in a few flat allocations: a million IDs cost about 20 MB in
/// addition to their text.
#[derive(Debug, Default, Clone)]
pub struct TaskIds {
    /// All IDs, one after the other.
    text: String,
    /// The end of each ID in `text`.
    ends: Vec<usize>,
    /// Positions in `ends`, by the hash of the ID.
    positions: HashTable<u32>,
    hasher: DefaultHashBuilder,
    duplicates: u64,
}

/// Where [`TaskIds::insert`] put an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsertedId {
    /// The position of the ID in the list.
    pub position: usize,
    /// Whether the ID was not in the list before.
    pub is_new: bool,
}

/// Why a text is not a valid ID.
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
            Self::Control => f.write_str("it contains a control character"),
            Self::WhiteSpace => f.write_str("it contains white space"),
            Self::TooMany => write!(f, "the list already has {} IDs", u32::MAX),
        }
    }
}

impl std::error::Error for InvalidId {}

/// Refuses only texts that no request could carry. IDs are opaque, so they are not matched against a pattern.
pub(crate) fn validate(id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        Err(InvalidId::Empty)
    } else if id.len() > MAX_ID_BYTES {
        Err(InvalidId::TooLong)
    } else if id.bytes().all(|byte| byte.is_ascii_graphic()) {
        // Nearly every ID. The checks below decode each character.
        Ok(())
    } else if id.contains(char::is_whitespace) {
        Err(InvalidId::WhiteSpace)
    } else if id.contains(char::is_control) {
        Err(InvalidId::Control)
    } else {
        Ok(())
    }
}

/// Whether a text is not a valid ID.
pub(crate) fn is_invalid(id: &str) -> bool {
    validate(id).is_err()
}

impl TaskIds {
    /// Adds an ID at the end unless it is in the list, and returns its position. An ID that is in the list already
    /// counts as a duplicate.
    pub fn insert(&mut self, id: &str) -> Result<InsertedId, InvalidId> {
        validate(id)?;
        let Self {
            text,
            ends,
            positions,
            hasher,
            ..
        } = self;
        // The table has positions only, so it hashes and compares the texts that they stand for.
        let entry = positions.entry(
            hasher.hash_one(id),
            |&position| nth(text, ends, position as usize) == Some(id),
            hash_of(text, ends, hasher),
        );
        let position = match entry {
            Entry::Occupied(entry) => {
                self.duplicates += 1;
                return Ok(InsertedId {
                    position: *entry.get() as usize,
                    is_new: false,
                });
            }
            Entry::Vacant(entry) => {
                // A position takes four bytes in the table and not eight.
                let position = u32::try_from(ends.len()).map_err(|_| InvalidId::TooMany)?;
                entry.insert(position);
                position
            }
        };
        self.text.push_str(id);
        self.ends.push(self.text.len());
        Ok(InsertedId {
            position: position as usize,
            is_new: true,
        })
    }

    /// The list of these IDs, without repetitions.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] for the first text that is not a valid ID.
    pub fn collect<I: AsRef<str>>(ids: impl IntoIterator<Item = I>) -> Result<Self, InvalidId> {
        let mut list = Self::default();
        for id in ids {
            list.insert(id.as_ref())?;
        }
        Ok(list)
    }

    /// The IDs at these positions. The repeated lines of the whole list still count.
    pub(crate) fn part(&self, positions: Range<usize>) -> Self {
        let mut part = Self {
            duplicates: self.duplicates,
            ..Self::default()
        };
        for id in positions.filter_map(|position| self.get(position)) {
            // Each is valid, and in the list once.
            let _ = part.insert(id);
        }
        part.shrink();
        part
    }

    /// Counts no ID as a duplicate that was inserted again before.
    pub(crate) fn forget_duplicates(&mut self) {
        self.duplicates = 0;
    }

    /// Reserves memory for more IDs, and for their text in bytes. Growing the table of positions would hash all IDs again.
    pub(crate) fn reserve(&mut self, count: usize, bytes: usize) {
        let (most, most_bytes) = MAX_RESERVED;
        let (count, bytes) = (count.min(most), bytes.min(most_bytes));
        let Self {
            text,
            ends,
            positions,
            hasher,
            ..
        } = self;
        text.reserve(bytes);
        ends.reserve(count);
        positions.reserve(count, hash_of(text, ends, hasher));
    }

    /// Frees the memory that is reserved for more IDs.
    pub(crate) fn shrink(&mut self) {
        // The table of positions is not shrunk: that would hash all IDs again.
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// The number of distinct IDs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the list has no IDs.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many IDs were inserted again.
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

    /// All IDs in order, one per line, as an export publishes them. They come in pieces, since a million of them as one
    /// text would need as much memory again.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let mut ids = self.iter().peekable();
        std::iter::from_fn(move || {
            ids.peek()?;
            let mut piece = String::with_capacity(PIECE_BYTES + MAX_ID_BYTES);
            while piece.len() < PIECE_BYTES
                && let Some(id) = ids.next()
            {
                piece.push_str(id);
                piece.push('\n');
            }
            Some(piece)
        })
    }
}

/// The hash of the ID at a position.
fn hash_of<'a>(
    text: &'a str,
    ends: &'a [usize],
    hasher: &'a DefaultHashBuilder,
) -> impl Fn(&u32) -> u64 + 'a {
    |&position| hasher.hash_one(nth(text, ends, position as usize).unwrap_or_default())
}

fn nth<'a>(text: &'a str, ends: &[usize], position: usize) -> Option<&'a str> {
    let end = *ends.get(position)?;
    let start = match position.checked_sub(1) {
        Some(previous) => *ends.get(previous)?,
        None => 0,
    };
    text.get(start..end)
}
