//! Export Scale annotation tasks as normalized Parquet or CSV tables.
//!
//! The modules are the pipeline: [`ids`] → [`fetch`] → [`journal`] → [`flatten`] → [`tables`] →
//! [`output`], put together by [`export`]. The way back is [`reader`] → [`rebuild`], put together by
//! [`verify`]. `tests/it/architecture.rs` says who may import whom.
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

pub mod api;
pub mod cli;
pub mod durable_fs;
pub mod encode;
pub mod error;
pub mod event;
pub mod failure_kind;
pub mod fetch;
pub mod flatten;
pub mod hex;
pub mod ids;
pub mod jobs;
pub mod journal;
pub mod json;
pub mod lists;
pub mod memory;
pub mod output_error;
pub mod pacer;
pub mod printable;
pub mod publish;
pub mod rebuild;
pub mod sandbox;
pub mod state;
pub mod tables;
pub mod threads;
