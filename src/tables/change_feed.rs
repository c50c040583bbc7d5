//! The table of a change feed: the tasks that differ between two publications of an export.

use crate::json::text::Text;
use crate::tables::cell::Cell;
use crate::tables::column::{ColumnInfo, ColumnValue, Optional, Required, Str, UniqueStr};
use crate::tables::row_key::RowKind;
use crate::tables::row_sink::{RowSink, SinkError, TableRow};
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
            column_type: <Required<UniqueStr> as ColumnValue>::TYPE,
            required: <Required<UniqueStr> as ColumnValue>::REQUIRED,
            doc: "The task's ID",
        },
        ColumnInfo {
            name: "change",
            column_type: <Required<Str> as ColumnValue>::TYPE,
            required: <Required<Str> as ColumnValue>::REQUIRED,
            doc: "`insert`, `update` or `delete`",
        },
        ColumnInfo {
            name: "previous_sha256",
            column_type: <Optional<UniqueStr> as ColumnValue>::TYPE,
            required: <Optional<UniqueStr> as ColumnValue>::REQUIRED,
            doc: "SHA-256 of the task's response in the publication before, in lower-case hexadecimal; null for an insert",
        },
        ColumnInfo {
            name: "sha256",
            column_type: <Optional<UniqueStr> as ColumnValue>::TYPE,
            required: <Optional<UniqueStr> as ColumnValue>::REQUIRED,
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

impl TableRow for ChangeRow<'_> {
    const TABLE: Table = Table::Changes;

    fn pass_to(&self, sink: &mut dyn RowSink) -> Result<(), SinkError> {
        let text = |text| Cell::Text(Text::plain(text));
        sink.row(
            &CHANGES,
            &[
                Some(text(self.task_id)),
                Some(text(self.change)),
                self.previous_sha256.map(text),
                self.sha256.map(text),
            ],
        )
    }
}
