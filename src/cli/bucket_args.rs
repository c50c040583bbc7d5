//! Options of an export whose tables go to an object store.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::shared_args::DisplayArgs;
use crate::cli::value_parsers;

/// Where the state is, and how long replaced objects stay.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct BucketArgs {
    /// Directory of raw responses and tables; required if --out is a URL
    ///
    /// Without a URL, the state is in .scale-export in the output directory.
    #[arg(
        long,
        value_name = "DIR",
        env = "SCALE_EXPORT_STATE",
        hide_short_help = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// How long objects stay after a publication that no longer names them
    ///
    /// Readers of an earlier manifest have this time to read its objects.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        value_parser = value_parsers::duration,
        env = "SCALE_EXPORT_GRACE",
        hide_short_help = true
    )]
    pub(crate) grace: Duration,
}

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
