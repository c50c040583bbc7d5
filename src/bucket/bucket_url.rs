//! URLs of exports in object stores.

use std::fmt;
#[cfg(feature = "delta")]
use std::path::Path;

use crate::bucket::error::BucketError;

/// The protocol of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreProtocol {
    /// Amazon S3, and stores with its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A local directory, which only Delta tables use.
    #[cfg(feature = "delta")]
    Directory,
}

/// The schemes of URLs, as the tools of the stores write them.
const SCHEMES: [(&str, StoreProtocol); 3] = [
    ("s3", StoreProtocol::S3),
    ("gs", StoreProtocol::Gcs),
    ("az", StoreProtocol::Azure),
];

/// The URL of an export: `s3://bucket/prefix`. It has no credentials and no parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    pub(crate) protocol: StoreProtocol,
    /// The bucket, the container in Azure, or the path of a local directory.
    pub(crate) bucket: String,
    /// The path of the export in the bucket, without `/` at its ends. Empty for the whole bucket.
    pub(crate) prefix: String,
}

impl BucketUrl {
    /// The URL that a text is, or `None` for the path of a directory.
    pub fn find(text: &str) -> Option<Result<Self, BucketError>> {
        let (scheme, rest) = text.split_once("://")?;
        Some(Self::parse(scheme, rest))
    }

    fn parse(scheme: &str, rest: &str) -> Result<Self, BucketError> {
        let found = SCHEMES.iter().find(|(known, _)| *known == scheme);
        let Some((_, protocol)) = found else {
            // Other parts may have a password.
            return Err(BucketError::Scheme(scheme.to_owned()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return Err(BucketError::BucketName);
        }
        let prefix = prefix.trim_end_matches('/');
        let is_plain = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_=+@ ".contains(c);
            !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain)
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(BucketError::Prefix);
        }
        Ok(Self {
            protocol: *protocol,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// A local directory.
    #[cfg(feature = "delta")]
    pub(crate) fn directory(path: &str) -> Self {
        Self {
            protocol: StoreProtocol::Directory,
            bucket: path.to_owned(),
            prefix: String::new(),
        }
    }

    /// The local directory, if it is one.
    #[cfg(feature = "delta")]
    pub(crate) fn local_directory(&self) -> Option<&Path> {
        (self.protocol == StoreProtocol::Directory).then(|| Path::new(&self.bucket))
    }

    /// The URL of an object of the export.
    pub(crate) fn of_object(&self, name: &str) -> String {
        format!("{self}/{name}")
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = SCHEMES.iter().find(|(_, known)| *known == self.protocol);
        match scheme {
            Some((scheme, _)) => write!(f, "{scheme}://{}", self.bucket)?,
            None => f.write_str(&self.bucket)?,
        }
        if self.prefix.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_and_a_prefix() {
        for (text, shown) in [
            ("s3://bucket", "s3://bucket"),
            ("gs://bucket/", "gs://bucket"),
            ("az://container/a/b=1//", "az://container/a/b=1"),
        ] {
            let url = BucketUrl::find(text).unwrap().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(BucketUrl::find(&url.to_string()).unwrap().unwrap(), url);
        }
        for directory in ["out", "s3:/bucket", "/a/b"] {
            assert!(BucketUrl::find(directory).is_none());
        }
    }

    #[test]
    fn a_url_with_a_password_a_parameter_or_an_odd_path_is_refused_without_showing_it() {
        for text in [
            "https://user:secret@host/bucket",
            "s3://user:secret@bucket/a",
            "s3://bucket/a?secret=1",
            "s3://bucket/../secret",
            "s3://bucket//secret",
            "s3://",
            "s3:///secret",
        ] {
            let error = BucketUrl::find(text).unwrap().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
