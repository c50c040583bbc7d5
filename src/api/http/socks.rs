//! Connections through a SOCKS proxy.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use hyper::http::uri::{InvalidUri, Scheme};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service as _;

use crate::api::http::tcp_connector::TcpConnector;
use crate::api::http::transport_error::{BoxError, DnsError};
use crate::api::proxy::Proxy;
use crate::api::proxy_credentials::ProxyCredentials;

/// The ports of URLs without one.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Connects to the server of a URL, through the proxy at `proxy_url`.
pub(crate) async fn connect(
    proxy: &Proxy,
    proxy_url: &Uri,
    tcp: &TcpConnector,
    url: &Uri,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let (host, port) = host_and_port(url);
    let destination = if proxy.resolves_names() {
        destination(host, port)?
    } else {
        let found = lookup_host((host.trim_matches(['[', ']']), port)).await;
        let address = found.and_then(|found| first(found, proxy.is_socks4()));
        destination(&destination_host(address.map_err(DnsError)?), port)?
    };
    if proxy.is_socks4() {
        let mut socks = SocksV4::new(proxy_url.clone(), tcp.clone());
        return Ok(socks.call(destination).await?);
    }
    let mut socks = SocksV5::new(proxy_url.clone(), tcp.clone());
    let credentials = proxy.credentials.as_ref();
    if let Some((user, password)) = credentials.map(ProxyCredentials::for_socks) {
        socks = socks.with_auth(user, password);
    }
    Ok(socks.call(destination).await?)
}

/// Host and port of a URL. An IPv6 address has brackets.
fn host_and_port(url: &Uri) -> (&str, u16) {
    let is_tls = url.scheme() == Some(&Scheme::HTTPS);
    let default = if is_tls { HTTPS_PORT } else { HTTP_PORT };
    let host = url.host().unwrap_or_default();
    (host, url.port_u16().unwrap_or(default))
}

/// What the SOCKS library takes as a destination. It would connect to the port of HTTPS if the URL had no port.
fn destination(host: &str, port: u16) -> Result<Uri, InvalidUri> {
    format!("http://{host}:{port}").parse()
}

/// An address as a host of a URL.
fn destination_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The first address that the proxy can connect to: SOCKS4 has no IPv6.
fn first(mut addresses: impl Iterator<Item = SocketAddr>, is_socks4: bool) -> io::Result<IpAddr> {
    let usable = addresses.find(|address| address.is_ipv4() || !is_socks4);
    let address = usable.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "the host has no IPv4 address, which SOCKS4 requires",
        )
    })?;
    Ok(address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_always_has_a_port() {
        for (url, expected) in [
            ("http://api.example/v2/task?a=1", "http://api.example:80/"),
            ("https://api.example/v2/task", "http://api.example:443/"),
            ("http://api.example:8080", "http://api.example:8080/"),
            ("https://[fd00::1]", "http://[fd00::1]:443/"),
        ] {
            let url = url.parse().unwrap();
            let (host, port) = host_and_port(&url);
            assert_eq!(destination(host, port).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn socks4_gets_an_ipv4_address() {
        let addresses = ["[fd00::1]:80", "192.0.2.1:80"].map(|text| text.parse().unwrap());
        let chosen = |is_socks4| destination_host(first(addresses.into_iter(), is_socks4).unwrap());
        assert_eq!(chosen(true), "192.0.2.1");
        assert_eq!(chosen(false), "[fd00::1]");
        let error = first(addresses.into_iter().take(1), true).unwrap_err();
        assert!(error.to_string().contains("SOCKS4"), "{error}");
    }
}
