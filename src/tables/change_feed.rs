//! The table of a change feed: the tasks that differ between two publications of an export.

use arrow::array::ArrayRef;

use crate::json::text::Text;
use crate::tables::batch_builder::TableColumns;
use crate::tables::column::{ColumnBuffer, ColumnInfo, Optional, Required, Str, UniqueStr};
use crate::tables::row_key::RowKind;
use crate::tables::table::{Table, TableInfo};

/// Its definition.
pub const CHANGES: TableInfo = TableInfo {
    table: Table::Changes,
    name: "changes",
    doc: "One row for each task that was inserted, updated or deleted between two publications of an export",
    row_kind: RowKind::Change,
    own_columns: &[
        ColumnInfo {
            name: "task_id",
            column_type: <Required<UniqueStr> as ColumnBuffer>::TYPE,
            required: <Required<UniqueStr> as ColumnBuffer>::REQUIRED,
            doc: "The task's ID",
        },
        ColumnInfo {
            name: "change",
            column_type: <Required<Str> as ColumnBuffer>::TYPE,
            required: <Required<Str> as ColumnBuffer>::REQUIRED,
            doc: "`insert`, `update` or `delete`",
        },
        ColumnInfo {
            name: "previous_sha256",
            column_type: <Optional<UniqueStr> as ColumnBuffer>::TYPE,
            required: <Optional<UniqueStr> as ColumnBuffer>::REQUIRED,
            doc: "SHA-256 of the task's response in the publication before, in lower-case hexadecimal; null for an insert",
        },
        ColumnInfo {
            name: "sha256",
            column_type: <Optional<UniqueStr> as ColumnBuffer>::TYPE,
            required: <Optional<UniqueStr> as ColumnBuffer>::REQUIRED,
            doc: "SHA-256 of the task's response in the new publication; null for a delete",
        },
    ],
};

/// A row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangeRow<'a> {
    pub(crate) task_id: &'a str,
    pub(crate) change: &'a str,
    pub(crate) previous_sha256: Option<&'a str>,
    pub(crate) sha256: Option<&'a str>,
}

/// Its columns while rows are appended.
#[derive(Debug, Default)]
pub(crate) struct ChangeColumns {
    task_id: Required<UniqueStr>,
    change: Required<Str>,
    previous_sha256: Optional<UniqueStr>,
    sha256: Optional<UniqueStr>,
}

impl TableColumns for ChangeColumns {
    type Row<'a> = ChangeRow<'a>;

    fn append(&mut self, row: &Self::Row<'_>) -> usize {
        self.task_id.append(Text::plain(row.task_id))
            + self.change.append(Text::plain(row.change))
            + self
                .previous_sha256
                .append(row.previous_sha256.map(Text::plain))
            + self.sha256.append(row.sha256.map(Text::plain))
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            self.task_id.finish(),
            self.change.finish(),
            self.previous_sha256.finish(),
            self.sha256.finish(),
        ]
    }
}
