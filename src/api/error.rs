//! The errors that end a run on the network side.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::api::reply::{AttemptFault, Distrust};
use crate::error::{Exit, Explain};
use crate::plural::{plural, time_text};

/// What the API did with the last request of an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageFault {
    /// It sent no response, or not all of it.
    NoResponse,
    /// It responded with status 429.
    RateLimited,
    /// It responded with another status than 200.
    ErrorStatus,
    /// It responded with status 200 and a body that is not the task or the page that was requested.
    NotTheApi,
}

impl From<AttemptFault> for OutageFault {
    fn from(fault: AttemptFault) -> Self {
        match fault {
            AttemptFault::Status(429) => Self::RateLimited,
            AttemptFault::Status(_) | AttemptFault::Redirect => Self::ErrorStatus,
            AttemptFault::BadBody | AttemptFault::WrongTask | AttemptFault::TooLarge => {
                Self::NotTheApi
            }
            AttemptFault::Network
            | AttemptFault::NoRoute
            | AttemptFault::Timeout
            | AttemptFault::Certificate(_)
            | AttemptFault::NoMemory => Self::NoResponse,
        }
    }
}

/// Why a base URL is not valid.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UrlMistake {
    /// It has no scheme, or another one.
    #[error("it must begin with https:// or http://")]
    Scheme,
    /// It cannot be parsed, for this reason. The type of the library's error stays private.
    #[error("{0}")]
    Syntax(String),
    /// It has a user name or a password.
    #[error("it must not carry a user name or password")]
    Credentials,
    /// It has a query or a fragment.
    #[error("it must not have a query or a fragment")]
    Query,
}

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
        /// Whether a task was received before, in this run.
        has_succeeded: bool,
    },
    /// Nothing succeeded for as long as the run allows.
    #[error("{}", gave_up_text(*.fault, .base_url, *.elapsed, *.requests, .message))]
    GaveUp {
        /// The base URL.
        base_url: String,
        /// What the API did last.
        fault: OutageFault,
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
    /// There is not enough memory for a body.
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
        #[source]
        cause: UrlMistake,
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
    /// An error of a dry run, which saves nothing.
    #[error(transparent)]
    Unsaved(Box<Self>),
}

fn gave_up_text(
    fault: OutageFault,
    base_url: &str,
    elapsed: Duration,
    requests: u64,
    message: &str,
) -> String {
    let silence = format!("no request succeeded for {}", time_text(elapsed));
    let what = match fault {
        OutageFault::NoResponse => {
            return format!(
                "could not reach the API at `{base_url}`: {silence}, after {}; the last error was: {message}",
                plural(requests, "request")
            );
        }
        OutageFault::RateLimited => "the API rate-limits the requests",
        OutageFault::ErrorStatus => "the API responds with errors",
        OutageFault::NotTheApi => {
            return format!(
                "could not fetch from `{base_url}`: it does not respond like the Scale API (status 200, {message}); {silence}"
            );
        }
    };
    format!("could not fetch from `{base_url}`: {what} ({message}); {silence}")
}

impl FetchError {
    /// Whether the run ended by decision, and not because it could not go on.
    pub fn is_decision(&self) -> bool {
        match self {
            Self::Unsaved(error) => error.is_decision(),
            Self::Refused { .. } | Self::FailFast { .. } => true,
            _ => false,
        }
    }

    /// The same error for a run that saves nothing.
    pub(crate) fn unsaved(self) -> Self {
        Self::Unsaved(Box::new(self))
    }

    /// The error itself, whether a run or a dry run ended with it.
    pub(crate) fn cause(&self) -> &Self {
        match self {
            Self::Unsaved(error) => error.cause(),
            error => error,
        }
    }

    /// Whether the run saved what it fetched before this error.
    fn is_progress_saved(&self) -> bool {
        match self {
            Self::Refused { has_succeeded, .. } => *has_succeeded,
            Self::GaveUp { .. }
            | Self::FailFast { .. }
            | Self::NoMemory { .. }
            | Self::ListFailed { .. } => true,
            _ => false,
        }
    }

