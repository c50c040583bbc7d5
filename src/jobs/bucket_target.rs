//! Where an export is published besides its directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bucket::bucket_record::BucketRecord;
use crate::bucket::bucket_url::BucketUrl;
use crate::jobs::error::ExportError;
use crate::jobs::source_error::SourceError;
use crate::state::paths::StateDir;

/// The directory of the local export, in that of the state.
const LOCAL_EXPORT: &str = "out";

/// How long objects stay that the manifest no longer names.
pub const DEFAULT_GRACE: Duration = Duration::from_hours(24);

/// Where an export is published besides its directory.
#[derive(Debug, Clone)]
pub struct BucketTarget {
    pub(crate) url: BucketUrl,
    /// How long objects stay that the manifest no longer names.
    pub(crate) grace: Duration,
}

impl BucketTarget {
    /// A place in an object store. Objects stay for `grace` after a publication that no longer names them.
    pub fn new(url: BucketUrl, grace: Duration) -> Self {
        Self { url, grace }
    }

    /// The local directory with the raw responses of the export that a state has published at a URL.
    pub fn published_directory(url: &BucketUrl, state: &Path) -> Result<PathBuf, ExportError> {
        let url = url.to_string();
        let directory = Self::local_directory(state);
        let cause = match BucketRecord::find(&StateDir::of_output(&directory), &url) {
            Ok(Some(_)) => return Ok(directory),
            Ok(None) if directory.exists() => SourceError::OtherState(state.to_owned()),
            Ok(None) => SourceError::NoState(state.to_owned()),
            Err(error) => SourceError::Io(error),
        };
        Err(ExportError::Source { name: url, cause })
    }

    /// The local directory in which the export is built, for a state directory.
    pub fn local_directory(state: &Path) -> PathBuf {
        state.join(LOCAL_EXPORT)
    }
}
