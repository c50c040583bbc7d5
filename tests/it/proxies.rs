//! Proxies, host names, and machines without CA certificates. All servers are on loopback, but the API's address is
//! not, since a proxy is not used for loopback.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::raw_server::{RawServer, Step, good, response};
use crate::support::server::{Server, task_response};
use crate::support::socks::{Socks, socks_to};
use crate::support::{KEY, print_note, program};

/// The API, under a name that never resolves.
const API: &str = "http://api.invalid";

/// Much less than `--retry-timeout`, which is five minutes.
const SOON: Duration = Duration::from_mins(1);

/// A run whose API is behind a proxy.
pub(crate) struct Run {
    base: tempfile::TempDir,
    command: Command,
}

impl Run {
    pub(crate) fn new(base_url: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let mut command = program();
        command
            .env("SCALE_API_KEY", KEY)
            .args(["--id", "task_1", "--base-url", base_url, "--rate", "max"])
            // The test's key is sent through a proxy without encryption.
            .arg("--allow-http")
            .arg("--out")
            .arg(base.path().join("out"));
        Self { base, command }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn args(mut self, options: &[&str]) -> Self {
        self.command.args(options);
        self
    }

    /// Checks the exit code and returns stderr.
    pub(crate) fn exits(mut self, code: i32) -> String {
        let output: Output = self.command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{printed}");
        drop(self.base);
        printed
    }
}

/// An address that is reserved for documentation.
const NOWHERE: &str = "http://192.0.2.1";

#[test]
fn a_socks_proxy_is_used() {
    for (scheme, credentials, url, socks) in [
        ("socks5h", "", API, Socks::Connects),
        ("socks5h", "user:secret@", API, Socks::WantsPassword),
        ("socks5", "", NOWHERE, Socks::Connects),
        ("socks4a", "", API, Socks::Connects),
        ("socks4", "", NOWHERE, Socks::Connects),
    ] {
        let server = Server::start(task_response);
        let proxy = socks_to(server.address, 80, socks);
        Run::new(url)
            .env("ALL_PROXY", &format!("{scheme}://{credentials}{proxy}"))
            .args(&["--retry-timeout", "5s"])
            .exits(0);
        assert_eq!(server.seen().len(), 1, "{scheme} {url}");
    }
}

/// A refusal of the proxy ends the run soon, without waiting for `--retry-timeout`.
#[test]
fn a_socks_proxy_that_refuses_is_named_within_seconds() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = |scheme: &str, credentials: &str| {
        let proxy = socks_to(closed, 80, Socks::Refuses);
        let begin = Instant::now();
        let printed = Run::new(API)
            .env("ALL_PROXY", &format!("{scheme}://{credentials}{proxy}"))
            .exits(5);
        assert!(begin.elapsed() < SOON, "{printed}");
        let expected = format!("through the proxy {scheme}://{proxy}: ");
        assert!(printed.contains(&expected), "{printed}");
        assert!(
            printed.contains("\nhint: check --base-url, the network and the proxy"),
            "{printed}"
        );
        assert!(!printed.contains("secret"), "{printed}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| refused("socks5h", ""));
        // This proxy does not support passwords.
        scope.spawn(|| refused("socks5h", "user:secret@"));
        scope.spawn(|| refused("socks4a", ""));
    });
}

#[test]
fn an_unsupported_proxy_scheme_is_refused_at_once() {
    for (name, value) in [
        ("ALL_PROXY", "ftp://user:secret@127.0.0.1:1"),
        ("all_proxy", "socks6://user:secret@127.0.0.1:1"),
        ("http_proxy", "quic://127.0.0.1:1"),
        ("http_proxy", "http://"),
        ("http_proxy", "http://127.0.0.1:port"),
        ("http_proxy", "http://[::1"),
        ("http_proxy", "http://1.2.3.999:80"),
    ] {
        let run = Run::new(API).env(name, value);
        let out = run.base.path().join("out");
        let printed = run.exits(2);
        assert!(
            printed.contains(&format!("could not use the proxy of {name}")),
            "{printed}"
        );
        assert!(
            printed.contains("\nhint: ") && !printed.contains("secret"),
            "{printed}"
        );
        assert!(!out.exists());
    }
}

