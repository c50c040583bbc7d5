//! Pages and statistics as the encoder of a column passes them on: not compressed, and independent of any file.

use parquet::basic::BoundaryOrder;

use crate::encode::parquet::write::value_range::ValueRange;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageContent {
    /// The distinct values of the column chunk.
    Dictionary,
    /// Indices of the dictionary.
    Indices,
    /// Values.
    Plain,
}

/// The most definition levels that a column has: null, empty list, value.
const DEFINITION_LEVELS: usize = 3;

/// The most repetition levels that a column has: first element of a row, further element.
const REPETITION_LEVELS: usize = 2;

/// The counts of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PageCounts {
    pub(crate) rows: usize,
    /// Values as Parquet counts them: with nulls and empty lists. The entries of a dictionary.
    pub(crate) values: usize,
    /// Nulls as Parquet counts them: with empty lists.
    pub(crate) nulls: usize,
    /// Bytes of texts, without their lengths.
    pub(crate) text_bytes: usize,
    /// The values of each definition level.
    pub(crate) definition: [usize; DEFINITION_LEVELS],
    /// The values of each repetition level.
    pub(crate) repetition: [usize; REPETITION_LEVELS],
}

impl PageCounts {
    /// Adds the counts of another page.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.values += other.values;
        self.nulls += other.nulls;
        self.text_bytes += other.text_bytes;
        let levels = self.definition.iter_mut().chain(&mut self.repetition);
        let others = other.definition.iter().chain(&other.repetition);
        for (level, other) in levels.zip(others) {
            *level += other;
        }
    }
}

/// A page before compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPage {
    pub(crate) content: PageContent,
    /// Levels and values, as the format defines them for a page of version 1.
    pub(crate) body: Vec<u8>,
    pub(crate) counts: PageCounts,
    /// The range of the values, for columns whose pages have bounds. `None` for a page of nulls.
    pub(crate) range: Option<ValueRange>,
}

/// What the encoder of a column chunk knows after its last row.
#[derive(Debug)]
pub(crate) struct ChunkEnd {
    /// The remaining pages.
    pub(crate) pages: Vec<RawPage>,
    /// The range of all values. `None` if all are null.
    pub(crate) range: Option<ValueRange>,
    /// The order of the pages' bounds, where they have bounds.
    pub(crate) boundary_order: BoundaryOrder,
}
