//! The HTTP client with its pool of connections, and when the pool is replaced.
//!
//! A connection can go silent and stay open. HTTP/2 sends all requests over one connection, so none would succeed any
//! more. Pings detect this if the other side is gone. A new pool helps if the connection only looks alive, or if the
//! host name has a new address.

use std::sync::{Arc, Mutex, MutexGuard};

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::api::certificates::{Authorities, CaFile};
use crate::api::content_encoding;
use crate::api::error::FetchError;
use crate::api::http::connector::USER_AGENT_VALUE;
use crate::api::http::http_client::{ClientFault, HttpClient, HttpSettings};
use crate::api::http::tls_config::TrustedRoots;
use crate::api::options::ClientOptions;
use crate::api::proxy::{Proxy, ProxyTarget, proxy_for};
use crate::threads;

/// Attempts on one pool that break or time out in a row, after which the pool is replaced.
const MOST_BROKEN: u32 = 3;

/// A client, and its number.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionPool {
    pub(crate) client: Arc<HttpClient>,
    number: u64,
    broken: u32,
    is_http1: bool,
}

/// The pool of connections to one server.
#[derive(Debug)]
pub(crate) struct Connections {
    settings: HttpSettings,
    /// Whether any connection needs certificates. Without one, the machine need not have any.
    is_tls: bool,
    pool: Mutex<ConnectionPool>,
}

impl Connections {
    /// Checks the key and the certificates, for a server behind this proxy. It opens no connection.
    pub(crate) fn new(
        url: &Url,
        options: &ClientOptions,
        proxy: Option<Proxy>,
    ) -> Result<Self, FetchError> {
        let is_tls =
            url.scheme() == "https" || proxy.as_ref().is_some_and(|proxy| proxy.scheme == "https");
        let roots = trusted_roots(is_tls, options.ca_file.as_ref(), &options.authorities)?;
        let settings = HttpSettings {
            headers: headers(url, options, proxy.as_ref())?,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            concurrency: options.concurrency,
            roots,
            proxy,
        };
        let client = HttpClient::new(&settings, false)
            .map(Arc::new)
            .map_err(|fault| match (fault, &options.ca_file) {
                (ClientFault::Tls(_), None) => FetchError::NoCertificates,
                (ClientFault::Tls(cause), Some(file)) => FetchError::CaFile {
                    path: file.path.clone(),
                    cause: cause.to_string(),
                },
                (ClientFault::Proxy(cause), _) => FetchError::Client(cause.to_string()),
            })?;
        let pool = ConnectionPool {
            client,
            number: 0,
            broken: 0,
            is_http1: false,
        };
        Ok(Self {
            settings,
            is_tls,
            pool: Mutex::new(pool),
        })
    }

    /// Whether any connection needs certificates.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The proxy in front of the server.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.settings.proxy.as_ref()
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
        if let Ok(client) = HttpClient::new(&self.settings, is_http1) {
            *pool = ConnectionPool {
                client: Arc::new(client),
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
    proxy_of(url)
}

/// The proxy that the environment names for a server, if it names one.
pub(crate) fn proxy_of(url: &Url) -> Result<Option<Proxy>, FetchError> {
    let target = ProxyTarget {
        is_https: url.scheme() == "https",
        host: url.host_str().unwrap_or_default(),
        port: url.port_or_known_default().unwrap_or_default(),
    };
    let proxy = proxy_for(target, |name| std::env::var_os(name))?;
    if let Some(proxy) = &proxy {
        Url::parse(&proxy.shown()).map_err(|error| proxy.bad(error.to_string()))?;
    }
    Ok(proxy)
}

/// The headers of every request. A proxy that passes on plain requests reads its own from them.
fn headers(
    url: &Url,
    options: &ClientOptions,
    proxy: Option<&Proxy>,
) -> Result<HeaderMap, FetchError> {
    let key = options.api_key.expose_secret();
    let mut bearer =
        HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| FetchError::BadKey)?;
    // Keeps the key out of debug output and out of the header compression of HTTP/2.
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (
            ACCEPT_ENCODING,
            HeaderValue::from_static(content_encoding::ACCEPTED),
        ),
        (USER_AGENT, USER_AGENT_VALUE),
    ]);
    if let Some(proxy) = proxy.filter(|_| url.scheme() == "http") {
        let value = proxy
            .authorization()
            .map_err(|error| proxy.bad(error.to_string()))?;
        headers.extend(value.map(|value| (PROXY_AUTHORIZATION, value)));
    }
    Ok(headers)
}

