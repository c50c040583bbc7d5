//! Exports in an object store: S3, Google Cloud Storage, Azure Blob Storage, and stores with their protocols.

pub mod aws_profile;
pub mod bucket_manifest;
pub mod bucket_record;
pub mod bucket_url;
pub mod condition_probe;
pub mod download;
pub mod error;
pub mod object_name;
pub mod publisher;
pub mod store;
pub mod store_options;
pub mod superseded;
pub mod transport;
pub mod upload;
