//! Imports raw responses from exports and files.

pub mod import_batch;
pub mod import_job;
pub mod journal_appender;
pub mod journal_source;
pub mod ordered_workers;
pub mod shared_import;
pub mod source_reader;