    /// What the user can do, whether progress is saved or not.
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unsaved(error) => return error.advice(),
            Self::Refused { status: 402, .. } => "contact Scale to enable the API for the account".into(),
            Self::Refused { .. } => {
                "check SCALE_API_KEY or --api-key-file, and that the key may read these tasks".into()
            }
            Self::GaveUp {
                fault,
                has_succeeded,
                ..
            } => match fault {
                OutageFault::NoResponse if *has_succeeded => {
                    "run the same command again when the API responds"
                }
                OutageFault::NoResponse => {
                    "check --base-url, the network and the proxy, and run the same command again"
                }
                OutageFault::RateLimited => {
                    "run the same command again later; if another program uses this key, lower --rate"
                }
                OutageFault::ErrorStatus => "run the same command again when the API works",
                OutageFault::NotTheApi => {
                    "check --base-url and the proxy: a login page responds like this"
                }
            }
            .into(),
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
                "run the same command again, or without --fail-fast to export the other IDs".into()
            }
            Self::NoMemory { .. } => {
                "raise the memory limit of the process, or refuse large responses with a lower --max-body".into()
            }
            Self::NoSuchList { .. } => {
                "check the ID or the name, and that the key may read it".into()
            }
            Self::ListFailed { .. } => {
                "run the same command again".into()
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
}

impl Explain for FetchError {
    fn hint(&self) -> Option<String> {
        let advice = self.advice()?;
        Some(match self {
            // The likely mistake comes first.
            Self::GaveUp {
                has_succeeded: false,
                ..
            } => format!("{advice}; progress is saved"),
            _ if self.is_progress_saved() => format!("progress is saved; {advice}"),
            _ => advice,
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unsaved(error) => error.exit(),
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

    fn gave_up(fault: AttemptFault, has_succeeded: bool, message: &str) -> FetchError {
        FetchError::GaveUp {
            base_url: "https://api.invalid".into(),
            fault: fault.into(),
            elapsed: Duration::from_mins(5),
            requests: 9,
            has_succeeded,
            message: message.into(),
        }
    }

    #[test]
    fn an_outage_is_explained_by_its_last_fault() {
        for (fault, message, text, advice) in [
            (
                AttemptFault::NoRoute,
                "no such host",
                "could not reach the API at `https://api.invalid`: no request succeeded for 5 min, after 9 requests; the last error was: no such host",
                "check --base-url, the network and the proxy, and run the same command again",
            ),
            (
                AttemptFault::Status(429),
                "status 429",
                "could not fetch from `https://api.invalid`: the API rate-limits the requests (status 429); no request succeeded for 5 min",
                "run the same command again later; if another program uses this key, lower --rate",
            ),
            (
                AttemptFault::Status(500),
                "status 500: broken",
                "could not fetch from `https://api.invalid`: the API responds with errors (status 500: broken); no request succeeded for 5 min",
                "run the same command again when the API works",
            ),
            (
                AttemptFault::BadBody,
                "the body is not JSON",
                "could not fetch from `https://api.invalid`: it does not respond like the Scale API (status 200, the body is not JSON); no request succeeded for 5 min",
                "check --base-url and the proxy: a login page responds like this",
            ),
        ] {
            let error = gave_up(fault, false, message);
            assert_eq!(error.to_string(), text);
            assert_eq!(
                error.hint().unwrap(),
                format!("{advice}; progress is saved")
            );
            let error = error.unsaved();
            assert_eq!(error.to_string(), text);
            assert_eq!(error.hint().unwrap(), advice);
            assert_eq!(error.exit(), Exit::GaveUp);
        }
        // A server that responded before is not the wrong one.
        let hint = gave_up(AttemptFault::Timeout, true, "timed out").hint();
        assert!(!hint.unwrap().contains("--base-url"));
    }
}
