//! Runs a job that publishes, and commits its tables to Delta tables afterwards. Without the feature `delta` there is
//! no target, and the job runs alone.

use std::path::Path;

use tokio_util::sync::CancellationToken;

#[cfg(feature = "delta")]
pub use crate::delta::delta_target::DeltaTarget;
use crate::encode::format::Selection;
use crate::event::Events;
use crate::fetch::options::FetchOptions;
use crate::jobs::check::check_line::CheckLine;
#[cfg(feature = "delta")]
use crate::jobs::delta_commit::{OpenDelta, delta_fault};
use crate::jobs::error::ExportError;
use crate::publish::guard::Allowance;

/// Where Delta tables are: nowhere without the feature `delta`.
#[cfg(not(feature = "delta"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeltaTarget {}

/// What a job says of its Delta tables.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "delta"),
    expect(dead_code, reason = "there is no target")
)]
pub(crate) struct DeltaRequest<'r> {
    /// Where they are, if the job has any.
    pub(crate) target: Option<&'r DeltaTarget>,
    /// The output directory.
    pub(crate) out: &'r Path,
    /// The tables, and their format.
    pub(crate) selection: Selection,
    /// Whether tables of other programs are taken over.
    pub(crate) force: bool,
    /// Tasks that may disappear.
    pub(crate) max_shrink: Allowance,
    /// How requests are sent; none for the defaults.
    pub(crate) fetch: Option<&'r FetchOptions>,
}

impl DeltaRequest<'_> {
    /// Runs a job that publishes in the output directory. A place that cannot be used ends it before it begins.
    pub(crate) fn run<T>(
        self,
        signals: (&Events, &CancellationToken),
        job: impl FnOnce() -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let Some(target) = self.target else {
            return job();
        };
        #[cfg(not(feature = "delta"))]
        {
            let _ = signals;
            match *target {}
        }
        #[cfg(feature = "delta")]
        {
            let tables = OpenDelta::open(target, &self, signals)?;
            let done = job()?;
            tables.commit(&self, signals)?;
            Ok(done)
        }
    }

    /// The line of a check about tables to which the job could not commit.
    pub(crate) fn fault(
        self,
        signals: (&Events, &CancellationToken),
    ) -> Result<Option<CheckLine>, ExportError> {
        let Some(target) = self.target else {
            return Ok(None);
        };
        #[cfg(not(feature = "delta"))]
        {
            let _ = signals;
            match *target {}
        }
        #[cfg(feature = "delta")]
        delta_fault(target, &self, signals)
    }
}
