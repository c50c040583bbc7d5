//! The options of the HTTP client.

use std::time::Duration;

use secrecy::SecretString;

use crate::api::certificates::{Authorities, CaFile};

/// Where and how requests are sent.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The base URL of the API.
    pub base_url: String,
    /// The bearer token.
    pub api_key: SecretString,
    /// Values of the `expand` parameter.
    pub expand: Vec<String>,
    /// Values of the `opts` parameter.
    pub opts: Vec<String>,
    /// The maximum number of requests in flight.
    pub concurrency: usize,
    /// The timeout of one attempt, from its start to the last byte of the body.
    pub timeout: Duration,
    /// The timeout for opening a connection.
    pub connect_timeout: Duration,
    /// The maximum time between two pieces of a response.
    pub read_timeout: Duration,
    /// The largest body that is read, in bytes after decompression.
    pub max_body: u64,
    /// CA certificates that are trusted in addition.
    pub ca_file: Option<CaFile>,
    /// The other CA certificates that are trusted.
    pub authorities: Authorities,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read.
    pub proxy: bool,
    /// Whether the key may be sent over `http://` to a host other than loopback.
    pub allow_http: bool,
}

#[cfg(test)]
impl ClientOptions {
    /// Options for a base URL, with a key and without time limits.
    pub(crate) fn for_test(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            api_key: "live_0123456789".to_owned().into(),
            expand: Vec::new(),
            opts: Vec::new(),
            concurrency: 1,
            timeout: Duration::MAX,
            connect_timeout: Duration::MAX,
            read_timeout: Duration::MAX,
            max_body: u64::MAX,
            ca_file: None,
            authorities: Authorities::System,
            proxy: true,
            allow_http: true,
        }
    }
}
