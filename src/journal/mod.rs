//! The journal of raw responses and final failures: append-only, checksummed, compressed (docs/journal.md).

pub mod binding;
pub mod codec;
pub mod error;
pub mod format;
pub mod index;
pub mod reader;
pub mod repair;
pub mod writer;
