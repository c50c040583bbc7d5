//! Rebuilds the JSON of tasks from rows. Pure. Shares only `tables` and `json` with `flatten`: they agree on the rules
//! of `docs/tables.md`, not on code.

pub mod rebuilder;
pub mod row_cursor;
pub mod task_shape;
pub mod value;
