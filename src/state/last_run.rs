//! How the last run ended, published or not: `last_run.json`, and the failures that it knew of in
//! `last_failures.jsonl`.

use std::path::Path;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::output_error::OutputError;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;

/// The extension of a file's name while it is written.
const NEW_EXTENSION: &str = "new";

/// What both files have.
#[derive(Debug)]
pub(crate) struct LastRun<'r> {
    /// The content of `last_run.json`.
    pub(crate) summary: &'r str,
    /// The content of `last_failures.jsonl`.
    pub(crate) failures: &'r [u8],
}

/// Writes both files, the failures first. Returns the errors: neither of the files depends on the other.
pub(crate) fn write(state: &StateDir, lock: &Lock, last: &LastRun<'_>) -> Vec<OutputError> {
    let files = [
        (state.last_failures(), last.failures),
        (state.last_run(), last.summary.as_bytes()),
    ];
    let written = files.map(|(path, content)| replace(lock, &path, content));
    written.into_iter().filter_map(Result::err).collect()
}

/// Replaces a file as a whole.
fn replace(lock: &Lock, path: &Path, content: &[u8]) -> Result<(), OutputError> {
    lock.refuse_lost()?;
    let new = path.with_added_extension(NEW_EXTENSION);
    let written = durable_fs::create(&new, Access::Owner).and_then(|file| {
        durable_fs::write_all_at(&file, &new, content, 0)?;
        durable_fs::sync(&file, &new)?;
        durable_fs::rename(&new, path)
    });
    written.map_err(|error| {
        // What is left of it would take space.
        let _ = durable_fs::remove(&new);
        OutputError::io("write", path)(error)
    })
}
