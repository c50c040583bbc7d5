//! The HTTP client with its pool of connections, and when the pool is replaced.
//!
//! A connection can go silent and stay open. HTTP/2 sends all requests over one connection, so none would succeed any
//! more. Pings detect this if the other side is gone. A new pool helps if the connection only looks alive, or if the
//! host name has a new address.

use std::error::Error;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Url, redirect};
use secrecy::ExposeSecret as _;

use crate::api::certificates::CaFile;
use crate::api::content_encoding;
use crate::api::error::FetchError;
use crate::api::options::ClientOptions;
use crate::api::proxy::{Proxy, ProxyTarget, proxy_for};
use crate::threads;

/// Attempts on one pool that break or time out in a row, after which the pool is replaced.
const MOST_BROKEN: u32 = 3;

/// The maximum time without data before a ping is sent, and for its response.
const MAX_PING: Duration = Duration::from_secs(10);

/// The minimum of the same time: a busy machine is not a silent one.
const MIN_PING: Duration = Duration::from_secs(1);

/// Parts of the read timeout: one until the ping, one for its response, and one to spare.
const PING_PARTS: u32 = 3;

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

/// Redirects that are followed, within the origin.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// A client, and its number.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionPool {
    pub(crate) client: Client,
    number: u64,
    broken: u32,
    is_http1: bool,
}

/// What a client is built from.
#[derive(Debug)]
struct ClientSettings {
    headers: HeaderMap,
    timeout: Duration,
    connect_timeout: Duration,
    read_timeout: Duration,
    concurrency: usize,
    certificates: Vec<Certificate>,
    /// Whether these are all certificates, so that the system's are not used.
    is_all: bool,
    /// Whether any connection needs certificates. Without one, the machine need not have any.
    is_tls: bool,
    proxy: Option<Proxy>,
}

/// The pool of connections to one server.
#[derive(Debug)]
pub(crate) struct Connections {
    recipe: ClientSettings,
    pool: Mutex<ConnectionPool>,
}

impl ClientSettings {
    fn client(&self, is_http1: bool) -> Result<Client, reqwest::Error> {
        let streams = u32::try_from(self.concurrency.max(1)).unwrap_or(u32::MAX);
        let window = (WAITING_BYTES / streams).clamp(MIN_WINDOW, MAX_WINDOW);
        // With room for the windows of all responses, those that wait for memory do not block the others.
        let all_windows = window.saturating_mul(streams).min(i32::MAX.unsigned_abs());
        let ping = (self.read_timeout / PING_PARTS).clamp(MIN_PING, MAX_PING);
        let mut builder = Client::builder()
            .user_agent(concat!("scale-export/", env!("CARGO_PKG_VERSION")))
            .default_headers(self.headers.clone())
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout)
            // Fewer would close connections that the next requests need.
            .pool_max_idle_per_host(self.concurrency)
            .http1_max_headers(MAX_HEADERS)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_initial_stream_window_size(window)
            .http2_initial_connection_window_size(all_windows)
            .http2_keep_alive_interval(ping)
            .http2_keep_alive_timeout(ping)
            .http2_keep_alive_while_idle(true)
            .redirect(redirect::Policy::custom(within_origin))
            // Every attempt must pass the pacer and be counted, so the client must not retry.
            .retry(reqwest::retry::never())
            // The proxy is already chosen, by more rules than the client knows.
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url())?);
        }
        if is_http1 {
            builder = builder.http1_only();
        }
        if !self.is_tls {
            // Loading the system's certificates takes time, and fails on machines that have none.
            builder = builder.tls_certs_only([]);
        } else if self.is_all {
            builder = builder.tls_certs_only(self.certificates.clone());
        } else if !self.certificates.is_empty() {
            builder = builder.tls_certs_merge(self.certificates.clone());
        }
        builder.build()
    }
}

impl Connections {
    /// Checks the key and the certificates, for a server behind this proxy. It opens no connection.
    pub(crate) fn new(
        url: &Url,
        options: &ClientOptions,
        proxy: Option<Proxy>,
    ) -> Result<Self, FetchError> {
        // A second call fails because the provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_tls =
            url.scheme() == "https" || proxy.as_ref().is_some_and(|proxy| proxy.scheme == "https");
        let mut certificates = certificates(options)?;
        let named = if is_tls {
            options.authorities.named()?
        } else {
            None
        };
        for der in named.into_iter().flatten() {
            let certificate = Certificate::from_der(der);
            certificates.push(certificate.map_err(|error| FetchError::Client(last_cause(&error)))?);
        }
        if named.is_some() && certificates.is_empty() {
            return Err(FetchError::NoCertificates);
        }
        let recipe = ClientSettings {
            headers: headers(options)?,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            concurrency: options.concurrency,
            certificates,
            is_all: named.is_some(),
            is_tls,
            proxy,
        };
        let client = recipe.client(false).map_err(|error| {
            match (cause::<rustls::Error>(&error), &options.ca_file) {
                (Some(_), None) => FetchError::NoCertificates,
                (Some(cause), Some(file)) => FetchError::CaFile {
                    path: file.path.clone(),
                    cause: cause.to_string(),
                },
                (None, _) => FetchError::Client(last_cause(&error)),
            }
        })?;
        let pool = ConnectionPool {
            client,
            number: 0,
            broken: 0,
            is_http1: false,
        };
        Ok(Self {
            recipe,
            pool: Mutex::new(pool),
        })
    }

