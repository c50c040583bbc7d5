//! The commands, one file each.

pub mod changes;
pub mod check;
pub mod combine;
pub mod completions;
#[cfg(feature = "buckets")]
pub mod download;
pub mod export;
pub mod flatten;
pub mod ids;
pub mod man;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod status;
pub mod verify;
