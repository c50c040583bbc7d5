//! Finds out why a proxy does not connect, with a separate request: the HTTP client reports neither which side failed
//! nor with which status.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::PROXY_AUTHORIZATION;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::proxy::Proxy;

/// Bytes of a proxy's response that are read. Its status is in the first line.
const MAX_HEAD: u64 = 8 * 1024;

/// The status of a proxy that connects.
const CONNECTED: u16 = 200;

/// The first byte of TLS records.
const TLS_RECORDS: RangeInclusive<u8> = 20..=23;

/// What is wrong with a proxy, and the status of its response, if there was one.
#[derive(Debug)]
pub(crate) struct ProxyFailure {
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
}

/// Finds out what is wrong with a proxy; `None` if the proxy works, or cannot be tested. `tunnel` is the host and port
/// that it should connect to.
pub(crate) async fn diagnose(
    proxy: &Proxy,
    tunnel: Option<&str>,
    patience: Duration,
) -> Option<ProxyFailure> {
    let shown = proxy.shown();
    let failed = |what: String| {
        Some(ProxyFailure {
            status: None,
            message: format!("could not connect to the proxy {shown}: {what}"),
        })
    };
    let host = proxy.host.trim_matches(['[', ']']);
    let connected = TcpStream::connect((host, proxy.port));
    let stream = match tokio::time::timeout(patience, connected).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return failed(error.to_string()),
        Err(_) => return failed("timed out".to_owned()),
    };
    if proxy.scheme == "https" {
        let speaks_tls = tokio::time::timeout(patience, speaks_tls(host, stream)).await;
        let message = format!("the proxy {shown} does not respond in TLS");
        return matches!(speaks_tls, Ok(Some(false))).then_some(ProxyFailure {
            status: None,
            message,
        });
    }
    // Other schemes have other handshakes, whose errors the client passes on.
    let tunnel = tunnel.filter(|_| proxy.scheme == "http")?;
    match tokio::time::timeout(patience, connect(proxy, tunnel, stream)).await {
        Ok(Ok(Some(CONNECTED))) => None,
        Ok(Ok(Some(status))) => Some(ProxyFailure {
            status: Some(status),
            message: format!("the proxy {shown} did not connect to {tunnel}: status {status}"),
        }),
        Ok(Ok(None)) => failed("its response is not HTTP".to_owned()),
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed("it did not respond in time".to_owned()),
    }
}

/// Whether a proxy responds in TLS to the start of a handshake; `None` if it does not respond.
async fn speaks_tls(host: &str, mut stream: TcpStream) -> Option<bool> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The handshake stops after its first message, so no certificate is checked.
    let config = versions
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut handshake = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut hello = Vec::new();
    handshake.write_tls(&mut hello).ok()?;
    stream.write_all(&hello).await.ok()?;
    let first = stream.read_u8().await.ok()?;
    Some(TLS_RECORDS.contains(&first))
}

/// Requests a connection from a proxy. Returns the status of the response.
async fn connect(
    proxy: &Proxy,
    tunnel: &str,
    mut stream: TcpStream,
) -> std::io::Result<Option<u16>> {
    let request = format!("CONNECT {tunnel} HTTP/1.1\r\nHost: {tunnel}\r\n");
    let mut request = request.into_bytes();
    let authorization = proxy.authorization().map_err(std::io::Error::other)?;
    if let Some(value) = authorization {
        let name = PROXY_AUTHORIZATION.as_str();
        request.extend([name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).await?;
    let mut head = Vec::new();
    let mut stream = stream.take(MAX_HEAD);
    // The status is in the first line, and the rest may be a long page.
    while !head.contains(&b'\n') {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(status(&head))
}

/// The status in the first line of a response.
fn status(head: &[u8]) -> Option<u16> {
    let head = head.strip_prefix(b"HTTP/1.")?;
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_a_first_line() {
        assert_eq!(status(b"HTTP/1.1 403 Forbidden\r\nServer: x"), Some(403));
        assert_eq!(status(b"HTTP/1.0 200\n"), Some(200));
        for other in [
            &b""[..],
            b"SSH-2.0-x",
            b"HTTP/1.1",
            b"HTTP/1.1 \xff",
            b"HTTP/1.1 x",
        ] {
            assert_eq!(status(other), None);
        }
    }
}