    /// Whether any connection needs certificates.
    pub(crate) fn is_tls(&self) -> bool {
        self.recipe.is_tls
    }

    /// The proxy in front of the server.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.recipe.proxy.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionPool> {
        threads::lock(&self.pool)
    }

    /// The pool for an attempt.
    pub(crate) fn pool(&self) -> ConnectionPool {
        self.lock().clone()
    }

    /// An attempt with a pool received a response.
    pub(crate) fn worked(&self, used: &ConnectionPool) {
        let mut pool = self.lock();
        // A late success on a replaced pool says nothing about the present one.
        if pool.number == used.number {
            pool.broken = 0;
        }
    }

    /// An attempt with a pool broke or timed out on a connection.
    pub(crate) fn broke(&self, used: &ConnectionPool) {
        self.replace(used, |pool| {
            pool.broken += 1;
            (pool.broken >= MOST_BROKEN).then_some(pool.is_http1)
        });
    }

    /// The server requires HTTP/1.1.
    pub(crate) fn use_http1(&self, used: &ConnectionPool) {
        self.replace(used, |_| Some(true));
    }

    /// Replaces a pool that is still in use, if `is_due` says so, and with HTTP/1.1 only if it says that too.
    fn replace(
        &self,
        used: &ConnectionPool,
        is_due: impl FnOnce(&mut ConnectionPool) -> Option<bool>,
    ) {
        let mut pool = self.lock();
        if pool.number != used.number {
            return;
        }
        let Some(is_http1) = is_due(&mut pool) else {
            return;
        };
        // If no client can be built now, the old one stays, and the next failures try again.
        if let Ok(client) = self.recipe.client(is_http1) {
            *pool = ConnectionPool {
                client,
                number: pool.number + 1,
                broken: 0,
                is_http1,
            };
        }
    }
}

/// The proxy in front of a server, if there is one.
pub(crate) fn find_proxy(url: &Url, options: &ClientOptions) -> Result<Option<Proxy>, FetchError> {
    if !options.proxy {
        return Ok(None);
    }
    let target = ProxyTarget {
        is_https: url.scheme() == "https",
        host: url.host_str().unwrap_or_default(),
        port: url.port_or_known_default().unwrap_or_default(),
    };
    let proxy = proxy_for(target, |name| std::env::var_os(name))?;
    if let Some(proxy) = &proxy {
        reqwest::Proxy::all(proxy.url()).map_err(|error| proxy.bad(last_cause(&error)))?;
    }
    Ok(proxy)
}

fn headers(options: &ClientOptions) -> Result<HeaderMap, FetchError> {
    let key = options.api_key.expose_secret();
    let mut authorization =
        HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| FetchError::BadKey)?;
    // Keeps the key out of debug output and out of the header compression of HTTP/2.
    authorization.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, authorization),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (
            ACCEPT_ENCODING,
            HeaderValue::from_static(content_encoding::ACCEPTED),
        ),
    ]))
}

fn certificates(options: &ClientOptions) -> Result<Vec<Certificate>, FetchError> {
    let Some(CaFile { path, pem }) = &options.ca_file else {
        return Ok(Vec::new());
    };
    let failed = |cause: String| FetchError::CaFile {
        path: path.clone(),
        cause,
    };
    let certificates =
        Certificate::from_pem_bundle(pem).map_err(|error| failed(last_cause(&error)))?;
    if certificates.is_empty() {
        return Err(failed("it contains no certificate".into()));
    }
    Ok(certificates)
}

/// Follows a redirect within the origin only: the key is sent to no other origin.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same_origin = attempt
        .previous()
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if same_origin && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The innermost cause of an error, without the URL.
pub(crate) fn last_cause(error: &reqwest::Error) -> String {
    let mut last = None;
    let mut source = error.source();
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| "the connection failed".to_owned())
}

/// The error of one type among the causes. Some layers wrap errors in I/O errors, whose `source` leaves out what they
/// wrap.
pub(crate) fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    wrapped
        .and_then(|wrapped| cause(wrapped))
        .or_else(|| error.source().and_then(cause))
}
