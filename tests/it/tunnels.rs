//! Requests that pass a proxy: which protocol each side gets, and who sees which secret.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Version;

use crate::proxies::Run;
use crate::support::KEY;
use crate::support::http_proxy::HttpProxy;
use crate::support::server::{Seen, Server, acceptor, task_response};
use crate::support::socks::{Socks, socks_to};

/// A host name that never resolves, so that only the proxy can connect to it.
const HOST: &str = "api.invalid";

/// A certificate for one host, and its key.
fn certified(host: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed([host.to_owned()]).unwrap()
}

/// An API over HTTPS, whose certificate is in the file `ca.pem`.
fn tls_server(directory: &Path) -> Server {
    let made = certified(HOST);
    fs::write(directory.join("ca.pem"), made.cert.pem()).unwrap();
    Server::start_tls_with(&made.cert, &made.signing_key, task_response)
}

/// What a proxy and the API behind it received from a run of two requests. Heads of the proxy are in lower case.
struct Passed {
    heads: Vec<String>,
    seen: Vec<Seen>,
}

/// Runs against an API with this scheme, through an HTTP proxy with that scheme that requires a password.
fn pass(api: &str, proxy: &str) -> Passed {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let server = if api == "https" {
        tls_server(directory.path())
    } else {
        Server::start(task_response)
    };
    let made = certified("localhost");
    let known = fs::read_to_string(&ca_file).unwrap_or_default();
    fs::write(&ca_file, known + &made.cert.pem()).unwrap();
    let tls = (proxy == "https").then(|| acceptor(&made.cert, &made.signing_key));
    let http_proxy = HttpProxy::to(server.address, tls);
    let place = format!("localhost:{}", http_proxy.address.port());
    let printed = Run::new(&format!("{api}://{HOST}"))
        .env("ALL_PROXY", &format!("{proxy}://user:p%40ss@{place}"))
        .args(&["--ca-file", &ca_file.display().to_string(), "-v"])
        .args(&["--retry-timeout", "5s", "--id", "task_2"])
        .exits(0);
    assert!(!printed.contains("p%40ss") && !printed.contains("p@ss"));
    let passed = Passed {
        heads: http_proxy.heads(),
        seen: server.seen(),
    };
    assert_eq!(passed.seen.len(), 2, "{api} through {proxy}");
    passed
}

#[test]
fn https_passes_an_http_proxy_in_a_tunnel() {
    let authorization = format!("basic {}", STANDARD.encode("user:p@ss"));
    for proxy in ["http", "https"] {
        let Passed { heads, seen } = pass("https", proxy);
        for head in heads {
            assert!(
                head.starts_with("connect api.invalid:443 http/1.1\r\n"),
                "{head}"
            );
            let line = format!("\r\nproxy-authorization: {authorization}\r\n");
            assert!(head.contains(&line.to_lowercase()), "{head}");
            assert!(head.contains("\r\nuser-agent: scale-export/"), "{head}");
            assert!(!head.contains(&KEY.to_lowercase()), "{head}");
        }
        for request in seen {
            // The proxy's protocol does not limit what is spoken inside of the tunnel.
            assert_eq!(request.version, Version::HTTP_2);
            assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
            assert!(!request.headers.contains_key("proxy-authorization"));
        }
    }
}

#[test]
fn plain_requests_name_the_whole_url_to_an_http_proxy() {
    let authorization = format!("Basic {}", STANDARD.encode("user:p@ss"));
    for proxy in ["http", "https"] {
        let Passed { heads, seen } = pass("http", proxy);
        for head in heads {
            assert!(
                head.starts_with("get http://api.invalid/v2/task?task_id="),
                "{head}"
            );
        }
        for request in seen {
            assert_eq!(request.version, Version::HTTP_11);
            assert!(request.uri.starts_with("http://api.invalid/v2/task?"));
            assert_eq!(request.headers["host"], HOST);
            assert_eq!(request.headers["proxy-authorization"], authorization);
        }
    }
}

#[test]
fn https_passes_a_socks_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let server = tls_server(directory.path());
    let ca_file = directory.path().join("ca.pem").display().to_string();
    for scheme in ["socks5h", "socks4a"] {
        let proxy = socks_to(server.address, 443, Socks::Connects);
        Run::new(&format!("https://{HOST}"))
            .env("ALL_PROXY", &format!("{scheme}://{proxy}"))
            .args(&["--ca-file", &ca_file, "--retry-timeout", "5s"])
            .exits(0);
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.version == Version::HTTP_2));
}
