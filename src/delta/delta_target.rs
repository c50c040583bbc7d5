//! Where Delta tables are.

use std::fmt;
use std::path::Path;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::error::BucketError;

/// The scheme of a local directory, as the tools of Delta write it.
const FILE_SCHEME: &str = "file://";

/// The directory of the Delta tables: each table is in a directory of its name in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaTarget {
    pub(crate) url: BucketUrl,
}

impl DeltaTarget {
    /// The target that a text names: `s3://bucket/path`, `gs://…`, `az://…`, `file:///path`, or a local path.
    pub fn parse(text: &str) -> Result<Self, BucketError> {
        let local = text.strip_prefix(FILE_SCHEME).unwrap_or(text);
        match BucketUrl::find(local) {
            Some(url) => Ok(Self { url: url? }),
            None => Ok(Self {
                url: BucketUrl::directory(local),
            }),
        }
    }

    /// The local directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.url.local_directory()
    }
}

impl fmt::Display for DeltaTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_of_a_store_or_a_directory() {
        for (text, shown, directory) in [
            ("s3://bucket/lake/", "s3://bucket/lake", None),
            ("file:///data/lake", "/data/lake", Some("/data/lake")),
            ("lake", "lake", Some("lake")),
        ] {
            let target = DeltaTarget::parse(text).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.directory(), directory.map(Path::new));
        }
        assert!(DeltaTarget::parse("https://user:secret@host/lake").is_err());
    }
}
