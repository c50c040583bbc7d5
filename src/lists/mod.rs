//! List endpoints: page cursor, planner, prefetch, comparison with single requests.

pub mod anomalies;
pub mod compare;
pub mod comparison;
pub mod dry_run_probe;
pub mod estimate;
pub mod list_all;
pub mod list_planner;
pub mod list_prefetch;
pub mod page_cursor;
pub mod page_fetch;
