//! Connections that stay open without responding, while a new connection would work.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
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

use crate::support::raw_server::{RawServer, Step, good};
use crate::support::server::{acceptor, task_response};
use crate::support::{KEY, print_note, program, task_ids};

/// Responses on the first connection.
const SERVED: usize = 10;

/// IDs of a run. Most of them are requested after the silence begins.
const IDS: usize = 40;

/// Longer than any run that recovers, and much shorter than `--retry-timeout`.
const SOON: Duration = Duration::from_secs(100);

/// The behavior of the first connection after a few responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// No response at all, not even to pings.
    Silence,
    /// Responses to pings only.
    OnlyPings,
    /// The connection works, but the server requires HTTP/1.1 for every request.
    Http1Required,
}

/// A host name that does not resolve.
const MOVING_HOST: &str = "api.test";

/// An HTTPS server for `localhost` and [`MOVING_HOST`]. It stops when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    certificate: String,
    connections: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(then: Then) -> Self {
        let names = ["localhost".to_owned(), MOVING_HOST.to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self::start_at("127.0.0.1:0".parse().unwrap(), Some(then), &made)
    }

    /// Starts a server. It has no fault if `then` is `None`.
    fn start_at(
        place: SocketAddr,
        then: Option<Then>,
        made: &rcgen::CertifiedKey<rcgen::KeyPair>,
    ) -> Self {
        let acceptor = acceptor(&made.cert, &made.signing_key);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(place)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let is_first = counter.fetch_add(1, Ordering::Relaxed) == 0;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match then {
                        Some(Then::Http1Required) => require_http1(stream, acceptor).await,
                        then => serve(stream, acceptor, then.filter(|_| is_first)).await,
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

/// Serves a connection. With `then`, it serves only the first few requests and then behaves so.
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
        let response = task_response(&request);
        async move {
            if is_over {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        () = silent.notified() => {
            // The connection stays open without being read.
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
            Ok::<_, Infallible>(task_response(&request))
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

/// Exports with one request at a time, so that there is one connection. Returns stderr.
pub(crate) fn export(server: &Server, options: &[&str]) -> String {
    let base = tempfile::tempdir().unwrap();
    let url = format!("https://localhost:{}", server.address.port());
    let command = &mut program();
    finish(with_arguments(command, server, &url, base.path()).args(options))
}

/// Arguments of an export with one request at a time.
fn with_arguments<'c>(
    command: &'c mut Command,
    server: &Server,
    url: &str,
    base: &Path,
) -> &'c mut Command {
    let ca_file = base.join("ca.pem");
    std::fs::write(&ca_file, &server.certificate).unwrap();
    let ids = task_ids(IDS).into_iter();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", url])
        .args(["--rate", "max", "--concurrency", "1", "-v"])
        .arg("--ca-file")
        .arg(&ca_file)
        .arg("--out")
        .arg(base.join("out"))
        .args(ids.flat_map(|id| ["--id".to_owned(), id]))
}

/// Runs until exit code 0, which must be soon. Returns stderr.
fn finish(command: &mut Command) -> String {
    let begin = Instant::now();
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(begin.elapsed() < SOON, "{printed}");
    printed
}

/// The run must not send all requests into the same dead connection.
#[test]
fn a_ping_detects_a_silent_http2_connection() {
    let server = Server::start(Then::Silence);
    // A ping is sent after 2 s and may take 2 s, so it fails earlier than the timeout.
    let printed = export(&server, &["--timeout", "6s"]);
    assert!(
        printed.contains("the server did not respond to a ping"),
        "{printed}"
    );
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_responds_only_to_pings_is_replaced_after_timeouts() {
    let server = Server::start(Then::OnlyPings);
    let printed = export(&server, &["--timeout", "1s"]);
    assert!(
        printed.contains("timed out") && !printed.contains("a ping was not"),
        "{printed}"
    );
    assert!(server.connections() >= 2, "{printed}");
}

#[test]
fn a_server_that_requires_http1_gets_http1() {
    let server = Server::start(Then::Http1Required);
    export(&server, &[]);
    assert!(server.connections() >= 2);
}

/// HTTP/1.1 has no pings.
#[test]
fn silent_http1_connections_are_replaced() {
    const CONNECTIONS: usize = 4;
    let server = RawServer::start(|request| {
        let is_old = request.connection < CONNECTIONS;
        if is_old && request.number > CONNECTIONS {
            return vec![Step::Hang];
        }
        // The first requests are all sent at once, each on a separate connection.
        let mut steps = vec![Step::Pause(Duration::from_millis(300))];
        steps.truncate(usize::from(is_old));
        steps.extend(good(&request.task_id));
        steps
    });
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(IDS).into_iter();
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &server.url(), "--rate", "max", "-v"])
        .args(["--concurrency", &CONNECTIONS.to_string(), "--timeout", "1s"])
        .arg("--out")
        .arg(base.path().join("out"))
        .args(ids.flat_map(|id| ["--id".to_owned(), id]));
    let printed = finish(&mut command);
    assert!(printed.contains("timed out"), "{printed}");
    assert!(server.requests().len() <= IDS + CONNECTIONS, "{printed}");
}

/// The program in a separate mount namespace, where `hosts` is `/etc/hosts`. `None` if the system does not allow that.
fn with_hosts(hosts: &Path) -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg(r#"mount --bind "$0" /etc/hosts && exec "$@""#);
        command.arg(hosts);
        command
    };
    let works = unshare().arg("true").output();
    works.ok().filter(|output| output.status.success())?;
    let program = program();
    let mut command = unshare();
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(
        program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.arg(program.get_program());
    Some(command)
}

#[test]
fn a_changed_address_of_a_host_is_resolved_again() {
    let base = tempfile::tempdir().unwrap();
    let hosts = base.path().join("hosts");
    let point_to = |address: &str| {
        let text = format!("127.0.0.1 localhost\n{address} {MOVING_HOST}\n");
        std::fs::write(&hosts, text).unwrap();
    };
    point_to("127.0.0.1");
    let Some(mut command) = with_hosts(&hosts) else {
        print_note(
            "no mount namespaces here: not tested is a host whose address changes during a run",
        );
        return;
    };
    let made = rcgen::generate_simple_self_signed([MOVING_HOST.to_owned()]).unwrap();
    let place = "127.0.0.1:0".parse().unwrap();
    let old = Server::start_at(place, Some(Then::OnlyPings), &made);
    let place = SocketAddr::from(([127, 0, 0, 2], old.address.port()));
    let new = Server::start_at(place, None, &made);
    let url = format!("https://{MOVING_HOST}:{}", old.address.port());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            while old.connections() == 0 && begin.elapsed() < SOON {
                std::thread::sleep(Duration::from_millis(5));
            }
            point_to("127.0.0.2");
        });
        let command = with_arguments(&mut command, &old, &url, base.path());
        finish(command.args(["--timeout", "1s"]));
    });
    assert_eq!((old.connections(), new.connections()), (1, 1));
}