/// The CA certificates that are trusted: those of `--ca-file`, and those that variables name or else those of the system.
pub(crate) fn trusted_roots(
    is_tls: bool,
    ca_file: Option<&CaFile>,
    authorities: &Authorities,
) -> Result<TrustedRoots, FetchError> {
    let mut certificates = certificates(ca_file)?;
    if !is_tls {
        // Loading the system's certificates takes time, and fails on machines that have none.
        return Ok(TrustedRoots::Only(Vec::new()));
    }
    let Some(named) = authorities.named()? else {
        return Ok(TrustedRoots::WithSystem(certificates));
    };
    certificates.extend(named.iter().map(|der| CertificateDer::from(der.clone())));
    if certificates.is_empty() {
        return Err(FetchError::NoCertificates);
    }
    Ok(TrustedRoots::Only(certificates))
}

/// The certificates of `--ca-file`.
fn certificates(ca_file: Option<&CaFile>) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let Some(CaFile { path, pem }) = ca_file else {
        return Ok(Vec::new());
    };
    let failed = |cause: &str| FetchError::CaFile {
        path: path.clone(),
        cause: cause.to_owned(),
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| failed("invalid certificate encoding"))?;
    if certificates.is_empty() {
        return Err(failed("it contains no certificate"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(base_url: &str, proxy: &str) -> Connections {
        let target = ProxyTarget {
            is_https: base_url.starts_with("https"),
            host: "api.example",
            port: 443,
        };
        let proxy = proxy_for(target, |name| (name == "ALL_PROXY").then(|| proxy.into()));
        let options = ClientOptions::for_test(base_url);
        let url = Url::parse(base_url).unwrap();
        Connections::new(&url, &options, proxy.unwrap()).unwrap()
    }

    #[test]
    fn only_plain_requests_carry_the_password_of_an_http_proxy() {
        for (base_url, proxy, is_sent) in [
            ("http://api.example", "http://user:secret@p", true),
            ("http://api.example", "http://p", false),
            ("http://api.example", "socks5://user:secret@p", false),
        ] {
            let connections = connections(base_url, proxy);
            let sent = connections.settings.headers.get(PROXY_AUTHORIZATION);
            assert_eq!(sent.is_some(), is_sent, "{base_url} {proxy}");
            assert_eq!(
                connections.settings.headers[AUTHORIZATION],
                "Bearer live_0123456789"
            );
        }
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let connections = connections("http://api.example", "http://user:secret@p");
        let text = format!("{connections:?}");
        for secret in [
            "live_0123456789",
            "Bearer",
            "secret",
            "Basic",
            "dXNlcjpzZWNyZXQ=",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("http://p:80"), "{text}");
    }

    #[test]
    fn a_bad_certificate_matters_where_certificates_are_checked() {
        let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let checked = |base_url: &str| {
            let options = ClientOptions {
                ca_file: Some(CaFile {
                    path: "ca.pem".into(),
                    pem: pem.to_vec(),
                }),
                ..ClientOptions::for_test(base_url)
            };
            Connections::new(&Url::parse(base_url).unwrap(), &options, None)
        };
        assert!(checked("http://api.example").is_ok());
        let error = checked("https://api.example").unwrap_err();
        assert!(matches!(error, FetchError::CaFile { .. }), "{error:?}");
    }
}
