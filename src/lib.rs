//! Exports Scale annotation tasks as normalized Parquet or CSV tables.
//!
//! The command line is one user of this library. Another program builds [`ExportOptions`], and calls [`export`], which
//! blocks until the export is published:
//!
//! ```no_run
//! use scale_export::{CancellationToken, Events, ExportOptions, JobEnd, TaskIds, export};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ExportOptions::builder("export")
//!     .ids(TaskIds::collect(["task_1", "task_2"])?)
//!     .build()?; // reads the key from SCALE_API_KEY
//! match export(&options, &Events::none(), &CancellationToken::new())? {
//!     JobEnd::Done(report) => println!("{} tasks exported, {} failed", report.exported, report.failed),
//!     JobEnd::Stopped(_) => println!("stopped"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`flatten`] rebuilds the tables from the responses that an export has kept, [`verify`] checks an export, and
//! [`html_report`] describes it. [`list_changes`] compares publications. Progress
//! and warnings arrive as [`Event`]s. A run is stopped through its [`CancellationToken`]; what was fetched is kept.
//!
//! What is not re-exported here can change in any version.
#![cfg_attr(
    test,
    allow(
        missing_docs,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::disallowed_methods
    )
)]

#[doc(hidden)]
pub mod api;
#[cfg(feature = "buckets")]
#[doc(hidden)]
pub mod bucket;
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "delta")]
#[doc(hidden)]
pub mod delta;
#[doc(hidden)]
pub mod durable_fs;
#[doc(hidden)]
pub mod encode;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod failure_kind;
#[doc(hidden)]
pub mod fetch;
#[doc(hidden)]
pub mod flatten;
#[doc(hidden)]
pub mod hex;
#[doc(hidden)]
pub mod ids;
#[doc(hidden)]
pub mod jobs;
#[doc(hidden)]
pub mod journal;
#[doc(hidden)]
pub mod json;
#[doc(hidden)]
pub mod lists;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod output_error;
#[doc(hidden)]
pub mod pacer;
#[doc(hidden)]
pub mod plural;
#[doc(hidden)]
pub mod printable;
#[doc(hidden)]
pub mod publish;
#[doc(hidden)]
pub mod rebuild;
#[doc(hidden)]
pub mod report;
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod sandbox;
mod shell_quoting;
#[doc(hidden)]
pub mod state;
#[doc(hidden)]
pub mod tables;
#[doc(hidden)]
pub mod threads;

pub use crate::api::api_key::KeyError;
pub use crate::api::list_request::{ListFilter, ListKind, ListSource};
#[cfg(feature = "buckets")]
pub use crate::bucket::bucket_url::BucketUrl;
pub use crate::encode::format::Format;
pub use crate::error::{Exit, Explain};
pub use crate::event::{AgainCounts, Event, Events, RequestTarget};
pub use crate::failure_kind::FailureKind;
pub use crate::ids::error::IdsError;
pub use crate::ids::list::SkippedCells;
pub use crate::ids::read::{ReadIds, read_ids};
pub use crate::ids::shard::{InvalidShard, ListIdentity, Shard, ShardPlace};
pub use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
#[cfg(feature = "buckets")]
pub use crate::jobs::bucket_target::{BucketTarget, DEFAULT_GRACE};
pub use crate::jobs::changes::change_report::{
    ChangeCounts, ChangesOptions, ChangesReport, FeedOptions,
};
pub use crate::jobs::changes::error::ChangesError;
pub use crate::jobs::changes::list_changes::list_changes;
pub use crate::jobs::delta_target::DeltaTarget;
pub use crate::jobs::error::ExportError;
pub use crate::jobs::export::export;
pub use crate::jobs::export_builder::ExportOptionsBuilder;
pub use crate::jobs::export_defaults::{
    DEFAULT_BASE_URL, DEFAULT_CONCURRENCY, DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY,
    DEFAULT_MAX_RETRIES, DEFAULT_OPTS, DEFAULT_RETRY_TIMEOUT, DEFAULT_TIMEOUT, MAX_BODY_LIMIT,
    MAX_CONCURRENCY,
};
pub use crate::jobs::export_options::{ExportOptions, Refresh};
pub use crate::jobs::html_report::{HtmlReport, HtmlReportError, html_report};
pub use crate::jobs::options_error::OptionsError;
pub use crate::jobs::publish_targets::PublishTargets;
pub use crate::jobs::reflatten::{FlattenOptions, flatten};
pub use crate::jobs::report::{
    DeltaReport, ExportReport, JobEnd, ListReport, SavedResponses, SavedWork,
};
pub use crate::jobs::shards::combine::{CombineOptions, combine};
pub use crate::jobs::shards::shard_error::ShardError;
pub use crate::jobs::verify::error::VerifyError;
pub use crate::jobs::verify::findings::Finding;
pub use crate::jobs::verify::report::VerifyReport;
pub use crate::jobs::verify::verification::{VerifyOptions, verify};
pub use crate::lists::list_planner::ListPlan;
pub use crate::pacer::types::{LearnedRate, Pace, PacerState, Rate};
pub use crate::publish::guard::{Allowance, GuardOptions};
pub use crate::publish::manifest::{TableFile, Tool};
pub use crate::publish::publication_id::PublicationId;
#[cfg(feature = "sandbox")]
pub use crate::sandbox::{
    config::SandboxConfig,
    error::SandboxError,
    limit_models::Admission,
    server::{RequestArrival, Sandbox},
};
pub use crate::tables::selection::TableSelection;
pub use crate::tables::table::Table;
pub use tokio_util::sync::CancellationToken;

/// The causes in [`ExportError`], [`VerifyError`], [`ChangesError`], [`OptionsError`] and [`IdsError`].
pub mod errors {
    pub use crate::api::error::{FetchError, UrlMistake};
    pub use crate::api::reply::Distrust;
    #[cfg(feature = "buckets")]
    pub use crate::bucket::error::{BucketError, StoreFault};
    pub use crate::encode::parquet::text_column::{ParquetDamage, UnusableType};
    pub use crate::ids::error::BadRecord;
    pub use crate::ids::format::{Compression, FileContent};
    pub use crate::ids::mistake::{LineMistake, MistakeKind};
    pub use crate::ids::position::ListPosition;
    pub use crate::jobs::published_rows::{TableFault, UnreadableTable};
    pub use crate::journal::error::{HeaderDamage, JournalError, RecordDamage};
    pub use crate::json::lexer::{JsonError, JsonErrorKind};
    pub use crate::output_error::OutputError;
    pub use crate::publish::digest_file::{DigestError, DigestFault};
    pub use crate::publish::guard::{NotPublished, ResponseSource};
    pub use crate::publish::published_export::UnreadableExport;
    pub use crate::tables::row_sink::SinkError;
}

/// The limits and faults in [`SandboxConfig`], and the causes in [`SandboxError`].
#[cfg(feature = "sandbox")]
pub mod sandbox_options {
    pub use crate::sandbox::error::{TaskFileError, TaskLineError};
    pub use crate::sandbox::faults::{FailedId, FaultKind, FaultRule};
    pub use crate::sandbox::limit_models::{Limit, LimitPlan, OtherClient, TimeSpan};
    pub use crate::sandbox::pagination::ListFault;
    pub use crate::sandbox::responses::{QuotaHeaders, RetryAfter};
}

/// The definitions of tables and columns, which [`Table::info`] returns.
pub mod table_info {
    pub use crate::tables::column::{ColumnInfo, ColumnType};
    pub use crate::tables::row_key::{Depth, RowKind};
    pub use crate::tables::table::{SCHEMA_VERSION, TableInfo};
}
