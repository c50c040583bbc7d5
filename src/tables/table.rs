//! The tables: one definition of every column, and everything that follows from it.
//!
//! [`definition`] lists the tables; from it come the row types, the Arrow schema, the CSV header,
//! `schemas/*.json`, `load.sql` and the documentation. Depends on `json` for borrowed values and on
//! `arrow` for arrays.

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::row_key::RowKind;

/// Version of the table contract: a column added is a minor step, a change or removal a major one.
pub const SCHEMA_VERSION: &str = "2.0.0";

/// A table, in the order of their documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`TableInfo::doc` describes each")]
pub enum Table {
    Tasks,
    Threads,
    Submissions,
    Turns,
    Messages,
    Chunks,
    ReferenceTexts,
    Reasoning,
    Attachments,
    Annotations,
    Rubrics,
    RubricCriteria,
    RubricEvaluations,
    CriterionEvaluations,
    Errors,
    SensitiveContentReports,
    Projects,
    Batches,
}

/// What is known of a table without any rows.
#[derive(Debug, Clone, Copy)]
pub struct TableInfo {
    /// The table.
    pub table: Table,
    /// Its name, also that of its file.
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    /// What a row stands for, which decides the columns that the table begins with.
    pub row_kind: RowKind,
    /// The table's own columns: without the common columns before them and `extra` after them.
    pub own_columns: &'static [ColumnInfo],
}

/// The column that ends every table.
pub const EXTRA: ColumnInfo = ColumnInfo {
    name: "extra",
    column_type: ColumnType::Json,
    required: false,
    doc: "What has no column or does not fit its column: a JSON object, or null",
};

impl TableInfo {
    /// All columns in their order.
    pub fn columns(&self) -> impl Iterator<Item = &'static ColumnInfo> + use<> {
        self.row_kind
            .columns()
            .iter()
            .chain(self.own_columns)
            .chain(std::iter::once(&EXTRA))
    }

    /// The columns that tell its rows apart; none where the same row may stand twice.
    pub fn primary_key(&self) -> &'static [&'static str] {
        match self.row_kind {
            RowKind::Task => &["task_id"],
            RowKind::Part(_) => &["task_id", "path"],
            RowKind::Entity => &[],
        }
    }

    /// The position of a column among [`columns`](Self::columns).
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns().position(|known| known.name == column)
    }
}
