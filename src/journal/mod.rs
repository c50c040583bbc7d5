//! The journal of raw responses and final failures: append-only, checksummed, compressed (docs/journal.md).

pub mod binding;
pub mod block;
pub mod block_cache;
pub mod codec;
pub mod error;
pub mod format;
pub mod index;
pub mod journal_file;
pub mod location;
pub mod reader;
pub mod record_head;
pub mod repair;
pub mod scan;
pub mod writer;
