//! Where a job publishes besides its output directory, and what it says of that.

use std::path::Path;

use crate::encode::format::Selection;
use crate::fetch::options::FetchOptions;
use crate::ids::shard::Shard;
#[cfg(feature = "buckets")]
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::delta_target::DeltaTarget;
use crate::publish::guard::Allowance;

/// Where a job publishes besides its output directory. Default: nowhere.
#[derive(Debug, Clone, Default)]
pub struct PublishTargets {
    /// The object store that the export is uploaded to.
    #[cfg(feature = "buckets")]
    pub(crate) bucket: Option<BucketTarget>,
    /// The Delta tables that the tables are committed to.
    pub(crate) delta: Option<DeltaTarget>,
}

impl PublishTargets {
    /// These, and an object store.
    #[cfg(feature = "buckets")]
    #[must_use]
    pub fn with_bucket(self, bucket: BucketTarget) -> Self {
        Self {
            bucket: Some(bucket),
            ..self
        }
    }

    /// These, and Delta tables.
    #[must_use]
    #[cfg_attr(
        not(feature = "buckets"),
        expect(clippy::needless_update, reason = "the feature has another field")
    )]
    pub fn with_delta(self, delta: DeltaTarget) -> Self {
        Self {
            delta: Some(delta),
            ..self
        }
    }
}

/// What a job says of its publication.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "delta"),
    expect(dead_code, reason = "only the feature reads all of it")
)]
pub(crate) struct PublishRequest<'r> {
    /// Where it publishes besides.
    pub(crate) targets: &'r PublishTargets,
    /// The output directory.
    pub(crate) out: &'r Path,
    /// The tables, and their format.
    pub(crate) selection: Selection,
    /// Whether objects and tables of other programs are taken over.
    pub(crate) force: bool,
    /// Tasks that may disappear.
    pub(crate) max_shrink: Allowance,
    /// The shard that the export is, if it is one.
    pub(crate) shard: Option<Shard>,
    /// How requests are sent; none for the defaults.
    pub(crate) fetch: Option<&'r FetchOptions>,
}