/// The message names the proxy and its status, not the API.
#[test]
fn a_proxy_that_refuses_a_tunnel_is_named_with_its_status() {
    let refusing = RawServer::start(|_| {
        vec![
            Step::Send(response("403 Forbidden", &[], b"no")),
            Step::Close,
        ]
    });
    let place = refusing.address;
    let printed = Run::new("https://api.invalid")
        .env("HTTPS_PROXY", &format!("http://user:secret@{place}"))
        .args(&["--retry-timeout", "1s"])
        .exits(5);
    let expected =
        format!("the proxy http://{place} did not connect to api.invalid:443: status 403");
    assert!(printed.contains(&expected), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");

    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (variable, url) in [("HTTPS_PROXY", "https://api.invalid"), ("HTTP_PROXY", API)] {
        let printed = Run::new(url)
            .env(variable, &format!("http://{closed}"))
            .args(&["--retry-timeout", "1s"])
            .exits(5);
        let expected = format!("could not connect to the proxy http://{closed}: ");
        assert!(
            printed.contains(&expected) && printed.contains("refused"),
            "{printed}"
        );
    }
}

#[test]
fn a_proxy_that_requires_a_password_is_named_within_seconds() {
    let proxy = RawServer::start(|_| {
        vec![Step::Send(response(
            "407 Proxy Authentication Required",
            &[],
            b"",
        ))]
    });
    let begin = Instant::now();
    let printed = Run::new(API).env("HTTP_PROXY", &proxy.url()).exits(5);
    assert!(begin.elapsed() < SOON, "{printed}");
    let expected = format!("the proxy {}: status 407", proxy.url());
    assert!(printed.contains(&expected), "{printed}");
}

/// The message names the proxy, not the server.
#[test]
fn a_proxy_without_tls_under_https_is_named_within_seconds() {
    let proxy = RawServer::start(|_| vec![Step::Send(response("200 OK", &[], b"")), Step::Close]);
    let place = proxy.address;
    for url in [API, "https://api.invalid"] {
        let begin = Instant::now();
        let printed = Run::new(url)
            .env("ALL_PROXY", &format!("https://user:secret@{place}"))
            .exits(5);
        assert!(begin.elapsed() < SOON, "{printed}");
        let expected = format!("the proxy https://{place} does not respond in TLS");
        assert!(printed.contains(&expected), "{printed}");
        assert!(!printed.contains("secret"), "{printed}");
    }
}

/// For an API with TLS, the proxy requires the password for the tunnel, before any request.
#[test]
fn a_proxy_that_requires_a_password_for_tunnels_is_named_within_seconds() {
    let proxy = RawServer::start(|_| {
        let headers = &[("proxy-authenticate", "Basic realm=\"office\"")];
        vec![
            Step::Send(response("407 Proxy Authentication Required", headers, b"")),
            Step::Close,
        ]
    });
    let begin = Instant::now();
    let printed = Run::new("https://api.invalid")
        .env("HTTPS_PROXY", &proxy.url())
        .exits(5);
    assert!(begin.elapsed() < SOON, "{printed}");
    let expected = format!(
        "the proxy {} did not connect to api.invalid:443: status 407",
        proxy.url()
    );
    assert!(printed.contains(&expected), "{printed}");
    assert!(
        printed.contains("\nhint: check --base-url, the network and the proxy"),
        "{printed}"
    );
    // The key is not sent to the proxy: the program requested a tunnel only.
    assert!(
        proxy
            .requests()
            .iter()
            .all(|request| request.key.is_empty())
    );
}

#[test]
fn a_host_name_that_does_not_exist_is_reported_within_seconds() {
    let begin = Instant::now();
    let printed = Run::new(API).exits(5);
    assert!(begin.elapsed() < SOON, "{printed}");
    assert!(printed.contains("hint: check --base-url"), "{printed}");
}

#[test]
fn hosts_of_no_proxy_and_loopback_use_no_proxy() {
    let proxy = RawServer::start(|request| good(&request.task_id));
    let server = Server::start(task_response);
    Run::new(&format!("http://{}", server.address))
        .env("HTTP_PROXY", &proxy.url())
        .exits(0);
    assert_eq!((server.seen().len(), proxy.requests().len()), (1, 0));
    for list in ["*", "other, .invalid:80", "*.invalid"] {
        Run::new(API)
            .env("ALL_PROXY", &proxy.url())
            .env("no_proxy", list)
            .args(&["--retry-timeout", "1s"])
            .exits(5);
    }
    assert_eq!(proxy.requests().len(), 0);
    Run::new(API)
        .env("ALL_PROXY", &proxy.url())
        .env("NO_PROXY", "api.invalid:443 10.0.0.0/8")
        .exits(0);
    assert_eq!(proxy.requests().len(), 1);
}

/// The file is endless, so reading it must have a limit.
#[test]
fn certificates_that_variables_name_are_read_to_a_limit() {
    // Only on Linux do these variables set the paths of certificates.
    if !cfg!(target_os = "linux") {
        print_note("skipped: SSL_CERT_FILE counts on Linux only");
        return;
    }
    let (server, certificate) = Server::start_tls(task_response);
    let url = format!("https://localhost:{}", server.address.port());
    let begin = Instant::now();
    let printed = Run::new(&url).env("SSL_CERT_FILE", "/dev/zero").exits(2);
    assert!(
        printed.contains("`/dev/zero`: SSL_CERT_FILE names more than 16 MiB"),
        "{printed}"
    );
    assert!(begin.elapsed() < SOON);
    let base = tempfile::tempdir().unwrap();
    let directory = base.path().join("certificates");
    std::fs::create_dir(&directory).unwrap();
    let (file, large) = (directory.join("a.pem"), directory.join("b.pem"));
    std::fs::write(&file, format!("{certificate}garbage")).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    Run::new(&url).env("SSL_CERT_FILE", &path(&file)).exits(0);
    Run::new(&url)
        .env("SSL_CERT_FILE", "/nonexistent")
        .env(
            "SSL_CERT_DIR",
            &format!("/nonexistent:{}", path(&directory)),
        )
        .exits(0);
    std::fs::File::create(&large)
        .unwrap()
        .set_len(17 << 20)
        .unwrap();
    let printed = Run::new(&url)
        .env("SSL_CERT_DIR", &path(&directory))
        .exits(2);
    assert!(printed.contains("SSL_CERT_DIR names more"), "{printed}");
}

#[test]
fn a_certificate_variable_that_names_a_pipe_is_ended_by_a_signal() {
    let base = tempfile::tempdir().unwrap();
    let pipe = base.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut run = Run::new("https://api.invalid").env("SSL_CERT_FILE", pipe.to_str().unwrap());
    let mut child = run.command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let begin = Instant::now();
    child.wait().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_machine_without_ca_certificates_can_use_http_and_the_sandbox() {
    let without = |run: Run| {
        run.env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
    };
    let (server, certificate) = Server::start_tls(task_response);
    let plain = Server::start(task_response);
    without(Run::new(&format!("http://{}", plain.address))).exits(0);
    let mut sandbox = program();
    let base = tempfile::tempdir().unwrap();
    sandbox
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .args(["--sandbox", "--id", "task_1", "--out"])
        .arg(base.path().join("out"));
    let output = sandbox.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let url = format!("https://localhost:{}", server.address.port());
    // Only on Linux do these variables set the paths of certificates.
    if cfg!(target_os = "linux") {
        let printed = without(Run::new(&url)).exits(2);
        assert!(
            printed.contains("CA certificates") && printed.contains("--ca-file"),
            "{printed}"
        );
    }
    let ca_file = base.path().join("ca.pem");
    std::fs::write(&ca_file, certificate).unwrap();
    let ca_file = ca_file.display().to_string();
    without(Run::new(&url).args(&["--ca-file", &ca_file])).exits(0);
    assert_eq!(server.seen().len(), 1);
}
