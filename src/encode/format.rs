//! The file format of the tables, and which tables are written.

use serde::{Deserialize, Serialize};

use crate::tables::definition::TABLES;
use crate::tables::table::TableInfo;

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
#[derive(Debug, Clone, Copy)]
pub struct Selection<'o> {
    /// File format.
    pub format: Format,
    /// Names of the tables to write; all when empty.
    pub names: &'o [String],
}

impl<'o> Selection<'o> {
    /// Whether this table is to be written.
    pub fn wants(self, table: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == table)
    }

    /// The tables to write, in the order of their documentation.
    pub fn tables(self) -> impl Iterator<Item = &'static TableInfo> + use<'o> {
        TABLES.iter().filter(move |table| self.wants(table.name))
    }
}
