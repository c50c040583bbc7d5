//! Runs a job that publishes, and commits its tables to Delta tables afterwards. Without the feature `delta` there is
//! no target, and the job runs alone.

use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::jobs::check::check_line::CheckLine;
#[cfg(feature = "delta")]
use crate::jobs::delta_commit::{OpenDelta, delta_fault, refuse_request};
use crate::jobs::delta_target::DeltaRequest;
use crate::jobs::error::ExportError;
use crate::jobs::report::ExportReport;

/// Runs a job that publishes in the output directory. A place that cannot be used ends it before it begins.
pub(crate) fn run_and_commit(
    request: DeltaRequest<'_>,
    signals: (&Events, &CancellationToken),
    job: impl FnOnce() -> Result<ExportReport, ExportError>,
) -> Result<ExportReport, ExportError> {
    let Some(target) = request.target else {
        return job();
    };
    #[cfg(not(feature = "delta"))]
    {
        let _ = signals;
        match target.never {}
    }
    #[cfg(feature = "delta")]
    {
        let tables = OpenDelta::open(target, &request, signals)?;
        let report = job()?;
        let delta = tables.commit(target, &request, signals)?;
        Ok(ExportReport {
            delta: Some(delta),
            ..report
        })
    }
}

/// Refuses what a job would refuse before it looks at its Delta tables.
#[cfg_attr(
    not(feature = "delta"),
    expect(clippy::unnecessary_wraps, reason = "it can fail with the feature")
)]
pub(crate) fn refuse_delta(request: DeltaRequest<'_>) -> Result<(), ExportError> {
    let Some(target) = request.target else {
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
    request: DeltaRequest<'_>,
    signals: (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    let Some(target) = request.target else {
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
