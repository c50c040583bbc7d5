//! One attempt: a request, its response, and the body within its limit.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use hyper::http::uri::InvalidUri;
use hyper::{StatusCode, Uri};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::api::base_url::{Endpoints, usable_url};
use crate::api::connections::{ConnectionPool, Connections, find_proxy};
use crate::api::content_encoding::{DecodeError, DecodedBody};
use crate::api::decoders::STEP_BYTES;
use crate::api::error::FetchError;
use crate::api::error_text;
use crate::api::error_text::MAX_ERROR_BODY;
use crate::api::http::http_client::HttpResponse;
use crate::api::http::transport_error::{TransportError, cause};
use crate::api::list_request::PageRequest;
use crate::api::memory_budget::MemoryShare;
use crate::api::options::ClientOptions;
use crate::api::proxy::Proxy;
use crate::api::rate_limit_headers::{may_be_quota, quotas};
use crate::api::reply::{AttemptError, AttemptFault, Distrust, Reply};
use crate::api::retry_after::{clock_lead, retry_after};
use crate::api::tunnel::diagnose;
use crate::memory::NO_MEMORY;

/// The maximum size in bytes of a page of several tasks. A larger page is requested again in smaller parts.
const MAX_PAGE_BYTES: u64 = 32 << 20;

/// The status of a proxy that requires a user name and a password.
const PROXY_AUTHENTICATION: u16 = 407;

/// Requests tasks from one server.
#[derive(Debug)]
pub struct TaskClient {
    connections: Connections,
    url: Url,
    connect_timeout: Duration,
    endpoints: Endpoints,
    max_body: u64,
    secret: secrecy::SecretString,
}

impl TaskClient {
    /// Checks the base URL, the key and the certificates. It sends no request.
    pub fn new(options: &ClientOptions) -> Result<Self, FetchError> {
        let url = usable_url(options)?;
        let proxy = find_proxy(&url, options)?;
        Self::behind(proxy, url, options)
    }

    /// Like [`new`](Self::new), but a fault in one part does not hide those in others. Without a usable proxy, the client
    /// has none.
    pub(crate) fn in_parts(options: &ClientOptions) -> Result<ClientParts, FetchError> {
        let url = usable_url(options)?;
        let (proxy, fault) = match find_proxy(&url, options) {
            Ok(proxy) => (proxy, None),
            Err(fault) => (None, Some(fault)),
        };
        Ok(ClientParts {
            proxy: fault.map_or_else(|| Ok(proxy.clone()), Err),
            client: Self::behind(proxy, url, options),
        })
    }

