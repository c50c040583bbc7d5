//! Combines the exports of shards into the export that one run would have published.

pub mod combine;
pub mod shard_error;
pub mod shard_set;
