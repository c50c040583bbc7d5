//! TCP connections: how host names are resolved, and when a connection counts as dead.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use tower_service::Service;

use crate::api::http::transport_error::DnsError;

/// The time without data after which TCP probes a connection, and between two probes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Probes without a response after which a connection is closed.
const KEEP_ALIVE_PROBES: u32 = 3;

/// The maximum time for which data that was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Opens TCP connections.
pub(crate) type TcpConnector = HttpConnector<HostResolver>;

/// A connector that gives up after `timeout`, which its attempts at several addresses share.
pub(crate) fn tcp_connector(timeout: Duration) -> TcpConnector {
    let mut tcp = HttpConnector::new_with_resolver(HostResolver(GaiResolver::new()));
    tcp.set_connect_timeout(Some(timeout));
    tcp.set_nodelay(true);
    // TLS is added by another layer.
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE));
    tcp.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(MAX_UNACKNOWLEDGED));
    tcp
}

/// Resolves host names as the system does, with errors that are recognized.
#[derive(Debug, Clone)]
pub(crate) struct HostResolver(GaiResolver);

impl Service<Name> for HostResolver {
    type Response = GaiAddrs;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, DnsError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), DnsError>> {
        self.0.poll_ready(context).map_err(DnsError)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(DnsError) })
    }
}