    fn behind(proxy: Option<Proxy>, url: Url, options: &ClientOptions) -> Result<Self, FetchError> {
        let connections = Connections::new(&url, options, proxy)?;
        Ok(Self {
            connections,
            endpoints: Endpoints::new(&url, options)?,
            url,
            connect_timeout: options.connect_timeout,
            max_body: options.max_body,
            secret: options.api_key.clone(),
        })
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The base URL, for messages. It has no credentials.
    pub(crate) fn base_url(&self) -> String {
        self.endpoints.base().to_owned()
    }

    /// Whether connections are encrypted, and need CA certificates.
    pub(crate) fn is_tls(&self) -> bool {
        self.connections.is_tls()
    }

    /// Host and port that connections are made to: those of the proxy, if there is one. An IPv6 address has no brackets.
    pub(crate) fn first_hop(&self) -> (String, u16) {
        let (host, port) = match self.connections.proxy() {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (
                self.url.host_str().unwrap_or_default(),
                self.url.port_or_known_default().unwrap_or_default(),
            ),
        };
        (host.trim_matches(['[', ']']).to_owned(), port)
    }

    /// Requests one task.
    pub(crate) async fn task(&self, task_id: &str, share: &mut MemoryShare<'_>) -> Reply<Bytes> {
        let url = self.endpoints.task(task_id);
        self.get(url, self.max_body, share).await
    }

    /// Requests a page of a list.
    pub(crate) async fn page(
        &self,
        request: &PageRequest,
        share: &mut MemoryShare<'_>,
    ) -> Reply<Bytes> {
        let max_body = match request.limit {
            1 => self.max_body,
            _ => self.max_body.min(MAX_PAGE_BYTES),
        };
        let url = self.endpoints.page(request);
        self.get(url, max_body, share).await
    }

    async fn get(
        &self,
        url: Result<Uri, InvalidUri>,
        max_body: u64,
        share: &mut MemoryShare<'_>,
    ) -> Reply<Bytes> {
        let url = match url {
            Ok(url) => url,
            // The name of a list or a page token is too long.
            Err(error) => {
                let message = format!("could not build the URL of the request: {error}");
                let error = AttemptError::new(AttemptFault::Network, message);
                return Reply::without_response(None, error);
            }
        };
        // Taken once: another attempt may replace the pool meanwhile, and faults belong to the one that was used.
        let pool = self.connections.pool();
        let mut response = match pool.client.get(url).await {
            Ok(response) => response,
            Err(error) => {
                let (status, error) = Box::pin(self.transport(&pool, &error)).await;
                return Reply::without_response(status, error);
            }
        };
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let now = SystemTime::now();
        // Parsing all spellings takes longer than looking at the names.
        let mut names = response.headers().keys().map(HeaderName::as_str);
        let quotas = if names.any(may_be_quota) {
            quotas(header, now)
        } else {
            Vec::new()
        };
        let clock_lead = header(DATE.as_str()).and_then(|date| clock_lead(date, now));
        let is_success = response.status() == StatusCode::OK;
        let status = response.status().as_u16();
        let (bytes, retry_after, body) = if is_success {
            let (bytes, body) = self.body(&pool, &mut response, max_body, share).await;
            (bytes, None, body)
        } else {
            // The wait counts from the headers; the body may take a while.
            let wait = retry_after(header(RETRY_AFTER.as_str()), header(DATE.as_str()), now);
            let body = error_body(&mut response).await;
            let error = self.refusal(&response, &body);
            (body.len() as u64, wait, Err(error))
        };
        let is_broken = body.as_ref().is_err_and(|error| {
            matches!(error.fault, AttemptFault::Network | AttemptFault::Timeout)
        });
        // An error status shows a working connection as well.
        if !is_broken {
            self.connections.worked(&pool);
        }
        Reply {
            status: Some(status),
            quotas,
            clock_lead,
            retry_after,
            bytes,
            body,
        }
    }

    /// Reads and decodes a body. Returns the number of bytes received, and the body.
    async fn body(
        &self,
        pool: &ConnectionPool,
        response: &mut HttpResponse,
        max_body: u64,
        share: &mut MemoryShare<'_>,
    ) -> (u64, Result<Bytes, AttemptError>) {
        // A body gets separate memory, because a piece of the connection's buffer would keep the whole buffer from
        // being reused. Memory is reserved for what has arrived, not for what a header promises.
        let mut body = match DecodedBody::new(&encoding(response.headers()), max_body) {
            Ok(body) => body,
            Err(error) => return (0, Err(self.undecodable(error, max_body))),
        };
        let expected = response.content_length().unwrap_or_default();
        // The length of a compressed body says nothing about its size.
        if body.is_identity() && expected > max_body {
            return (0, Err(self.undecodable(DecodeError::TooLarge, max_body)));
        }
        if let Err(error) = receive(response, &mut body, share).await {
            let error = match error {
                ReceiveError::Transport(error) => Box::pin(self.transport(pool, &error)).await.1,
                ReceiveError::Decode(error) => self.undecodable(error, max_body),
            };
            return (body.len() as u64, Err(error));
        }
        let (mut body, done) = body.finish();
        let bytes = body.len() as u64;
        if let Err(error) = done {
            return (bytes, Err(self.undecodable(error, max_body)));
        }
        if body.capacity() - body.len() > STEP_BYTES {
            // Up to half of the memory may be unused.
            body.shrink_to_fit();
        }
        (bytes, Ok(Bytes::from(body)))
    }

    fn undecodable(&self, error: DecodeError, max_body: u64) -> AttemptError {
        let (fault, what) = match error {
            DecodeError::TooLarge => (
                AttemptFault::TooLarge,
                format!("the body is over {max_body} bytes"),
            ),
            DecodeError::NoMemory => (AttemptFault::NoMemory, NO_MEMORY.to_owned()),
            DecodeError::Broken(error) => (
                AttemptFault::Network,
                format!("could not decompress the body: {error}"),
            ),
            DecodeError::Unknown(encoding) => (
                AttemptFault::BadBody,
                format!("could not decompress the body: its encoding is `{encoding}`"),
            ),
        };
        AttemptError::new(fault, self.printable(&what))
    }

    /// Describes a response that is not a success.
    fn refusal(&self, response: &HttpResponse, body: &[u8]) -> AttemptError {
        let status = response.status().as_u16();
        if let Some(why) = response.refusal() {
            let message = self.printable(&format!("status {status}: {why}"));
            return AttemptError::new(AttemptFault::Redirect, message);
        }
        let message = error_text::of_body(status, body, self.secret.expose_secret());
        match self.connections.proxy() {
            Some(proxy) if status == PROXY_AUTHENTICATION => {
                let message = format!("the proxy {}: {message}", proxy.shown());
                AttemptError::new(AttemptFault::NoRoute, message)
            }
            _ => AttemptError::new(AttemptFault::Status(status), message),
        }
    }

    /// Describes an attempt without a whole response. Returns the status of the proxy if the proxy refused to connect. Its
    /// future is large and rarely needed, so callers box it: the future of every request would have room for it, and be
    /// copied with it.
    async fn transport(
        &self,
        pool: &ConnectionPool,
        error: &TransportError,
    ) -> (Option<u16>, AttemptError) {
        let reason = cause::<h2::Error>(error).and_then(h2::Error::reason);
        // Such servers refuse every request over HTTP/2, so another connection would not help.
        if reason == Some(h2::Reason::HTTP_1_1_REQUIRED) {
            self.connections.use_http1(pool);
        } else if !error.is_connect() {
            self.connections.broke(pool);
        }
        // A wrong certificate is not a fault of the proxy, so the proxy is not tested then.
        let distrust = cause(error).and_then(distrust);
        let proxy = self.connections.proxy().filter(|_| error.is_connect());
        let proxy_failure = match proxy {
            Some(proxy) if distrust.is_none() => {
                let is_tunnel = self.url.scheme() == "https";
                let tunnel = is_tunnel.then(|| self.host_and_port());
                diagnose(proxy, tunnel.as_deref(), self.connect_timeout).await
            }
            _ => None,
        };
        let fault = if let Some(why) = distrust {
            AttemptFault::Certificate(why)
        } else if proxy_failure.is_some() || error.is_dns() {
            AttemptFault::NoRoute
        } else if error.is_timeout() {
            AttemptFault::Timeout
        } else if self.is_behind_socks() && error.is_connect() && !is_no_tls(error) {
            // The proxy responds, but does not connect to the server.
            AttemptFault::NoRoute
        } else {
            AttemptFault::Network
        };
        let (status, what) = match (proxy_failure, proxy) {
            (Some(failure), _) => (failure.status, failure.message),
            (None, Some(proxy)) => {
                let what = transport_text(fault, error);
                let what = format!("through the proxy {}: {what}", proxy.shown());
                (None, what)
            }
            (None, None) => (None, transport_text(fault, error)),
        };
        (status, AttemptError::new(fault, self.printable(&what)))
    }

    /// Text that may be shown: printable, and without the key.
    fn printable(&self, text: &str) -> String {
        error_text::printable(text, self.secret.expose_secret())
    }

    fn is_behind_socks(&self) -> bool {
        self.connections.proxy().is_some_and(Proxy::is_socks)
    }

    fn host_and_port(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }
}

/// A client, and the reasons why it or its proxy cannot be used.
#[derive(Debug)]
pub(crate) struct ClientParts {
    /// The proxy in front of the server, if there is one.
    pub(crate) proxy: Result<Option<Proxy>, FetchError>,
    /// The client; otherwise the fault is in the certificates or the key.
    pub(crate) client: Result<TaskClient, FetchError>,
}

/// Why a body was not received completely.
enum ReceiveError {
    Transport(TransportError),
    Decode(DecodeError),
}

/// Receives and decodes a whole body, as memory becomes available.
async fn receive(
    response: &mut HttpResponse,
    body: &mut DecodedBody,
    share: &mut MemoryShare<'_>,
) -> Result<(), ReceiveError> {
    while let Some(chunk) = response.chunk().await.map_err(ReceiveError::Transport)? {
        let mut rest = &chunk[..];
        loop {
            // Before the step, so that no memory is taken that the budget does not have.
            share.grow_to(body.size_after_step() as u64).await;
            let step = body.step(rest).map_err(ReceiveError::Decode)?;
            rest = rest.get(step.used..).unwrap_or_default();
            if rest.is_empty() && !step.has_more {
                break;
            }
        }
    }
    Ok(())
}

/// What went wrong in transport, as a message.
fn transport_text(fault: AttemptFault, error: &TransportError) -> String {
    match fault {
        AttemptFault::Timeout if error.is_connect() => "timed out while connecting".to_owned(),
        AttemptFault::Timeout if is_ping_timeout(error) => {
            "timed out: the connection is silent, and the server did not respond to a ping"
                .to_owned()
        }
        AttemptFault::Timeout => "timed out".to_owned(),
        _ if is_no_tls(error) => "the server does not respond in TLS".to_owned(),
        _ => error.last_cause(),
    }
}

/// The encoding of a body, from its headers.
fn encoding(headers: &HeaderMap) -> String {
    // Several headers mean the same as one with commas.
    let named = headers.get_all(CONTENT_ENCODING).iter();
    let named: Vec<_> = named
        .map(|name| String::from_utf8_lossy(name.as_bytes()))
        .collect();
    named.join(", ")
}

/// The beginning of an error's body, as far as it can be read.
async fn error_body(response: &mut HttpResponse) -> Vec<u8> {
    let Ok(mut body) = DecodedBody::new(&encoding(response.headers()), MAX_ERROR_BODY as u64)
    else {
        return Vec::new();
    };
    while body.len() < MAX_ERROR_BODY
        && let Ok(Some(chunk)) = response.chunk().await
        && body.push(&chunk).is_ok()
    {}
    body.finish().0
}

/// Whether the connection was closed because the server did not respond to an HTTP/2 ping.
fn is_ping_timeout(error: &TransportError) -> bool {
    cause(error).is_some_and(hyper::Error::is_timeout)
}

/// Whether the server does not speak TLS. What the client reports as a corrupt message is usually plain HTTP.
fn is_no_tls(error: &TransportError) -> bool {
    matches!(
        cause(error),
        Some(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
        ))
    )
}

