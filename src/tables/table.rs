//! What a table is, apart from its rows.

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::row_key::RowKind;

/// The version of the tables. Adding a column raises the minor version; changing or removing one raises the major
/// version.
pub const SCHEMA_VERSION: &str = "2.0.0";

/// A table. The tables are in the order of their documentation.
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
    /// Not part of an export: the tasks that differ between two publications.
    Changes,
}

/// The definition of a table.
#[derive(Debug, Clone, Copy)]
pub struct TableInfo {
    /// The table.
    pub table: Table,
    /// The name of the table and, without an extension, of its file.
    pub name: &'static str,
    /// The published description: what one row is.
    pub doc: &'static str,
    /// What a row stands for, which decides the columns that the table begins with.
    pub row_kind: RowKind,
    /// The table's own columns: without the common columns before them and `extra` after them.
    pub own_columns: &'static [ColumnInfo],
}

/// The last column of every table of an export.
pub const EXTRA: ColumnInfo = ColumnInfo {
    name: "extra",
    column_type: ColumnType::Json,
    required: false,
    doc: "Keys without a column and values that do not have their column's type, as a JSON object; null if there are none",
};

impl TableInfo {
    /// All columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &'static ColumnInfo> + use<> {
        let extra = (self.row_kind != RowKind::Change).then_some(&EXTRA);
        self.row_kind
            .columns()
            .iter()
            .chain(self.own_columns)
            .chain(extra)
    }

    /// The columns that identify a row; none where the same row may occur twice.
    pub fn primary_key(&self) -> &'static [&'static str] {
        match self.row_kind {
            RowKind::Task | RowKind::Change => &["task_id"],
            RowKind::Part(_) => &["task_id", "path"],
            RowKind::Entity => &[],
        }
    }

    /// The position of a column among [`columns`](Self::columns).
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns().position(|known| known.name == column)
    }
}
