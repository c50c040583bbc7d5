//! Sends requests over pooled connections, with timeouts, and follows redirects within the origin.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderMap, LOCATION};
use hyper::http::uri::InvalidUri;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::api::http::connector::Connector;
use crate::api::http::redirect::{RedirectRefusal, redirect_target};
use crate::api::http::tls_config::{TrustedRoots, tls_config};
use crate::api::http::transport_error::TransportError;
use crate::api::proxy::Proxy;

/// The longest time limit. The clock cannot represent the end of much longer ones.
const MAX_LIMIT: Duration = Duration::from_hours(24 * 365);

/// The maximum time without data before a ping is sent, and for its response.
const MAX_PING: Duration = Duration::from_secs(10);

/// The minimum of the same time: a busy machine is not a silent one.
const MIN_PING: Duration = Duration::from_secs(1);

/// Parts of the read timeout: one until the ping, one for its response, and one to spare.
const PING_PARTS: u32 = 3;

/// The time after which a connection without requests is closed.
const MAX_IDLE: Duration = Duration::from_secs(90);

/// The maximum number of headers of a response over HTTP/1.1.
const MAX_HEADERS: usize = 1_000;

/// The maximum size in bytes of the headers of a response over HTTP/2, as much as over HTTP/1.1.
const MAX_HEADER_BYTES: u32 = 400 * 1024;

/// Bytes that may wait on an HTTP/2 connection until they are read, for all its responses together.
const WAITING_BYTES: u32 = 32 << 20;

/// The minimum window in bytes of one response: the initial window of HTTP/2.
const MIN_WINDOW: u32 = 64 << 10;

/// The maximum window in bytes of one response: enough for 20 MB per second at 100 ms of latency.
const MAX_WINDOW: u32 = 2 << 20;

/// Protocols that are offered in a TLS handshake, the preferred first.
const PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// What a client is built from.
#[derive(Debug)]
pub(crate) struct HttpSettings {
    /// The headers of every request.
    pub(crate) headers: HeaderMap,
    /// The timeout of a request, from its start to the last byte of the body.
    pub(crate) timeout: Duration,
    /// The timeout for opening a connection, with its proxy and TLS.
    pub(crate) connect_timeout: Duration,
    /// The maximum time between two pieces of a response.
    pub(crate) read_timeout: Duration,
    /// The maximum number of requests in flight.
    pub(crate) concurrency: usize,
    pub(crate) roots: TrustedRoots,
    pub(crate) proxy: Option<Proxy>,
}

/// Why a client cannot be built.
#[derive(Debug, Error)]
pub(crate) enum ClientFault {
    /// A certificate cannot be used, or the system has none.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The proxy has no valid URL.
    #[error(transparent)]
    Proxy(#[from] InvalidUri),
}

/// A client with its pool of connections.
#[derive(Debug)]
pub(crate) struct HttpClient {
    client: Client<Connector, Empty<Bytes>>,
    headers: HeaderMap,
    timeout: Duration,
    read_timeout: Duration,
}

/// A response whose body is being received.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    response: Response<Incoming>,
    refusal: Option<RedirectRefusal>,
    end: Instant,
    read_timeout: Duration,
}

impl HttpClient {
    /// A client without connections, which uses HTTP/2 where the server offers it, or HTTP/1.1 only.
    pub(crate) fn new(settings: &HttpSettings, is_http1: bool) -> Result<Self, ClientFault> {
        let streams = u32::try_from(settings.concurrency.max(1)).unwrap_or(u32::MAX);
        let window = (WAITING_BYTES / streams).clamp(MIN_WINDOW, MAX_WINDOW);
        // With room for the windows of all responses, those that wait for memory do not block the others.
        let all_windows = window.saturating_mul(streams).min(i32::MAX.unsigned_abs());
        let ping = (settings.read_timeout / PING_PARTS).clamp(MIN_PING, MAX_PING);
        let [_, http1] = PROTOCOLS;
        let protocols = if is_http1 { &[http1][..] } else { &PROTOCOLS };
        let tls = tls_config(&settings.roots, protocols)?;
        let connector = Connector::new(tls, settings.proxy.as_ref(), settings.connect_timeout)?;
        // A request is sent again only if its connection was closed before any byte of it was sent, so the server
        // receives no request that the pacer does not know of.
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(MAX_IDLE)
            // Fewer would close connections that the next requests need.
            .pool_max_idle_per_host(settings.concurrency)
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_initial_stream_window_size(window)
            .http2_initial_connection_window_size(all_windows)
            .http2_keep_alive_interval(ping)
            .http2_keep_alive_timeout(ping)
            .http2_keep_alive_while_idle(true)
            .build(connector);
        Ok(Self {
            client,
            headers: settings.headers.clone(),
            timeout: settings.timeout,
            read_timeout: settings.read_timeout,
        })
    }

