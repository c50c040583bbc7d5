//! The errors that end a run on the network side.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::api::reply::Distrust;
use crate::error::{Exit, Explain};

/// Why fetching ended before every ID had a result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The API refused the key.
    #[error("could not fetch {what}: the API refused the key ({message})")]
    Refused {
        /// What was requested.
        what: String,
        /// 401, 402 or 403.
        status: u16,
        /// The message of the server.
        message: String,
    },
    /// Nothing succeeded for as long as the run allows.
    #[error("could not reach the API at `{host}`: no request succeeded for {}, after {requests} requests; the last error was: {message}", seconds(*.elapsed))]
    GaveUp {
        /// The host of the base URL.
        host: String,
        /// How long nothing succeeded.
        elapsed: Duration,
        /// All attempts of the run.
        requests: u64,
        /// Whether anything succeeded before, in this run.
        has_succeeded: bool,
        /// What went wrong last.
        message: String,
    },
    /// The server's certificate is not trusted.
    #[error("could not trust the API at `{host}`: {message}")]
    Untrusted {
        /// The host of the base URL.
        host: String,
        /// What is wrong with the certificate.
        why: Distrust,
        /// The message of the TLS library.
        message: String,
    },
    /// The system refused the memory that a body needs.
    #[error("could not keep the response for {what} in memory: {message}")]
    NoMemory {
        /// What was requested.
        what: String,
        /// The reason.
        message: String,
    },
    /// An ID failed, and `--fail-fast` stops at the first one.
    #[error("could not fetch `{task_id}`, and --fail-fast stops there: {message}")]
    FailFast {
        /// The ID.
        task_id: String,
        /// What went wrong.
        message: String,
    },
    /// The key has characters that a header cannot carry.
    #[error("could not use the API key: it has characters that a header cannot carry")]
    BadKey,
    /// The base URL is not valid.
    #[error("could not use the base URL `{url}`: {cause}")]
    BadUrl {
        /// As given.
        url: String,
        /// The reason.
        cause: String,
    },
    /// The key would be sent without encryption.
    #[error("could not use the base URL `{url}`: it would send the API key without encryption")]
    PlainHttp {
        /// As given.
        url: String,
    },
    /// The certificates could not be read.
    #[error("could not read certificates from `{}`: {cause}", path.display())]
    CaFile {
        /// As given.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// The proxy that a variable names cannot be used.
    #[error("could not use the proxy of {variable}: {cause}")]
    BadProxy {
        /// The variable.
        variable: &'static str,
        /// The reason.
        cause: String,
    },
    /// A variable cannot be read.
    #[error("could not read the environment: the value of {name} is not UTF-8")]
    Variable {
        /// The variable.
        name: &'static str,
    },
    /// There are no CA certificates on this machine.
    #[error("could not find CA certificates on this machine, which https needs")]
    NoCertificates,
    /// The HTTP client could not be built.
    #[error("could not set up the HTTP client: {0}")]
    Client(String),
    /// The receiver of the results has stopped.
    #[error("could not store {what}: the journal has stopped")]
    SinkClosed {
        /// The result that could not be handed over.
        what: String,
    },
    /// The list does not exist.
    #[error("could not list {list}: the API did not find it ({message})")]
    NoSuchList {
        /// The list.
        list: String,
        /// The message of the server.
        message: String,
    },
    /// A list cannot be read completely.
    #[error("could not list {list}: could not fetch page {page}: {message}")]
    ListFailed {
        /// The list.
        list: String,
        /// The number of the page, from 1.
        page: u64,
        /// What went wrong last.
        message: String,
    },
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

impl FetchError {
    /// Whether the run ended by decision, and not because it could not go on.
    pub fn is_decision(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::FailFast { .. })
    }
}

impl Explain for FetchError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused { status: 402, .. } => "ask Scale to enable the API for the account".into(),
            Self::Refused { .. } => {
                "check SCALE_API_KEY or --api-key-file, and that the key may read these tasks".into()
            }
            Self::GaveUp {
                has_succeeded: false,
                ..
            } => {
                "check --base-url, the network and the proxy; progress is saved, and the same command continues".into()
            }
            Self::GaveUp { .. } => {
                "progress is saved; run the same command again when the API responds".into()
            }
            Self::Untrusted { why, .. } => match why {
                Distrust::Authority => {
                    "if a proxy or a private server uses its own CA, give the CA certificate with --ca-file"
                }
                Distrust::Time => {
                    "check this machine's clock; if it is right, the server needs a new certificate"
                }
                Distrust::Name => "check --base-url: the certificate is not valid for its host",
                Distrust::Other => "check --base-url, and contact the operator of the server or the proxy",
            }
            .into(),
            Self::FailFast { .. } => {
                "progress is saved; run the same command again, or without --fail-fast to export the other IDs".into()
            }
            Self::NoMemory { .. } => {
                "raise the memory limit of the process, or refuse large responses with a lower --max-body; progress is saved".into()
            }
            Self::NoSuchList { .. } => {
                "check the ID or the name, and that the key may read it".into()
            }
            Self::ListFailed { .. } => {
                "progress is saved; run the same command again to continue".into()
            }
            Self::BadKey => "look for spaces or line breaks inside the key".into(),
            Self::BadUrl { .. } => "give a URL like https://api.scale.com".into(),
            Self::PlainHttp { .. } => {
                "use https://, or --allow-http to send the key unencrypted".into()
            }
            Self::CaFile { .. } => "give a PEM file with at least one certificate".into(),
            Self::BadProxy { variable, .. } => format!(
                "set {variable} to a URL like http://host:port or socks5://host:port, or add the API's host to NO_PROXY"
            ),
            Self::Variable { name } => format!("set {name} again, or unset it"),
            Self::NoCertificates => {
                "install the system's CA certificates (often the package ca-certificates), or give a PEM file with --ca-file"
                    .into()
            }
            Self::Client(_) | Self::SinkClosed { .. } => return None,
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Refused,
            Self::GaveUp { .. } | Self::Untrusted { .. } | Self::ListFailed { .. } => Exit::GaveUp,
            Self::NoSuchList { .. }
            | Self::BadKey
            | Self::BadUrl { .. }
            | Self::PlainHttp { .. }
            | Self::CaFile { .. }
            | Self::BadProxy { .. }
            | Self::Variable { .. }
            | Self::NoCertificates => Exit::Usage,
            Self::SinkClosed { .. } => Exit::Output,
            Self::FailFast { .. } | Self::Client(_) | Self::NoMemory { .. } => Exit::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_never_answered_may_be_the_wrong_one() {
        let hint = |has_succeeded| {
            let error = FetchError::GaveUp {
                host: "api.invalid".into(),
                elapsed: Duration::from_mins(5),
                requests: 9,
                has_succeeded,
                message: "no such host".into(),
            };
            error.hint().unwrap()
        };
        assert!(hint(false).contains("--base-url"));
        assert!(!hint(true).contains("--base-url"));
        assert!(
            hint(true).contains("progress is saved") && hint(false).contains("progress is saved")
        );
    }
}
