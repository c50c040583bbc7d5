//! `download`: copies an export from an object store into a directory, for the Python package.

use crate::bucket::bucket_url::BucketUrl;
use crate::cli::download_args::DownloadArgs;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::lifecycle::run;
use crate::error::Exit;
use crate::jobs::bucket_download::download_into;

/// Downloads an export.
pub(crate) fn run_download(args: &DownloadArgs) -> Result<Exit, CommandError> {
    let url = BucketUrl::find(&args.url.to_string_lossy());
    let url = url.ok_or(UsageError::Missing("URL", "name an export in a bucket"))?;
    let url = url.map_err(|error| UsageError::Bucket(Box::new(error)))?;
    run(
        &args.display,
        true,
        |_, signals| download_into(&args.directory, &url, |_| true, &signals.cancel),
        |done, signals| Ok(done.map_or_else(|| signals.exit(), |()| Exit::Success)),
    )
}
