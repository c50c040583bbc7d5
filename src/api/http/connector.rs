//! Opens connections: direct ones and those through a proxy, with TLS where the URL requires it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::http::uri::{InvalidUri, Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::api::http::server_connection::{Hop, ServerConnection};
use crate::api::http::socks;
use crate::api::http::tcp_connector::{TcpConnector, tcp_connector};
use crate::api::http::transport_error::{BoxError, ConnectTimedOut};
use crate::api::proxy::Proxy;

/// The value of `User-Agent`.
pub(crate) const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("scale-export/", env!("CARGO_PKG_VERSION")));

/// Opens connections. A clone shares all parts.
#[derive(Clone)]
pub(crate) struct Connector(Arc<ConnectorParts>);

struct ConnectorParts {
    tcp: TcpConnector,
    tls: Arc<ClientConfig>,
    /// Like `tls`, but offers no protocol: proxies get requests in HTTP/1.1.
    proxy_tls: Arc<ClientConfig>,
    proxy: Option<ProxyRoute>,
    timeout: Duration,
}

/// A proxy, with its URL.
struct ProxyRoute {
    proxy: Proxy,
    url: Uri,
}

impl Connector {
    /// A connector that gives up after `timeout`, which includes TLS and the proxy.
    pub(crate) fn new(
        tls: ClientConfig,
        proxy: Option<&Proxy>,
        timeout: Duration,
    ) -> Result<Self, InvalidUri> {
        let mut proxy_tls = tls.clone();
        proxy_tls.alpn_protocols.clear();
        let route = |proxy: &Proxy| -> Result<ProxyRoute, InvalidUri> {
            let url = proxy.shown().parse()?;
            let proxy = proxy.clone();
            Ok(ProxyRoute { proxy, url })
        };
        Ok(Self(Arc::new(ConnectorParts {
            tcp: tcp_connector(timeout),
            tls: Arc::new(tls),
            proxy_tls: Arc::new(proxy_tls),
            proxy: proxy.map(route).transpose()?,
            timeout,
        })))
    }
}

impl Service<Uri> for Connector {
    type Response = ServerConnection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<ServerConnection, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            let opened = timeout(parts.timeout, parts.open(&url)).await;
            opened.unwrap_or_else(|_| Err(ConnectTimedOut.into()))
        })
    }
}

impl ConnectorParts {
    /// Opens a connection for requests to the server of a URL.
    async fn open(&self, url: &Uri) -> Result<ServerConnection, BoxError> {
        let is_tls = url.scheme() == Some(&Scheme::HTTPS);
        let mut is_proxy = false;
        let hop = match &self.proxy {
            None => Hop::Http(self.tcp.clone().call(url.clone()).await?),
            Some(ProxyRoute {
                proxy,
                url: proxy_url,
            }) if proxy.is_socks() => {
                Hop::Http(socks::connect(proxy, proxy_url, &self.tcp, url).await?)
            }
            Some(route) if is_tls => self.tunnel(route, url).await?,
            Some(route) => {
                is_proxy = true;
                self.to_proxy().call(route.url.clone()).await?
            }
        };
        let stream = if is_tls {
            let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
            let name = ServerName::try_from(host.to_owned())?;
            let tls = TlsConnector::from(Arc::clone(&self.tls));
            let stream = tls.connect(name, TokioIo::new(hop)).await?;
            MaybeHttpsStream::Https(TokioIo::new(stream))
        } else {
            MaybeHttpsStream::Http(hop)
        };
        Ok(ServerConnection { stream, is_proxy })
    }

    /// Lets an HTTP proxy connect to the server of a URL. The proxy sees the host, and no request.
    async fn tunnel(&self, route: &ProxyRoute, url: &Uri) -> Result<Hop, BoxError> {
        let mut headers = HeaderMap::from_iter([(USER_AGENT, USER_AGENT_VALUE)]);
        let authorization = route.proxy.authorization()?;
        headers.extend(authorization.map(|value| (PROXY_AUTHORIZATION, value)));
        let tunnel = Tunnel::new(route.url.clone(), self.to_proxy());
        Ok(tunnel.with_headers(headers).call(url.clone()).await?)
    }

    /// Connects to an HTTP proxy, with TLS if its URL requires it.
    fn to_proxy(&self) -> HttpsConnector<TcpConnector> {
        HttpsConnector::from((self.tcp.clone(), Arc::clone(&self.proxy_tls)))
    }
}
