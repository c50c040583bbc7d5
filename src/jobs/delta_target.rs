//! Where Delta tables are.

#[cfg(feature = "delta")]
use std::fmt;
#[cfg(feature = "delta")]
use std::path::Path;

#[cfg(feature = "delta")]
use crate::bucket::bucket_url::BucketUrl;
#[cfg(feature = "delta")]
use crate::bucket::error::BucketError;

/// The scheme of a local directory, as the tools of Delta write it.
#[cfg(feature = "delta")]
const FILE_SCHEME: &str = "file://";

/// The directory of the Delta tables: each table is in a directory of its name in it. Without the feature `delta` there is
/// no value of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaTarget {
    #[cfg(feature = "delta")]
    pub(crate) url: BucketUrl,
    #[cfg(not(feature = "delta"))]
    pub(crate) never: std::convert::Infallible,
}

#[cfg(feature = "delta")]
impl DeltaTarget {
    /// The target that a text names: `s3://bucket/path`, `gs://…`, `az://…`, `file:///path`, or a local path.
    pub fn parse(text: &str) -> Result<Self, BucketError> {
        if let Some(path) = text.strip_prefix(FILE_SCHEME) {
            // A host, and characters that have another meaning in a URL.
            if !path.starts_with('/') || path.contains(['%', '?', '#']) {
                return Err(BucketError::FileUrl);
            }
            let url = BucketUrl::directory(path);
            return Ok(Self { url });
        }
        if let Some(url) = BucketUrl::find(text) {
            return Ok(Self { url: url? });
        }
        // `s3:/bucket` would be a directory.
        let scheme = text.split_once(":/").map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme.filter(|scheme| !scheme.contains('/')) {
            return Err(BucketError::Scheme(scheme.to_owned()));
        }
        let url = BucketUrl::directory(text);
        Ok(Self { url })
    }

    /// The local directory, if it is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.url.local_directory()
    }
}

#[cfg(feature = "delta")]
impl fmt::Display for DeltaTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "delta")]
    #[test]
    fn a_target_is_a_url_of_a_store_or_a_directory() {
        for (text, shown, directory) in [
            ("s3://bucket/lake/", "s3://bucket/lake", None),
            ("file:///data/lake", "/data/lake", Some("/data/lake")),
            ("lake", "lake", Some("lake")),
        ] {
            let target = super::DeltaTarget::parse(text).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.directory(), directory.map(std::path::Path::new));
        }
        assert!(super::DeltaTarget::parse("https://user:secret@host/lake").is_err());
        for text in [
            "file://host/lake",
            "file:///a%20b",
            "file:/lake",
            "s3:/bucket/lake",
        ] {
            assert!(super::DeltaTarget::parse(text).is_err(), "{text}");
        }
    }
}
