//! The journal of raw responses and final failures: append-only, checksummed, compressed (docs/journal.md).

pub mod binding;
pub mod block;
pub mod block_cache;
pub mod block_encoder;
pub mod compressor;
pub mod decompressor;
pub mod error;
pub mod failure_note;
pub mod file_head_decoder;
pub mod file_head_encoder;
pub mod format;
pub mod index;
pub mod index_writer;
pub mod indexed_scan;
pub mod journal_file;
pub mod location;
pub mod reader;
pub mod record_head;
pub mod record_head_decoder;
pub mod record_head_encoder;
pub mod repair;
pub mod saved_index;
pub mod scan;
pub mod writer;
