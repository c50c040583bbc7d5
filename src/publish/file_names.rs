//! From batches to published files.
//!
//! Files are written under temporary names, hashed on the way, synced, and renamed all together, the
//! manifest last. Depends on `tables` for schemas; the only place that names `parquet`.

use crate::publish::{export_readme, load_sql, manifest};

/// The table with a row for each exported task.
pub const TASKS: &str = "tasks";
/// The distinct IDs in their order, in the output directory.
pub const IDS: &str = ".scale-export/ids.txt";
/// The raw responses, in the output directory.
pub const JOURNAL: &str = ".scale-export/journal";
/// How the last run ended, published or not, in the output directory.
pub const LAST_RUN: &str = ".scale-export/last_run.json";
/// The failures that the last run knew of, in the output directory.
pub const LAST_FAILURES: &str = ".scale-export/last_failures.jsonl";
/// The failed IDs, in the output directory.
pub const FAILURES: &str = "failures.jsonl";
/// The views, in the output directory.
pub const LOAD_SQL: &str = load_sql::FILE_NAME;
/// What the export is and how to load it, in the output directory.
pub const README: &str = export_readme::FILE_NAME;
/// What was published, in the output directory.
pub const MANIFEST: &str = manifest::FILE_NAME;
