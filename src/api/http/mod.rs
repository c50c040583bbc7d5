//! HTTP: connections with and without proxies and TLS, requests with timeouts, redirects.

#[cfg(feature = "buckets")]
pub mod body_client;
pub mod connector;
pub mod http_client;
pub mod redirect;
pub mod server_connection;
pub mod socks;
pub mod tcp_connector;
pub mod tls_config;
pub mod transport_error;
