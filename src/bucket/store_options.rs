//! How requests to a store are sent.

use std::time::Duration;

use crate::api::certificates::{Authorities, CaFile};

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of retries of a request.
const MAX_RETRIES: u32 = 8;

/// How long a request is retried. Its signature is valid for 15 minutes.
const RETRY_TIMEOUT: Duration = Duration::from_mins(3);

/// The variable of `--allow-http`. Commands without this option read it too.
const ALLOW_HTTP: &str = "SCALE_EXPORT_ALLOW_HTTP";

/// Values of a variable that is set.
const SET: [&str; 4] = ["1", "true", "yes", "on"];

/// How requests to a store are sent.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// CA certificates that are trusted in addition.
    pub(crate) ca_file: Option<CaFile>,
    /// The other CA certificates that are trusted.
    pub(crate) authorities: Authorities,
    /// Whether credentials may be sent over `http://` to a host other than loopback.
    pub(crate) allow_http: bool,
    /// The timeout for opening a connection.
    pub(crate) connect_timeout: Duration,
    /// The maximum number of retries of a request.
    pub(crate) max_retries: u32,
    /// How long a request is retried, at most [`RETRY_TIMEOUT`].
    pub(crate) retry_timeout: Duration,
}

impl StoreOptions {
    /// The options without any from the command line. Reads the CA certificates that variables name, and whether plain HTTP is
    /// allowed.
    pub(crate) fn of_environment() -> Self {
        Self {
            ca_file: None,
            authorities: Authorities::read(),
            allow_http: std::env::var(ALLOW_HTTP).is_ok_and(|value| SET.contains(&value.as_str())),
            connect_timeout: CONNECT_TIMEOUT,
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        }
    }

    /// With other limits for retries.
    pub(crate) fn with_retries(mut self, max_retries: u32, retry_timeout: Duration) -> Self {
        self.max_retries = max_retries;
        self.retry_timeout = retry_timeout.min(RETRY_TIMEOUT);
        self
    }
}
