//! The export that is verified.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::jobs::shards::shard_set::ShardSet;
use crate::jobs::verify::error::VerifyError;
use crate::publish::manifest::Manifest;
use crate::state::paths::StateDir;

/// An export with a manifest that can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerifiedExport<'e> {
    pub(crate) directory: &'e Path,
    pub(crate) state: &'e StateDir,
    pub(crate) manifest: &'e Manifest,
    /// The shards that it was combined from, if they are given: they have its raw responses.
    pub(crate) shards: Option<&'e ShardSet>,
    pub(crate) cancel: &'e CancellationToken,
    /// The number of threads.
    pub(crate) threads: usize,
}

impl VerifiedExport<'_> {
    /// Ends the job if the user stopped it.
    pub(crate) fn stop_if_cancelled(&self) -> Result<(), VerifyError> {
        if self.cancel.is_cancelled() {
            return Err(VerifyError::Interrupted);
        }
        Ok(())
    }
}
