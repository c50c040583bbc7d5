//! The file format of the tables, and which tables are written.

use serde::{Deserialize, Serialize};

use crate::tables::selection::TableSelection;

/// File format of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// RFC 4180.
    Csv,
}

impl Format {
    /// Ending of the file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }

    /// The file of a table.
    pub fn file_name(self, table: &str) -> String {
        format!("{table}.{}", self.extension())
    }
}

/// Which tables are written, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// File format.
    pub format: Format,
    /// The tables.
    pub tables: TableSelection,
}

impl Selection {
    /// Names of the selected tables' files.
    pub fn file_names(self) -> impl Iterator<Item = String> {
        let tables = self.tables.tables();
        tables.map(move |table| self.format.file_name(table.name))
    }
}
