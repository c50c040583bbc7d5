//! The journal: every raw response and every final failure, append-only, checksummed, compressed.
//!
//! It is the queue between the network and the tables, and what a later run goes on from.
//! [`format`] is pure and documented in `docs/journal.md`; [`Journal`] is the file. Depends on
//! nothing but the file system.

mod binding;
mod codec;
mod error;
mod file;
pub mod format;
mod index;
mod log;
mod mend;

pub use codec::{Compressor, Decompressor};
pub use error::JournalError;
pub use file::Journal;
pub use index::{Held, JournalIndex};
pub use log::{Entry, FailureNote, JournalReader, Location, Opened, break_if, is_gone};
pub use mend::mend_header;
