//! A server for features that the sandbox does not have: TLS, redirects, unusual headers. A closure makes the
//! responses.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) type MockResponse = Response<Full<Bytes>>;
type Handler = dyn Fn(&Request<Incoming>) -> MockResponse + Send + Sync;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) version: hyper::Version,
    pub(crate) uri: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) at: std::time::Instant,
}

/// A running server. It stops when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Starts a server with plain HTTP.
    pub(crate) fn start(
        handler: impl Fn(&Request<Incoming>) -> MockResponse + Send + Sync + 'static,
    ) -> Self {
        Self::run(None, Arc::new(handler))
    }

    /// Starts a server with HTTPS for `localhost`, HTTP/2 preferred. Returns its certificate.
    pub(crate) fn start_tls(
        handler: impl Fn(&Request<Incoming>) -> MockResponse + Send + Sync + 'static,
    ) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let server = Self::start_tls_with(&made.cert, &made.signing_key, handler);
        (server, made.cert.pem())
    }

    /// Starts a server with HTTPS and the given certificate.
    pub(crate) fn start_tls_with(
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
        handler: impl Fn(&Request<Incoming>) -> MockResponse + Send + Sync + 'static,
    ) -> Self {
        Self::run(Some(acceptor(certificate, key)), Arc::new(handler))
    }

    fn run(tls: Option<TlsAcceptor>, handler: Arc<Handler>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (handler, log, tls) = (Arc::clone(&handler), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        log.lock().unwrap().push(Seen {
                            version: request.version(),
                            uri: request.uri().to_string(),
                            headers: request.headers().clone(),
                            at: std::time::Instant::now(),
                        });
                        let response = handler(&request);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let _ = builder
                                    .serve_connection(TokioIo::new(stream), service)
                                    .await;
                            }
                        }
                        None => {
                            let _ = builder
                                .serve_connection(TokioIo::new(stream), service)
                                .await;
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            connections,
            _runtime: runtime,
        }
    }

    /// All connections so far, also those without requests.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A TLS acceptor with this certificate that prefers HTTP/2 over HTTP/1.1.
pub(crate) fn acceptor(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The ID in the query of a request, as it is written there.
pub(crate) fn requested_id(request: &Request<Incoming>) -> &str {
    let query = request.uri().query().unwrap_or_default();
    let first = query.split('&').next().unwrap();
    first.strip_prefix("task_id=").unwrap()
}

/// A small task with the ID in the query.
pub(crate) fn task_response(request: &Request<Incoming>) -> MockResponse {
    let id = percent_encoding::percent_decode_str(requested_id(request))
        .decode_utf8()
        .unwrap();
    let body = serde_json::json!({"task_id": id, "status": "completed", "threads": []});
    Response::new(Full::new(Bytes::from(body.to_string())))
}
