//! One step that changes the file system, as tests see it before it is done.

use std::fs::File;
use std::path::Path;

/// One step, before it is done.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(debug_assertions),
    expect(dead_code, reason = "only tests look at steps")
)]
pub(super) enum Step<'s> {
    /// Empty, in place of what may be there.
    Create(&'s Path),
    /// As it is, or empty.
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
