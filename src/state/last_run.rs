//! How the last run ended, published or not: `last_run.json`, and the failures that it knew of in
//! `last_failures.jsonl`.

use std::path::Path;

use crate::output_error::OutputError;
use crate::state::lock::Lock;
use crate::state::paths::StateDir;
use crate::state::replace::{Durability, replace};

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
    let written = files.map(|(path, content)| write_file(lock, &path, content));
    written.into_iter().filter_map(Result::err).collect()
}

/// Replaces one file, if the lock is still held.
fn write_file(lock: &Lock, path: &Path, content: &[u8]) -> Result<(), OutputError> {
    lock.refuse_lost()?;
    replace(path, content, Durability::Synced).map_err(OutputError::io("write", path))
}