    /// Requests a URL. Returns the response to the last redirect, which is a redirect if it was not followed.
    pub(crate) async fn get(&self, mut url: Uri) -> Result<HttpResponse, TransportError> {
        let mut start = Instant::now();
        let end = after(start, self.timeout);
        let mut followed = 0;
        loop {
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = url.clone();
            *request.headers_mut() = self.headers.clone();
            // One timer serves both limits.
            let limit = end.min(after(start, self.read_timeout));
            let response = timeout_at(limit, self.client.request(request)).await;
            let response = response.map_err(|_| TransportError::TimedOut)??;
            let status = response.status();
            let refusal = if status.is_redirection() {
                let location = response.headers().get(LOCATION);
                match redirect_target(&url, status, location, followed) {
                    Ok(target) => {
                        url = target;
                        followed += 1;
                        start = Instant::now();
                        continue;
                    }
                    Err(refusal) => Some(refusal),
                }
            } else {
                None
            };
            return Ok(HttpResponse {
                response,
                refusal,
                end,
                read_timeout: self.read_timeout,
            });
        }
    }
}

/// The end of a time limit.
fn after(start: Instant, limit: Duration) -> Instant {
    start + limit.min(MAX_LIMIT)
}

impl HttpResponse {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Why the redirect that this is was not followed.
    pub(crate) fn refusal(&self) -> Option<&RedirectRefusal> {
        self.refusal.as_ref()
    }

    /// The size of the body in bytes, before decompression, if it is known.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.response.body().size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let limit = self.end.min(after(Instant::now(), self.read_timeout));
        loop {
            let frame = timeout_at(limit, self.response.body_mut().frame()).await;
            let Some(frame) = frame.map_err(|_| TransportError::TimedOut)? else {
                return Ok(None);
            };
            // Trailers are skipped.
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that reads one request per connection, writes this response, and keeps the connection open.
    async fn server(response: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1_024]).await;
                let _ = stream.write_all(response.as_bytes()).await;
                open.push(stream);
            }
        });
        address
    }

    fn client(timeout: Duration, read_timeout: Duration) -> HttpClient {
        let settings = HttpSettings {
            headers: HeaderMap::new(),
            timeout,
            connect_timeout: Duration::MAX,
            read_timeout,
            concurrency: usize::MAX,
            roots: TrustedRoots::Only(Vec::new()),
            proxy: None,
        };
        HttpClient::new(&settings, false).unwrap()
    }

    async fn get(client: &HttpClient, address: SocketAddr) -> Result<HttpResponse, TransportError> {
        client
            .get(format!("http://{address}/").parse().unwrap())
            .await
    }

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn each_limit_ends_the_wait_for_a_response_and_for_its_body() {
        let silent = server("").await;
        let unfinished = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody").await;
        for (timeout, read_timeout) in [(SHORT, LONG), (LONG, SHORT)] {
            let begin = Instant::now();
            let client = client(timeout, read_timeout);
            let error = get(&client, silent).await.unwrap_err();
            assert!(error.is_timeout() && !error.is_connect());
            let mut response = get(&client, unfinished).await.unwrap();
            assert_eq!(response.content_length(), Some(9));
            assert_eq!(response.chunk().await.unwrap().unwrap(), "body");
            assert!(response.chunk().await.unwrap_err().is_timeout());
            assert!(begin.elapsed() < LONG);
        }
    }

    #[tokio::test]
    async fn limits_beyond_the_clock_do_not_panic() {
        let address = server("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await;
        let client = client(Duration::MAX, Duration::MAX);
        let mut response = get(&client, address).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "body");
        assert!(response.chunk().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn redirects_in_a_circle_end() {
        let circle =
            "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let client = client(Duration::MAX, Duration::MAX);
        let response = get(&client, server(circle).await).await.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(response.refusal(), Some(&RedirectRefusal::TooMany));
    }
}
