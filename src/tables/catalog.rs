//! What the definition of the tables says of each: by the table, by its name, and of a selection.

use crate::tables::change_feed::CHANGES;
use crate::tables::definition::TABLES;
use crate::tables::selection::TableSelection;
use crate::tables::table::{Table, TableInfo};

// A bit for each table, and `Table` lists the tables in the order of `TABLES`.
const _: () = {
    assert!(TABLES.len() <= u32::BITS as usize);
    let mut place = 0;
    while place < TABLES.len() {
        assert!(TABLES[place].table as usize == place);
        place += 1;
    }
};

impl Table {
    /// What is known of the table without any rows.
    pub fn info(self) -> &'static TableInfo {
        match self {
            Self::Tasks => const { &TABLES[Self::Tasks as usize] },
            Self::Threads => const { &TABLES[Self::Threads as usize] },
            Self::Submissions => const { &TABLES[Self::Submissions as usize] },
            Self::Turns => const { &TABLES[Self::Turns as usize] },
            Self::Messages => const { &TABLES[Self::Messages as usize] },
            Self::Chunks => const { &TABLES[Self::Chunks as usize] },
            Self::ReferenceTexts => const { &TABLES[Self::ReferenceTexts as usize] },
            Self::Reasoning => const { &TABLES[Self::Reasoning as usize] },
            Self::Attachments => const { &TABLES[Self::Attachments as usize] },
            Self::Annotations => const { &TABLES[Self::Annotations as usize] },
            Self::Rubrics => const { &TABLES[Self::Rubrics as usize] },
            Self::RubricCriteria => const { &TABLES[Self::RubricCriteria as usize] },
            Self::RubricEvaluations => const { &TABLES[Self::RubricEvaluations as usize] },
            Self::CriterionEvaluations => const { &TABLES[Self::CriterionEvaluations as usize] },
            Self::Errors => const { &TABLES[Self::Errors as usize] },
            Self::SensitiveContentReports => {
                const { &TABLES[Self::SensitiveContentReports as usize] }
            }
            Self::Projects => const { &TABLES[Self::Projects as usize] },
            Self::Batches => const { &TABLES[Self::Batches as usize] },
            Self::Changes => &CHANGES,
        }
    }

    /// Its name, also that of its file.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The table of an export with this name.
    pub fn find(name: &str) -> Option<Self> {
        let mut tables = TABLES.iter();
        tables.find(|info| info.name == name).map(|info| info.table)
    }
}

impl TableSelection {
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
