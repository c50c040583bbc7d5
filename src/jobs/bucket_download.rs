//! A copy of an export in an object store, for jobs that read a directory.

use std::path::Path;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::download::download_export;
use crate::bucket::error::BucketError;
use crate::bucket::store::ExportStore;
use crate::bucket::store_options::StoreOptions;
use crate::jobs::error::ExportError;
use crate::jobs::runtime::block_on;
use crate::output_error::OutputError;

/// Downloads the files of an export that `wanted` selects by their paths in an output directory. `None` if `cancel` is
/// cancelled first. The copy is removed with the value.
pub(crate) fn download(
    url: &BucketUrl,
    wanted: fn(&str) -> bool,
    cancel: &CancellationToken,
) -> Result<Option<TempDir>, ExportError> {
    let directory = tempfile::tempdir().map_err(|error| {
        BucketError::from(OutputError::io("create", &std::env::temp_dir())(error))
    })?;
    let done = download_into(directory.path(), url, wanted, cancel)?;
    Ok(done.map(|()| directory))
}

/// Like [`download`], into a directory that exists.
pub(crate) fn download_into(
    directory: &Path,
    url: &BucketUrl,
    wanted: fn(&str) -> bool,
    cancel: &CancellationToken,
) -> Result<Option<()>, ExportError> {
    let store = ExportStore::open(url, &StoreOptions::of_environment())?;
    block_on(download_export(&store, directory, wanted), cancel)
}
