//! Runs a job that publishes in its output directory, and publishes the result in an object store and in Delta tables
//! afterwards. Without the features `buckets` and `delta` there are no such targets, and the job runs alone.

use tokio_util::sync::CancellationToken;

use crate::event::Events;
#[cfg(feature = "buckets")]
use crate::jobs::bucket_publication::OpenBucket;
use crate::jobs::check::check_line::CheckLine;
#[cfg(feature = "delta")]
use crate::jobs::delta_commit::{OpenDelta, delta_fault, refuse_request};
use crate::jobs::error::ExportError;
use crate::jobs::publish_targets::PublishRequest;
use crate::jobs::report::ExportReport;
use crate::publish::output_dir::OutputDirectory;

/// Runs a job that publishes in the output directory. A target that cannot be used ends it before it begins.
pub(crate) fn run_and_publish(
    request: PublishRequest<'_>,
    directory: &OutputDirectory,
    signals: (&Events, &CancellationToken),
    job: impl FnOnce() -> Result<ExportReport, ExportError>,
) -> Result<ExportReport, ExportError> {
    let upload = || run_and_upload(request, directory, signals, job);
    let Some(target) = &request.targets.delta else {
        return upload();
    };
    #[cfg(not(feature = "delta"))]
    match target.never {}
    #[cfg(feature = "delta")]
    {
        let tables = OpenDelta::open(target, &request, signals)?;
        let report = upload()?;
        let delta = tables.commit(target, &request, signals)?;
        Ok(ExportReport {
            delta: Some(delta),
            ..report
        })
    }
}

/// Runs a job, and uploads what it published, if there is an object store.
#[cfg(feature = "buckets")]
fn run_and_upload(
    request: PublishRequest<'_>,
    directory: &OutputDirectory,
    signals: (&Events, &CancellationToken),
    job: impl FnOnce() -> Result<ExportReport, ExportError>,
) -> Result<ExportReport, ExportError> {
    let Some(target) = &request.targets.bucket else {
        return job();
    };
    let bucket = OpenBucket::open(target, &request, directory.state(), signals)?;
    let report = job()?;
    bucket.publish(directory, &request, signals)?;
    Ok(report)
}

/// Runs a job.
#[cfg(not(feature = "buckets"))]
fn run_and_upload(
    _: PublishRequest<'_>,
    _: &OutputDirectory,
    _: (&Events, &CancellationToken),
    job: impl FnOnce() -> Result<ExportReport, ExportError>,
) -> Result<ExportReport, ExportError> {
    job()
}

/// Refuses what a job would refuse before it looks at its Delta tables.
#[cfg_attr(
    not(feature = "delta"),
    expect(clippy::unnecessary_wraps, reason = "it can fail with the feature")
)]
pub(crate) fn refuse_delta(request: PublishRequest<'_>) -> Result<(), ExportError> {
    let Some(target) = &request.targets.delta else {
        return Ok(());
    };
    #[cfg(not(feature = "delta"))]
    match target.never {}
    #[cfg(feature = "delta")]
    Ok(refuse_request(target, &request)?)
}

/// The line of a check about tables to which the job could not commit.
#[cfg_attr(
    not(feature = "delta"),
    expect(clippy::unnecessary_wraps, reason = "it can fail with the feature")
)]
pub(crate) fn check_delta(
    request: PublishRequest<'_>,
    signals: (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    let Some(target) = &request.targets.delta else {
        return Ok(None);
    };
    #[cfg(not(feature = "delta"))]
    {
        let _ = signals;
        match target.never {}
    }
    #[cfg(feature = "delta")]
    delta_fault(target, &request, signals)
}
