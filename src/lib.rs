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
//! [`flatten`] rebuilds the tables from the responses that an export has kept, and [`verify`] checks an export. Progress
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
#[doc(hidden)]
pub mod cli;
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
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod sandbox;
#[doc(hidden)]
pub mod state;
#[doc(hidden)]
pub mod tables;
#[doc(hidden)]
pub mod threads;

pub use crate::api::api_key::KeyError;
pub use crate::api::list_request::{ListFilter, ListKind, ListSource};
pub use crate::encode::format::Format;
pub use crate::error::{Exit, Explain};
pub use crate::event::{AgainCounts, Event, Events, RequestTarget};
pub use crate::failure_kind::FailureKind;
pub use crate::ids::error::IdsError;
pub use crate::ids::read::{ReadIds, read_ids};
pub use crate::ids::task_ids::{InsertedId, InvalidId, TaskIds};
pub use crate::jobs::error::ExportError;
pub use crate::jobs::export::export;
pub use crate::jobs::export_builder::ExportOptionsBuilder;
pub use crate::jobs::export_defaults::{
    DEFAULT_BASE_URL, DEFAULT_CONCURRENCY, DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BODY,
    DEFAULT_MAX_RETRIES, DEFAULT_OPTS, DEFAULT_RETRY_TIMEOUT, DEFAULT_TIMEOUT, MAX_BODY_LIMIT,
    MAX_CONCURRENCY,
};
pub use crate::jobs::export_options::{ExportOptions, Refresh};
pub use crate::jobs::options_error::OptionsError;
pub use crate::jobs::reflatten::{FlattenOptions, flatten};
pub use crate::jobs::report::{ExportReport, JobEnd, ListReport, SavedResponses, SavedWork};
pub use crate::jobs::verify::error::VerifyError;
pub use crate::jobs::verify::report::VerifyReport;
pub use crate::jobs::verify::verification::verify;
pub use crate::lists::list_planner::ListPlan;
pub use crate::pacer::types::{LearnedRate, Rate};
pub use crate::publish::guard::{Allowance, GuardOptions};
#[cfg(feature = "sandbox")]
pub use crate::sandbox::{config::SandboxConfig, error::SandboxError, server::Sandbox};
pub use crate::tables::selection::TableSelection;
pub use crate::tables::table::Table;
pub use tokio_util::sync::CancellationToken;
