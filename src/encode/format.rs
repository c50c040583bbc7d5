//! The file format of tables, and the selection of tables.

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
    /// The extension of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }

    /// The name of a table's file.
    pub fn file_name(self, table: &str) -> String {
        format!("{table}.{}", self.extension())
    }
}

/// The tables that are written, and their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// File format.
    pub format: Format,
    /// The tables.
    pub tables: TableSelection,
}

impl Selection {
    /// File names of the selected tables.
    pub fn file_names(self) -> impl Iterator<Item = String> {
        let tables = self.tables.tables();
        tables.map(move |table| self.format.file_name(table.name))
    }
}
