//! Replaces a file as a whole: it is complete before it takes its name.

use std::io;
use std::path::Path;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::state::paths::while_written;

/// Whether a file must be complete after a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is synced before it takes its name.
    Synced,
    /// It is not synced: losing it costs little.
    Unsynced,
}

/// Replaces the file of the state at `path`. Does not sync the directory.
pub(crate) fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    replace_as(path, content, durability, Access::Owner)
}

/// Replaces the file at `path`, which `access` may read.
pub(crate) fn replace_as(
    path: &Path,
    content: &[u8],
    durability: Durability,
    access: Access,
) -> io::Result<()> {
    let new = while_written(path);
    let written = durable_fs::create(&new, access).and_then(|file| {
        durable_fs::write_all_at(&file, &new, content, 0)?;
        if durability == Durability::Synced {
            durable_fs::sync(&file, &new)?;
        }
        durable_fs::rename(&new, path)
    });
    if written.is_err() {
        // What is left of it would take space.
        let _ = durable_fs::remove(&new);
    }
    written
}
