//! The status job: what an export holds and how its last run ended, offline and without its lock.

pub mod error;
pub mod export_status;
pub mod published_counts;
pub mod report;
pub mod saved_counts;
