//! Which tables are written.

use crate::tables::table::Table;

/// A set of tables: bit `n` stands for the `n`-th table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableSelection(u32);

impl TableSelection {
    /// No table.
    pub const NONE: Self = Self(0);

    /// Whether a table is selected.
    pub fn contains(self, table: Table) -> bool {
        self.0 & 1 << table as u32 != 0
    }

    /// Whether no table is selected.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

impl FromIterator<Table> for TableSelection {
    fn from_iter<T: IntoIterator<Item = Table>>(tables: T) -> Self {
        let bits = tables.into_iter().map(|table| 1 << table as u32);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}
