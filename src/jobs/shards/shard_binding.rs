//! An output directory keeps its shard.

use std::path::Path;

use crate::ids::shard::ShardPlace;
use crate::jobs::error::ExportError;
use crate::publish::manifest::Manifest;

/// Refuses to publish a shard in a directory that has another one, or a whole list, and the reverse: the tasks there would
/// disappear.
pub(crate) fn refuse_other_shard(
    out: &Path,
    published: Option<&Manifest>,
    requested: Option<&ShardPlace>,
) -> Result<(), ExportError> {
    let Some(published) = published else {
        return Ok(());
    };
    let published = published.shard.as_ref().map(|place| place.shard);
    let requested = requested.map(|place| place.shard);
    if published == requested {
        return Ok(());
    }
    Err(ExportError::OtherShard {
        out: out.to_owned(),
        published,
        requested,
    })
}
