//! Sends requests with a body over pooled connections, for callers that make whole requests themselves.

use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::api::http::connector::{Connector, USER_AGENT_VALUE};
use crate::api::http::http_client::{ClientFault, HttpSettings};
use crate::api::http::tls_config::tls_config;
use crate::api::http::transport_error::{BoxError, TransportError};

/// The protocol of all requests: large bodies gain nothing from sharing a connection.
const PROTOCOL: &str = "http/1.1";

/// A client with its pool of connections. It follows no redirects and adds no headers except those of the program and
/// the proxy.
#[derive(Debug)]
pub(crate) struct BodyClient<B> {
    client: Client<Connector, B>,
    proxy_authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl<B> BodyClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// A client without connections. `proxy_authorization` goes to a proxy that passes on plain requests.
    pub(crate) fn new(
        settings: &HttpSettings,
        proxy_authorization: Option<HeaderValue>,
    ) -> Result<Self, ClientFault> {
        let tls = tls_config(&settings.roots, &[PROTOCOL])?;
        let connector = Connector::new(tls, settings.proxy.as_ref(), settings.connect_timeout)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.concurrency)
            .build(connector);
        Ok(Self {
            client,
            proxy_authorization,
            timeout: settings.timeout,
        })
    }

    /// Sends a request. Returns when the headers of its response are received.
    pub(crate) async fn send(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, TransportError> {
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, USER_AGENT_VALUE);
        if let Some(value) = &self.proxy_authorization {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
        let response = timeout(self.timeout, self.client.request(request)).await;
        Ok(response.map_err(|_| TransportError::TimedOut)??)
    }
}
