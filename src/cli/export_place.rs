//! Where an export goes: a directory, or an object store with a directory for the state.

use std::path::{Path, PathBuf};

#[cfg(feature = "buckets")]
use crate::bucket::bucket_url::BucketUrl;
use crate::cli::args::ExportArgs;
use crate::cli::error::UsageError;
use crate::cli::option_origins::Origins;
use crate::cli::output_options::{delta_target, output_directory};
#[cfg(feature = "buckets")]
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::delta_target::DeltaTarget;
use crate::state::paths::StateDir;

/// Where an export goes.
#[derive(Debug)]
pub(crate) struct ExportPlace {
    /// The output directory.
    pub(crate) out: PathBuf,
    /// The object store that the export is published in besides.
    #[cfg(feature = "buckets")]
    pub(crate) bucket: Option<BucketTarget>,
    /// The Delta tables that the tables are committed to besides.
    pub(crate) delta: Option<DeltaTarget>,
}

impl ExportPlace {
    /// No directory, where the options cannot be used.
    pub(crate) fn none() -> Self {
        Self {
            out: PathBuf::new(),
            #[cfg(feature = "buckets")]
            bucket: None,
            delta: None,
        }
    }
}

/// Checks `--out`, `--state` and `--delta`.
pub(crate) fn export_place(args: &ExportArgs) -> Result<ExportPlace, UsageError> {
    #[cfg(feature = "buckets")]
    if let Some(out) = &args.output.out
        && let Some(url) = BucketUrl::find(&out.to_string_lossy())
    {
        let url = url.map_err(|error| UsageError::Bucket(Box::new(error)))?;
        return bucket_place(url, args);
    }
    let out = output_directory(args.output.out.as_ref())?;
    let delta = delta_target(&args.output.delta)?;
    if let Some(state) = args.bucket.state.as_deref() {
        refuse_other_state(&out, state, &args.display.origins)?;
    }
    Ok(ExportPlace {
        out,
        #[cfg(feature = "buckets")]
        bucket: None,
        delta,
    })
}

#[cfg(feature = "buckets")]
fn bucket_place(url: BucketUrl, args: &ExportArgs) -> Result<ExportPlace, UsageError> {
    let Some(state) = &args.bucket.state else {
        return Err(UsageError::NoState(url.to_string()));
    };
    Ok(ExportPlace {
        out: BucketTarget::local_directory(state),
        bucket: Some(BucketTarget::new(url, args.bucket.grace)),
        delta: delta_target(&args.output.delta)?,
    })
}

/// The state of an output directory is inside of it: tables and state are published with one commit, which works within
/// one file system.
fn refuse_other_state(out: &Path, state: &Path, origins: &Origins) -> Result<(), UsageError> {
    let own = StateDir::of_output(out);
    let absolute = |path: &Path| std::path::absolute(path).ok();
    if absolute(own.path()) == absolute(state) {
        return Ok(());
    }
    Err(UsageError::CommandLine {
        place: origins.place("--state").as_str(),
        reason: format!(
            "{} can be another directory only if --out is a URL",
            origins.name("--state")
        ),
        hint: format!(
            "leave it out: the state of `{}` is in `{}`",
            out.display(),
            own.path().display()
        ),
    })
}
