//! From batches to published files.
//!
//! Files are written under temporary names, hashed on the way, synced, and renamed all together, the
//! manifest last. Depends on `tables` for schemas; the only place that names `parquet`.

mod csv;
mod directory;
mod error;
mod export_readme;
mod load_sql;
mod lock;
mod longest_record;
mod manifest;
mod parquet;
mod publication;
mod queries;
mod staging;
mod writer;

pub use csv::needs_quotes;
pub use directory::{OutputDirectory, STATE_DIRECTORY, has_sha256, is_published_name};
pub use error::OutputError;
pub use export_readme::export_readme;
pub use load_sql::{Views, load_sql};
pub use lock::Lock;
pub use longest_record::{LongestRecord, longest_record};
pub(crate) use manifest::MAX_MANIFEST_BYTES;
pub use manifest::{
    ENCODING_VERSION, FileEntry, Ids, Manifest, ManifestOptions, RunCounters, TableFile,
    TableFiles, Tool, is_inside,
};
pub use publication::{Recovered, is_pending};
use staging::remove_temporary_files;
pub use staging::{Published, Staging};
pub use writer::{Format, Selection, TableWriters, WrittenTable, encode};

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
