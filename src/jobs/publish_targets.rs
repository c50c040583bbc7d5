//! The additional targets of a publication, beside the output directory.

use std::path::Path;

use crate::encode::format::Selection;
use crate::fetch::options::FetchOptions;
use crate::ids::shard::Shard;
#[cfg(feature = "buckets")]
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::delta_target::DeltaTarget;
use crate::publish::guard::{Allowance, ResponseSource};

/// The additional targets of a publication, beside the output directory. Default: none.
#[derive(Debug, Clone, Default)]
pub struct PublishTargets {
    /// The object store that the export is uploaded to.
    #[cfg(feature = "buckets")]
    pub(crate) bucket: Option<BucketTarget>,
    /// The Delta tables that the tables are committed to.
    pub(crate) delta: Option<DeltaTarget>,
}

impl PublishTargets {
    /// Adds an object store.
    #[cfg(feature = "buckets")]
    #[must_use]
    pub fn with_bucket(self, bucket: BucketTarget) -> Self {
        Self {
            bucket: Some(bucket),
            ..self
        }
    }

    /// Adds Delta tables.
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
    /// Its additional targets.
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
    /// Where the responses come from.
    pub(crate) responses: ResponseSource,
    /// How requests are sent; none for the defaults.
    pub(crate) fetch: Option<&'r FetchOptions>,
}
