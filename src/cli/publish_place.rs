//! Where a job publishes: a directory, or an object store with a directory for the state. Delta tables come in addition.

use std::path::{Path, PathBuf};

#[cfg(feature = "buckets")]
use crate::bucket::bucket_url::BucketUrl;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::local_copy::{is_url, refuse_url};
use crate::cli::option_origins::{OptionPlace, Origins};
use crate::cli::output_options::{delta_target, output_directory};
use crate::cli::shared_args::{BucketArgs, DeltaArgs, OutputArgs};
#[cfg(feature = "buckets")]
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::publish_targets::PublishTargets;
use crate::state::paths::StateDir;

/// The options that say where a job publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceArgs<'a> {
    pub(crate) out: Option<&'a PathBuf>,
    pub(crate) bucket: &'a BucketArgs,
    pub(crate) delta: &'a DeltaArgs,
}

impl PlaceArgs<'_> {
    /// Whether the output or a source is in an object store.
    fn needs_state(&self, sources: &[PathBuf]) -> bool {
        let mut places = self.out.into_iter().chain(sources);
        places.any(|place| is_url(place))
    }

    /// The state, if a job with these sources reads it.
    pub(crate) fn read_state(&self, sources: &[PathBuf]) -> Option<&PathBuf> {
        let state = self.bucket.state.as_ref();
        state.filter(|_| self.needs_state(sources))
    }
}

impl<'a> From<&'a OutputArgs> for PlaceArgs<'a> {
    fn from(args: &'a OutputArgs) -> Self {
        Self {
            out: args.out.as_ref(),
            bucket: &args.bucket,
            delta: &args.delta,
        }
    }
}

/// Where a job publishes.
#[derive(Debug)]
pub(crate) struct PublishPlace {
    /// The output directory.
    pub(crate) out: PathBuf,
    pub(crate) targets: PublishTargets,
}

impl PublishPlace {
    /// No directory, where the options cannot be used.
    pub(crate) fn none() -> Self {
        Self {
            out: PathBuf::new(),
            targets: PublishTargets::default(),
        }
    }
}

/// Checks `--out`, `--state` and `--delta` of an export.
pub(crate) fn export_place(
    args: PlaceArgs<'_>,
    origins: &Origins,
) -> Result<PublishPlace, UsageError> {
    let place = publish_place(args)?;
    refuse_other_state(args, origins)?;
    Ok(place)
}

/// Checks `--out`, `--state` and `--delta` of a job that reads `sources`, which can be exports in object stores.
pub(crate) fn offline_place(
    args: PlaceArgs<'_>,
    sources: &[PathBuf],
    origins: &Origins,
) -> Result<PublishPlace, UsageError> {
    let place = publish_place(args)?;
    if let Some(out) = args.out {
        sources
            .iter()
            .try_for_each(|source| refuse_other_url(source, out))?;
    }
    // A variable or a configuration file has the state of the exports, and need not concern this job.
    if !args.needs_state(sources) && origins.place("--state") == OptionPlace::CommandLine {
        refuse_other_state(args, origins)?;
    }
    Ok(place)
}

/// A state remembers one place, so an export in a store cannot be published in another one from the same state.
fn refuse_other_url(source: &Path, out: &Path) -> Result<(), UsageError> {
    // As the store sees them, which leaves out a slash at the end.
    let name = |path: &Path| path.to_string_lossy().trim_end_matches('/').to_owned();
    if !is_url(source) || !is_url(out) || name(source) == name(out) {
        return Ok(());
    }
    Err(UsageError::CommandLine {
        place: OptionPlace::CommandLine.as_str(),
        reason: format!(
            "`{}` cannot be published as `{}`: a state belongs to one URL",
            source.display(),
            out.display()
        ),
        hint: "name the directory `out` in its --state as the source, and another directory as --state".to_owned(),
    })
}

fn publish_place(args: PlaceArgs<'_>) -> Result<PublishPlace, UsageError> {
    let delta = delta_target(args.delta)?;
    #[cfg(feature = "buckets")]
    if let Some(out) = args.out
        && let Some(url) = BucketUrl::find(&out.to_string_lossy())
    {
        let url = url.map_err(|error| UsageError::Bucket(Box::new(error)))?;
        let Some(state) = &args.bucket.state else {
            return Err(UsageError::NoState(url.to_string()));
        };
        return Ok(PublishPlace {
            out: BucketTarget::local_directory(state),
            targets: PublishTargets {
                bucket: Some(BucketTarget::new(url, args.bucket.grace)),
                delta,
            },
        });
    }
    Ok(PublishPlace {
        out: output_directory(args.out)?,
        targets: PublishTargets {
            #[cfg(feature = "buckets")]
            bucket: None,
            delta,
        },
    })
}

/// The directory with the raw responses of a source. A URL needs the state of the export that was published there.
pub(crate) fn source_directory(
    source: &Path,
    bucket: &BucketArgs,
) -> Result<PathBuf, CommandError> {
    #[cfg(feature = "buckets")]
    if let Some(url) = BucketUrl::find(&source.to_string_lossy()) {
        let url = url.map_err(|error| UsageError::SourceUrl(Box::new(error)))?;
        let Some(state) = &bucket.state else {
            return Err(UsageError::NoSourceState(url.to_string()).into());
        };
        return Ok(BucketTarget::published_directory(&url, state)?);
    }
    #[cfg(not(feature = "buckets"))]
    let _ = bucket;
    refuse_url(source)?;
    Ok(source.to_owned())
}

/// Refuses a state outside of a local output directory: tables and state are published with one commit, which works within
/// one file system.
fn refuse_other_state(args: PlaceArgs<'_>, origins: &Origins) -> Result<(), UsageError> {
    let (Some(out), Some(state)) = (args.out, args.bucket.state.as_deref()) else {
        return Ok(());
    };
    let own = StateDir::of_output(out);
    let absolute = |path: &Path| std::path::absolute(path).ok();
    if is_url(out) || absolute(own.path()) == absolute(state) {
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
