//! A change of the file system, as failpoints see it.

use std::fs::File;
use std::path::Path;

/// One change, before it happens.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(debug_assertions),
    expect(dead_code, reason = "only failpoints read steps")
)]
pub(super) enum Step<'s> {
    /// Creates an empty file that replaces an existing one.
    Create(&'s Path),
    /// Opens a file, and creates it if it does not exist.
    Open(&'s Path),
    Write(&'s File, &'s Path, &'s [u8], u64),
    SetLength(&'s Path, u64),
    Sync(&'s Path),
    Rename(&'s Path, &'s Path),
    Link(&'s Path, &'s Path),
    Remove(&'s Path),
    CreateDirectory(&'s Path),
    RemoveDirectory(&'s Path),
    SyncDirectory(&'s Path),
    Lock(&'s Path),
}
