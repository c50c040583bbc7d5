//! The jobs behind the commands: export, flatten, verify, dry run. A job takes options and returns a report.

pub mod batch_channel;
pub mod compaction;
pub mod dry_run;
pub mod error;
pub mod export;
pub mod export_options;
pub mod import;
pub mod journal_index;
pub mod journal_writer;
pub mod last_run;
pub mod limits;
pub mod list_tasks;
pub mod ordered_reader;
pub mod pipeline;
pub mod publication;
pub mod read_ahead;
pub mod reflatten;
pub mod report;
pub mod response_cache;
pub mod resume;
pub mod runtime;
pub mod table_builder;
pub mod task_input;
pub mod unlisted;
pub mod verify;
