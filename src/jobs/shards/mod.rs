//! The exports of shards: each keeps its directory, and all are combined into the export that one run would have
//! published.

pub mod combine;
pub mod shard_binding;
pub mod shard_error;
pub mod shard_set;
