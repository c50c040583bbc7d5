//! Connections that stay open and give no response any more, while a new one would.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::support::server::{acceptor, task_answer};
use crate::support::{KEY, program, task_ids};

/// Responses on the first connection.
const SERVED: usize = 10;

/// IDs of a run: most of them come after the silence.
const IDS: usize = 40;

/// Longer than any run that heals, much shorter than `--retry-timeout`.
const SOON: Duration = Duration::from_secs(100);

/// What the first connection does after a few responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing at all: not even a ping is answered.
    Silence,
    /// Pings are answered, requests are not.
    OnlyPings,
    /// Nothing is wrong with it, but every request must come over HTTP/1.1.
    Http1Required,
}

/// HTTPS for `localhost`; it ends when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    certificate: String,
    connections: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(then: Then) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let acceptor = acceptor(&made.cert, &made.signing_key);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match then {
                        Then::Http1Required => require_http1(stream, acceptor).await,
                        Then::Silence | Then::OnlyPings => {
                            serve(stream, acceptor, is_first.then_some(then)).await;
                        }
                    }
                });
            }
        });
        Self {
            address,
            certificate: made.cert.pem(),
            connections,
            _runtime: runtime,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Serves a connection, the first few requests only if it is said what comes then.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, then: Option<Then>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let served = AtomicUsize::new(0);
    let silent = Arc::new(Notify::new());
    let signal = Arc::clone(&silent);
    let service = service_fn(move |request: Request<Incoming>| {
        let is_over = then.is_some() && served.fetch_add(1, Ordering::Relaxed) >= SERVED;
        if is_over && then == Some(Then::Silence) {
            signal.notify_one();
        }
        let answer = task_answer(&request);
        async move {
            if is_over {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        () = silent.notified() => {
            // It stays open, and nobody looks at it any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Resets every stream of HTTP/2, and serves HTTP/1.1.
async fn require_http1(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(task_answer(&request))
        });
        let builder = hyper::server::conn::http1::Builder::new();
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
        return;
    }
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
    }
}

/// One request after the other, so that there is one connection. What the program said.
pub(crate) fn export(server: &Server, options: &[&str]) -> String {
    let base = tempfile::tempdir().unwrap();
    let ca_file = base.path().join("ca.pem");
    std::fs::write(&ca_file, &server.certificate).unwrap();
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args([
            "--base-url",
            &format!("https://localhost:{}", server.address.port()),
        ])
        .args(["--rate", "max", "--concurrency", "1", "-v"])
        .args(options)
        .arg("--ca-file")
        .arg(&ca_file)
        .arg("--out")
        .arg(base.path().join("out"));
    for id in task_ids(IDS) {
        command.args(["--id", &id]);
    }
    let begin = Instant::now();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(begin.elapsed() < SOON, "{said}");
    said
}

/// It sent all requests into the same dead connection until the run ended.
#[test]
fn an_http2_connection_that_goes_silent_is_found_by_a_ping() {
    let server = Server::start(Then::Silence);
    // A ping goes out after 2 s, and may take as long: earlier than the timeout.
    let said = export(&server, &["--timeout", "6s"]);
    assert!(said.contains("a ping was not answered"), "{said}");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_answers_pings_only_is_given_up_after_a_few_timeouts() {
    let server = Server::start(Then::OnlyPings);
    let said = export(&server, &["--timeout", "1s"]);
    assert!(
        said.contains("timed out") && !said.contains("a ping was not"),
        "{said}"
    );
    assert!(server.connections() >= 2, "{said}");
}

#[test]
fn a_server_that_requires_http1_gets_it() {
    let server = Server::start(Then::Http1Required);
    export(&server, &[]);
    assert!(server.connections() >= 2);
}
