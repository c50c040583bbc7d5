//! Rows to a task's JSON. Pure; shares only `tables` and `json` with `flatten`.

pub mod rebuilder;
pub mod row_cursor;
pub mod task_shape;
pub mod value;
