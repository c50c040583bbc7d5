//! The list of task IDs, in the order of first appearance. `read` knows the file formats.
//! Depends on nothing of this crate but `json` and `error`.

mod error;
mod read;

use indexmap::IndexSet;

pub use error::IdsError;
pub use read::read_ids;

/// Bytes of an ID at most. IDs are opaque; this only tells them from data that came here by mistake.
pub const MAX_ID_BYTES: usize = 1024;

/// Distinct IDs.
#[derive(Debug, Default)]
pub struct IdList {
    ids: IndexSet<Box<str>>,
    duplicates: u64,
}

/// Why a text cannot be an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoId {
    Empty,
    TooLong,
    Control,
    WhiteSpace,
}

impl std::fmt::Display for NoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong => write!(f, "it is over {MAX_ID_BYTES} bytes long"),
            Self::Control => f.write_str("it has a control character"),
            Self::WhiteSpace => f.write_str("it has white space inside"),
        }
    }
}

/// IDs are never matched against a pattern; only what no request could carry is refused.
pub(crate) fn validate(id: &str) -> Result<(), NoId> {
    if id.is_empty() {
        Err(NoId::Empty)
    } else if id.len() > MAX_ID_BYTES {
        Err(NoId::TooLong)
    } else if id.contains(char::is_whitespace) {
        Err(NoId::WhiteSpace)
    } else if id.contains(char::is_control) {
        Err(NoId::Control)
    } else {
        Ok(())
    }
}

impl IdList {
    /// Adds a valid ID, or counts it as a duplicate.
    pub(crate) fn add(&mut self, id: &str) {
        if self.ids.contains(id) {
            self.duplicates += 1;
        } else {
            self.ids.insert(id.into());
        }
    }

    /// Distinct IDs.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Not a single one?
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How often an ID came again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The ID at a position.
    pub fn get(&self, position: usize) -> Option<&str> {
        self.ids.get_index(position).map(AsRef::as_ref)
    }

    /// The position of an ID.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.ids.get_index_of(id)
    }

    /// All IDs in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(AsRef::as_ref)
    }

    /// All IDs in order, one a line.
    pub fn to_lines(&self) -> String {
        self.iter().flat_map(|id| [id, "\n"]).collect()
    }
}
