//! Exports that a command reads: a directory, or a temporary copy of an export in an object store.

use std::path::Path;

#[cfg(feature = "buckets")]
use crate::bucket::bucket_url::BucketUrl;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::signals::Signals;
#[cfg(feature = "buckets")]
use crate::event::Event;
use crate::event::Events;
#[cfg(feature = "buckets")]
use crate::jobs::bucket_download::download;
use crate::jobs::report::JobEnd;
#[cfg(feature = "buckets")]
use crate::jobs::report::SavedWork;

/// Whether a path is a URL.
pub(crate) fn is_url(path: &Path) -> bool {
    path.to_string_lossy().contains("://")
}

/// Refuses a URL where a command needs raw responses, which an object store does not have.
pub(crate) fn refuse_url(path: &Path) -> Result<(), UsageError> {
    if is_url(path) {
        return Err(UsageError::ObjectStore(path.to_owned()));
    }
    Ok(())
}

/// Reads an export. One in an object store is downloaded first, except for files that `wanted` leaves out; the copy is
/// removed afterwards.
pub(crate) fn with_local_copy<T, E: Into<CommandError>>(
    place: &Path,
    wanted: fn(&str) -> bool,
    (events, signals): (&Events, &Signals),
    read: impl FnOnce(&Path) -> Result<JobEnd<T>, E>,
) -> Result<JobEnd<T>, CommandError> {
    #[cfg(feature = "buckets")]
    if let Some(url) = BucketUrl::find(&place.to_string_lossy()) {
        let url = url.map_err(|error| UsageError::Bucket(Box::new(error)))?;
        events.send(Event::Phase("downloading"));
        let copy = download(&url, wanted, &signals.cancel)?;
        return match copy {
            None => Ok(JobEnd::Stopped(SavedWork::Nothing)),
            Some(copy) => read(copy.path()).map_err(Into::into),
        };
    }
    #[cfg(not(feature = "buckets"))]
    let _ = (wanted, events, signals);
    refuse_url(place)?;
    read(place).map_err(Into::into)
}
