//! Options of `download`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::shared_args::DisplayArgs;

/// Options of `download`.
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// Export to download
    pub(crate) url: PathBuf,
    /// Empty directory for the copy, which exists
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}
