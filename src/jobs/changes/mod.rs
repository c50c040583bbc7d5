//! The changes job: the tasks that a publication inserted, updated and deleted.

pub mod change_report;
pub mod changed_tasks;
pub mod error;
pub mod feed_directory;
pub mod feed_writer;
pub mod list_changes;
pub mod publication_pair;
