//! Selects the rows of some tasks from a batch.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use crate::tables::row_reader::Rows;

/// The column of every table with parts of tasks, and of `tasks`, that has the ID of the task.
const TASK_ID: usize = 0;

/// The rows whose task is one of those that `is_wanted` accepts, in their order.
pub(crate) fn rows_of_tasks(
    rows: &Rows,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<RecordBatch, ArrowError> {
    let mut last: Option<(&str, bool)> = None;
    let wanted = (0..rows.len()).map(|row| {
        let task_id = rows.text(TASK_ID, row).unwrap_or_default();
        // The rows of a task are next to each other.
        let is_wanted = match last {
            Some((known, is_wanted)) if known == task_id => is_wanted,
            _ => is_wanted(task_id),
        };
        last = Some((task_id, is_wanted));
        Some(is_wanted)
    });
    filter_record_batch(rows.batch(), &wanted.collect::<BooleanArray>())
}
