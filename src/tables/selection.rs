//! Which tables are written.

use crate::tables::definition::TABLES;
use crate::tables::table::{Table, TableInfo};

/// A set of tables: bit `n` stands for the `n`-th table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableSelection(u32);

// A bit for each table, and `Table` lists the tables in the order of `TABLES`.
const _: () = {
    assert!(TABLES.len() <= u32::BITS as usize);
    let mut place = 0;
    while place < TABLES.len() {
        assert!(TABLES[place].table as usize == place);
        place += 1;
    }
};

impl TableSelection {
    /// No table.
    pub const NONE: Self = Self(0);

    /// All tables.
    pub fn all() -> Self {
        TABLES.iter().map(|info| info.table).collect()
    }

    /// The tables of these names; names of no table are left out. No names at all select every table.
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names = names.into_iter().peekable();
        if names.peek().is_none() {
            return Self::all();
        }
        let tables = names.filter_map(Table::find);
        tables.collect()
    }

    /// Whether a table is selected.
    pub fn contains(self, table: Table) -> bool {
        self.0 & 1 << table as u32 != 0
    }

    /// Whether no table is selected.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The selected tables, in the order of their documentation.
    pub fn tables(self) -> impl Iterator<Item = &'static TableInfo> {
        TABLES.iter().filter(move |info| self.contains(info.table))
    }

    /// Names of the selected tables as options and the manifest have them: none when all are selected.
    pub fn names(self) -> Vec<String> {
        if self == Self::all() {
            return Vec::new();
        }
        self.tables().map(|info| info.name.to_owned()).collect()
    }
}

impl FromIterator<Table> for TableSelection {
    fn from_iter<T: IntoIterator<Item = Table>>(tables: T) -> Self {
        let bits = tables.into_iter().map(|table| 1 << table as u32);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_tables_whatever_their_order() {
        let one = TableSelection::of_names(["messages", "tasks", "messages"]);
        assert_eq!(one, TableSelection::of_names(["tasks", "messages"]));
        assert_eq!(one.names(), ["tasks", "messages"]);
        assert!(one.contains(Table::Tasks) && !one.contains(Table::Errors));
        assert_eq!(TableSelection::of_names([]), TableSelection::all());
        assert!(TableSelection::all().names().is_empty());
        assert!(TableSelection::of_names(["no such table"]).is_empty());
        assert_eq!(TableSelection::all().tables().count(), TABLES.len());
    }
}