/// What is wrong with the server's certificate, if that is why the handshake failed.
fn distrust(error: &rustls::Error) -> Option<Distrust> {
    use rustls::CertificateError as Bad;
    Some(match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => Distrust::Authority,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Distrust::Time,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Distrust::Name,
            _ => Distrust::Other,
        },
        rustls::Error::NoCertificatesPresented => Distrust::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_errors_are_recognized_by_their_reason() {
        use rustls::CertificateError as Bad;
        let wrapped = |error: rustls::Error| {
            // As the layers of the HTTP client wrap it.
            let inner = std::io::Error::other(error);
            let outer = std::io::Error::other(inner);
            cause(&outer).and_then(distrust)
        };
        for (bad, why) in [
            (Bad::UnknownIssuer, Distrust::Authority),
            (Bad::Expired, Distrust::Time),
            (Bad::NotValidYet, Distrust::Time),
            (Bad::NotValidForName, Distrust::Name),
            (Bad::Revoked, Distrust::Other),
        ] {
            let error = rustls::Error::InvalidCertificate(bad);
            assert_eq!(wrapped(error.clone()), Some(why), "{error}");
        }
        assert_eq!(wrapped(rustls::Error::HandshakeNotComplete), None);
        assert!(cause::<rustls::Error>(&std::io::Error::other("other")).is_none());
    }
}
