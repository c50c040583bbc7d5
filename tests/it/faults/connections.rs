//! Faults before any response: no connection, no such host, no trust.

use std::net::TcpListener;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::Case;
use super::measure::{NO_VIEW, Row, calm, command, ids, stderr};
use crate::silent_connections::{self, Then};
use crate::support::published;
use crate::support::raw_server::{RawServer, Step, good, response};
use crate::support::server::{Server, task_response};
use crate::support::socks::{Socks, socks_to};

/// Long enough for a few attempts before the server listens.
const LATE: Duration = Duration::from_millis(700);

/// The host name of the servers in certificates.
const HOST: &str = "localhost";

fn row(name: &str, once: &str, is_retried: bool) -> Row {
    Row {
        name: name.to_owned(),
        once: once.to_owned(),
        one: NO_VIEW.to_owned(),
        all: "5".to_owned(),
        retried: if is_retried { "yes" } else { "no" }.to_owned(),
    }
}

/// Exports one ID from an unreachable URL and checks exit code 5 and the message. Returns the number of requests.
fn give_up(url: &str, says: &[&str]) -> u64 {
    give_up_with(url, None, says)
}

/// The same with an environment variable.
fn give_up_with(url: &str, variable: Option<(&str, &str)>, says: &[&str]) -> u64 {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let options = ["--allow-http", "--retry-timeout", "1s"];
    let output = command(url, &out, &ids()[..1], &options)
        .envs(variable)
        .output()
        .unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{url}: {printed}");
    for part in says {
        assert!(printed.contains(part), "{url}: {printed}");
    }
    let (before, _) = printed.split_once(" requests; ").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

fn refused() -> Row {
    let server = RawServer::start_late(LATE, |request| good(&request.task_id));
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = command(&server.url(), &out, &ids(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(published(&out) == *calm());
    assert_eq!(server.requests().len(), ids().len());
    // The server of this port has stopped.
    let url = server.url();
    drop(server);
    let requests = give_up(&url, &["refused", "hint: check --base-url"]);
    row("connection refused", "0", requests > 1)
}

fn no_such_host() -> Row {
    let says = [
        "`http://api.invalid`",
        "failed to lookup address",
        "hint: check --base-url",
    ];
    let requests = give_up("http://api.invalid", &says);
    row("no such host", NO_VIEW, requests > 1)
}

fn refusing_proxy() -> Row {
    let refusal = response("403 Forbidden", &[], b"");
    let proxy = RawServer::start(move |_| vec![Step::Send(refusal.clone()), Step::Close]);
    let url = proxy.url();
    let says = format!("the proxy {url} did not connect to api.invalid:443: status 403");
    let variable = Some(("https_proxy", url.as_str()));
    let requests = give_up_with("https://api.invalid", variable, &[&says]);
    row(
        "a proxy that refuses to connect (403)",
        NO_VIEW,
        requests > 1,
    )
}

fn refusing_socks_proxy() -> Row {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("socks5h://{}", socks_to(closed, 443, Socks::Refuses));
    let says = format!("through the proxy {url}: ");
    let variable = Some(("all_proxy", url.as_str()));
    let requests = give_up_with("https://api.invalid", variable, &[&says]);
    row(
        "a SOCKS proxy that refuses to connect",
        NO_VIEW,
        requests > 1,
    )
}

fn silent(name: &str, then: Then) -> Row {
    let server = silent_connections::Server::start(then);
    silent_connections::export(&server, &["--timeout", "3s"]);
    assert!(server.connections() > 1);
    Row {
        all: "0".to_owned(),
        retried: "yes, over a new connection".to_owned(),
        ..row(name, NO_VIEW, true)
    }
}

fn no_tls() -> Row {
    let server = RawServer::start(|request| good(&request.task_id));
    let url = server.url().replace("http:", "https:");
    let says = ["does not respond in TLS", "hint: check --base-url"];
    let requests = give_up(&url, &says);
    assert!(server.requests().is_empty());
    row(
        "`https://`, but the server speaks no TLS",
        NO_VIEW,
        requests > 1,
    )
}

fn only_tls() -> Row {
    let (server, _) = Server::start_tls(task_response);
    let url = format!("http://{HOST}:{}", server.address.port());
    let requests = give_up(&url, &["hint: check --base-url"]);
    assert!(server.seen().is_empty());
    row(
        "`http://`, but the server speaks only TLS",
        NO_VIEW,
        requests > 1,
    )
}

/// A certificate with a fault.
struct Certificate {
    name: &'static str,
    hosts: &'static str,
    /// Year of expiration.
    until: i32,
    /// Whether `--ca-file` names its CA.
    is_named: bool,
    says: &'static str,
    hint: &'static str,
}

/// A year in the far future.
const FAR_YEAR: i32 = 4000;

static CERTIFICATES: [Certificate; 3] = [
    Certificate {
        name: "TLS: unknown CA",
        hosts: HOST,
        until: FAR_YEAR,
        is_named: false,
        says: "UnknownIssuer",
        hint: "give the CA certificate with --ca-file",
    },
    Certificate {
        name: "TLS: certificate expired",
        hosts: HOST,
        until: 2020,
        is_named: true,
        says: "expired",
        hint: "check this machine's clock",
    },
    Certificate {
        name: "TLS: certificate for another host",
        hosts: "other.example",
        until: FAR_YEAR,
        is_named: true,
        says: "not valid for",
        hint: "check --base-url",
    },
];

fn untrusted(certificate: &Certificate) -> Row {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new([certificate.hosts.to_owned()]).unwrap();
    params.not_after = date_time_ymd(certificate.until, 1, 1);
    params.not_before = date_time_ymd(2000, 1, 1);
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &authority).unwrap();
    let server = Server::start_tls_with(&signed, &key, task_response);

    let base = tempfile::tempdir().unwrap();
    let ca_file = base.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let ca_file = ca_file.display().to_string();
    let url = format!("https://{HOST}:{}", server.address.port());
    let mut options = vec!["--concurrency", "1"];
    if certificate.is_named {
        options.extend(["--ca-file", &ca_file]);
    }
    let out = base.path().join("out");
    let output = command(&url, &out, &ids(), &options).output().unwrap();
    let printed = stderr(&output);
    assert_eq!(
        output.status.code(),
        Some(5),
        "{}: {printed}",
        certificate.name
    );
    for part in ["could not trust the API at `localhost", certificate.says] {
        assert!(printed.contains(part), "{}: {printed}", certificate.name);
    }
    let (_, hint) = printed.split_once("hint: ").unwrap();
    assert!(
        hint.contains(certificate.hint),
        "{}: {hint}",
        certificate.name
    );
    assert!(
        server.seen().is_empty(),
        "a request was sent to a server that is not trusted"
    );
    row(certificate.name, NO_VIEW, server.connections() > 1)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        Box::new(refused),
        Box::new(no_such_host),
        Box::new(refusing_proxy),
        Box::new(refusing_socks_proxy),
        Box::new(|| {
            let name = "an HTTP/2 connection that stays open and goes silent";
            silent(name, Then::Silence)
        }),
        Box::new(|| {
            let name = "an HTTP/2 connection that responds only to pings";
            silent(name, Then::OnlyPings)
        }),
        Box::new(|| silent("`HTTP_1_1_REQUIRED`", Then::Http1Required)),
        Box::new(no_tls),
        Box::new(only_tls),
    ];
    for certificate in &CERTIFICATES {
        cases.push(Box::new(|| untrusted(certificate)));
    }
    cases
}
