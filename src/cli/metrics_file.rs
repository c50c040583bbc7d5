//! The file of `--metrics`: checked before a run, replaced at its end.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::error::UsageError;
use crate::cli::summary_file::refuse_to_overwrite;
use crate::durable_fs;
use crate::durable_fs::Access;
use crate::jobs::metrics_text::metrics_text;
use crate::state::paths::while_written;
use crate::state::replace::{Durability, replace_as};

/// Maximum bytes of the file of the run before. A line for each table and each kind of failure is far less.
const MAX_BYTES: u64 = 1 << 20;

/// Checks before the run that the metrics can be written and overwrite nothing else. `reads` are files and directories
/// that the job reads, and `out` the directory that it writes.
pub(crate) fn prepare_metrics(
    path: Option<&Path>,
    reads: &[PathBuf],
    out: Option<&Path>,
) -> Result<(), UsageError> {
    let Some(path) = path else { return Ok(()) };
    let refused = |cause: &str| UsageError::Metrics {
        path: path.to_owned(),
        cause: cause.to_owned(),
    };
    refuse_to_overwrite(path, reads, out).map_err(refused)?;
    if path.as_os_str() == "-" || path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(refused(
            "it is replaced as a whole, so it must be a regular file",
        ));
    }
    // Its directory may be the output directory, which the job creates.
    if path
        .parent()
        .is_some_and(|parent| Some(parent) == out && !parent.exists())
    {
        return Ok(());
    }
    // The file itself is not opened: a collector may read it meanwhile, and would get an empty one.
    let new = while_written(path);
    durable_fs::create(&new, Access::Everyone)
        .and_then(|_| durable_fs::remove(&new))
        .map_err(|error| refused(&error.to_string()))
}

/// Replaces the metrics. A collector that reads them meanwhile gets the old file or the new one.
pub(crate) fn write_metrics(path: &Path, summary: &Value) -> Result<(), UsageError> {
    // The earlier file has the time of the last success. Without it, that is unknown until a run succeeds.
    let earlier = durable_fs::read_small(path, MAX_BYTES).unwrap_or_default();
    let text = metrics_text(summary, &String::from_utf8_lossy(&earlier));
    replace_as(path, text.as_bytes(), Durability::Synced, Access::Everyone).map_err(|error| {
        UsageError::Metrics {
            path: path.to_owned(),
            cause: error.to_string(),
        }
    })
}
