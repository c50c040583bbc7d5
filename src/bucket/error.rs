//! Errors of exports in object stores.

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::output_error::OutputError;
use crate::plural::plural;
use crate::publish::guard::NotPublished;

/// What makes a request to a store fail, as far as it decides what the user can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The store refused the credentials, or the permission of their owner.
    Credentials,
    /// There are no credentials: the service that a cloud's machines get them from cannot be reached.
    NoCredentials,
    /// The bucket or the object does not exist.
    NotFound,
    /// No response was received.
    Network,
    /// Any other response of the store.
    Response,
}

impl StoreFault {
    /// What the user can do.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Credentials => {
                "renew the credentials, and allow them to list, read, write and delete below the URL; fetched tasks are kept"
            }
            Self::NoCredentials => {
                "set credentials in the environment, such as AWS_ACCESS_KEY_ID or AWS_PROFILE (docs/buckets.md); fetched tasks are kept"
            }
            Self::NotFound => "create the bucket, and check its name, region and endpoint",
            Self::Network => {
                "check the network, the proxy and the endpoint, and run the same command again; fetched tasks are kept"
            }
            Self::Response => {
                "run the same command again; fetched tasks and uploaded files are kept"
            }
        }
    }
}

/// Why an export in an object store could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The URL has another scheme than those of object stores.
    #[error("could not use the URL: `{0}://` is not a supported scheme")]
    Scheme(String),
    /// The URL of a local directory has a host or an encoded character.
    #[cfg(feature = "delta")]
    #[error("could not use the URL: `file://` needs an absolute path without `%`, `?` and `#`")]
    FileUrl,
    /// The URL has no bucket, or more than its name.
    #[error("could not use the URL: it does not begin with the name of a bucket")]
    BucketName,
    /// The path in the URL has other characters than those of plain names.
    #[error(
        "could not use the URL: the path after the bucket has empty parts, `..`, or characters with a meaning in URLs"
    )]
    Prefix,
    /// The configuration of the store's own tools cannot be used.
    #[error("could not read the configuration of `{url}`: {cause}")]
    Configuration {
        /// The export.
        url: String,
        /// Why.
        cause: String,
        /// What the user can do.
        hint: &'static str,
    },
    /// A request failed, after all retries.
    #[error("could not {operation} `{url}`: {cause} ({})", plural((*attempts).into(), "attempt"))]
    Store {
        /// The operation, as a verb.
        operation: &'static str,
        /// The object, without credentials.
        url: String,
        /// Requests that were sent.
        attempts: u32,
        /// What the store responded, or why it did not.
        cause: String,
        /// What decides the hint.
        fault: StoreFault,
    },
    /// The store executes conditional requests whatever their condition, so two runs could publish at the same time.
    #[error("could not use `{url}`: the store ignores the condition of a request ({condition})")]
    NoConditions {
        /// The export.
        url: String,
        /// The condition that it ignored.
        condition: &'static str,
    },
    /// Another run published in the same place after this run had read the manifest.
    #[error("could not publish in `{url}`: another run has published there since this run started")]
    Overtaken {
        /// The export.
        url: String,
    },
    /// The place has an object that scale-export did not create, under a name that this run publishes.
    #[error("could not use `{url}`: it has a `{name}` that scale-export did not create")]
    TakenObject {
        /// The export.
        url: String,
        /// The object.
        name: String,
    },
    /// The place has no manifest.
    #[error("could not find an export in `{url}`: it has no manifest.json")]
    NoExport {
        /// Where.
        url: String,
    },
    /// The manifest is not one of this version of scale-export.
    #[error("could not read the manifest `{url}`: {cause}")]
    Manifest {
        /// The manifest.
        url: String,
        /// Why.
        cause: String,
    },
    /// A downloaded object is not the one that the manifest names.
    #[error("could not download `{url}`: its {what} is not that in the manifest")]
    OtherContent {
        /// The object.
        url: String,
        /// Its size or its checksum.
        what: &'static str,
    },
    /// An object that the manifest names is missing.
    #[error("could not download `{url}`: the manifest names it, and it is missing")]
    MissingObject {
        /// The object.
        url: String,
    },
    /// The export must not replace the one in the store.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
    /// A local file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A runtime for the requests could not be started.
    #[error("could not start the runtime: {0}")]
    Runtime(std::io::Error),
}

impl Explain for BucketError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Scheme(_) => "write s3://bucket/path, gs://bucket/path or az://container/path",
            #[cfg(feature = "delta")]
            Self::FileUrl => "write the path without file://",
            Self::BucketName | Self::Prefix => {
                "write s3://bucket/path; credentials come from the environment or a profile"
            }
            Self::Configuration { hint, .. } => hint,
            Self::Store { fault, .. } => fault.hint(),
            Self::NoConditions { .. } => {
                "use a store with conditional writes (S3, Google Cloud Storage, Azure Blob Storage), or export to a directory and copy it"
            }
            Self::Overtaken { .. } => {
                "let only one run at a time publish in a place; the next run publishes what this one has built"
            }
            Self::TakenObject { .. } => {
                "choose another path with --out, move the object away, or overwrite it with --force"
            }
            Self::NoExport { .. } => "check the URL",
            Self::Manifest { .. } => {
                "use the version of scale-export that wrote it, or export to another path"
            }
            Self::OtherContent { .. } => {
                "delete this object in the store, and run the export again: it uploads what is missing"
            }
            Self::MissingObject { .. } => "run the export again: it uploads what is missing",
            Self::NotPublished(error) => return error.hint(),
            Self::Output(error) => return error.hint(),
            Self::Runtime(_) => crate::threads::THREAD_HINT,
        };
        Some(hint.to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            #[cfg(feature = "delta")]
            Self::FileUrl => Exit::Usage,
            Self::Scheme(_)
            | Self::BucketName
            | Self::Prefix
            | Self::NoConditions { .. }
            | Self::Overtaken { .. }
            | Self::TakenObject { .. }
            | Self::NoExport { .. }
            | Self::Manifest { .. } => Exit::Usage,
            Self::Configuration { .. } | Self::Store { .. } => Exit::Output,
            Self::OtherContent { .. } | Self::MissingObject { .. } => Exit::Mismatch,
            Self::NotPublished(error) => error.exit(),
            Self::Output(error) => error.exit(),
            Self::Runtime(_) => Exit::Failure,
        }
    }
}
