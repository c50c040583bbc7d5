//! From batches to published files.
//!
//! Files are written under temporary names, hashed on the way, synced, and renamed all together, the
//! manifest last. Depends on `tables` for schemas; the only place that names `parquet`.

mod csv;
mod directory;
mod error;
mod load_sql;
mod manifest;
mod parquet;
mod staging;
mod writer;

pub(crate) use directory::state_file_options;
pub use directory::{Lock, OutputDirectory, STATE_DIRECTORY, is_published_name};
pub use error::OutputError;
pub use load_sql::load_sql;
pub use manifest::{
    FileEntry, Ids, Manifest, ManifestOptions, RunCounters, TableFile, TableFiles, Tool, is_inside,
};
pub use staging::{Published, Staging};
pub use writer::{Format, TableWriters, encode};

/// The distinct IDs in their order, in the output directory.
pub const IDS: &str = ".scale-export/ids.txt";
/// The failed IDs, in the output directory.
pub const FAILURES: &str = "failures.jsonl";
/// The views, in the output directory.
pub const LOAD_SQL: &str = load_sql::FILE_NAME;
/// What was published, in the output directory.
pub const MANIFEST: &str = manifest::FILE_NAME;
