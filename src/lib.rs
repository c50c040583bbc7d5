//! Export Scale annotation tasks as normalized Parquet or CSV tables.
#![cfg_attr(
    test,
    allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod error;
pub mod event;
pub mod flatten;
pub mod hex;
pub mod journal;
pub mod json;
pub mod output;
pub mod tables;
