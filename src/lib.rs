//! Export Scale annotation tasks as normalized Parquet or CSV tables.
//!
//! The modules are the pipeline: [`ids`] → [`fetch`] → [`journal`] → [`flatten`] → [`tables`] →
//! [`output`], put together by [`export`]. The way back is [`reader`] → [`rebuild`], put together by
//! [`verify`]. `tests/it/architecture.rs` says who may import whom.
#![cfg_attr(
    test,
    allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod cli;
mod disk;
pub mod error;
pub mod event;
pub mod export;
pub mod failures;
pub mod fetch;
pub mod flatten;
pub mod hex;
pub mod ids;
pub mod journal;
pub mod json;
mod memory;
pub mod output;
pub mod printable;
pub mod reader;
pub mod rebuild;
pub mod redaction;
pub mod response;
pub mod sandbox;
pub mod tables;
mod threads;
pub mod verify;
