//! Which proxy is in front of the API, from the variables that curl reads, and which hosts are reached without one.

use std::ffi::OsString;
use std::net::IpAddr;

use hyper::header::{HeaderValue, InvalidHeaderValue};

use crate::api::error::FetchError;
use crate::api::proxy_credentials::{MAX_SOCKS_BYTES, ProxyCredentials};

/// The schemes of proxies, with their default ports.
const SCHEMES: [(&str, u16); 6] = [
    ("http", 80),
    ("https", 443),
    ("socks4", 1080),
    ("socks4a", 1080),
    ("socks5", 1080),
    ("socks5h", 1080),
];

/// Where requests go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProxyTarget<'t> {
    pub(crate) is_https: bool,
    /// A name or an address. An IPv6 address has brackets.
    pub(crate) host: &'t str,
    pub(crate) port: u16,
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<ProxyCredentials>,
    /// The variable that names it.
    pub(crate) variable: &'static str,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Proxy {
    /// Its URL without credentials.
    pub(crate) fn shown(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.host, self.port)
    }

    /// Whether it speaks SOCKS, not HTTP.
    pub(crate) fn is_socks(&self) -> bool {
        self.scheme.starts_with("socks")
    }

    /// Whether it speaks SOCKS4, which has no passwords.
    pub(crate) fn is_socks4(&self) -> bool {
        self.scheme.starts_with("socks4")
    }

    /// Whether it resolves host names itself.
    pub(crate) fn resolves_names(&self) -> bool {
        !matches!(self.scheme, "socks4" | "socks5")
    }

    /// What it requires in `Proxy-Authorization`, if it speaks HTTP.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, InvalidHeaderValue> {
        let credentials = self.credentials.as_ref().filter(|_| !self.is_socks());
        credentials.map(ProxyCredentials::authorization).transpose()
    }

    /// The error of a value that cannot be used.
    pub(crate) fn bad(&self, cause: String) -> FetchError {
        bad(self.variable, cause)
    }

    fn parse(variable: &'static str, value: &str) -> Result<Self, FetchError> {
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // The last `@`: a password may have one that is not encoded.
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => {
                (Some(credentials).filter(|text| !text.is_empty()), place)
            }
            None => (None, authority),
        };
        let bad = |cause: String| bad(variable, cause);
        let known = SCHEMES
            .iter()
            .find(|(name, _)| scheme.eq_ignore_ascii_case(name));
        let Some(&(scheme, default_port)) = known else {
            return Err(bad(format!("`{scheme}` is not a scheme of proxies")));
        };
        let (host, port) = split_port(place);
        let port = match port {
            None => default_port,
            Some(port) => port
                .parse()
                .map_err(|_| bad(format!("`{port}` is not a port")))?,
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(bad("there is no host in it".to_owned()));
        }
        // An IPv6 address has brackets in a URL.
        let is_bare = host.contains(':') && !host.starts_with('[');
        let proxy = Self {
            scheme,
            host: if is_bare {
                format!("[{host}]")
            } else {
                host.to_owned()
            },
            port,
            credentials: credentials.map(ProxyCredentials::parse),
            variable,
        };
        let credentials = proxy.credentials.as_ref().filter(|_| proxy.is_socks());
        if credentials.is_some_and(|credentials| !credentials.fit_socks()) {
            return Err(bad(format!(
                "its user name or password is over {MAX_SOCKS_BYTES} bytes long"
            )));
        }
        Ok(proxy)
    }
}

fn bad(variable: &'static str, cause: String) -> FetchError {
    FetchError::BadProxy { variable, cause }
}

/// The proxy for a target, if there is one. `variable` returns the value of an environment variable.
pub(crate) fn proxy_for(
    target: ProxyTarget<'_>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Proxy>, FetchError> {
    // This machine is not behind a proxy.
    if is_loopback(target.host) {
        return Ok(None);
    }
    let first = |names: &[&'static str]| {
        for &name in names {
            let Some(value) = variable(name) else {
                continue;
            };
            // A value that cannot be read must not count as unset: requests would bypass the proxy.
            let value = value.to_str().ok_or(FetchError::Variable { name })?.trim();
            if !value.is_empty() {
                return Ok(Some((name, value.to_owned())));
            }
        }
        Ok(None)
    };
    let mut found = if target.is_https {
        // Lower case first, as curl does.
        first(&["https_proxy", "HTTPS_PROXY"])?
    } else if variable("REQUEST_METHOD").is_some() {
        // Under CGI, HTTP_PROXY is what a client sent in a header `Proxy`.
        first(&["http_proxy"])?
    } else {
        first(&["http_proxy", "HTTP_PROXY"])?
    };
    if found.is_none() {
        found = first(&["all_proxy", "ALL_PROXY"])?;
    }
    let Some((name, value)) = found else {
        return Ok(None);
    };
    let is_direct = first(&["no_proxy", "NO_PROXY"])?.is_some_and(|(_, list)| {
        list.split(|c: char| c == ',' || c.is_whitespace())
            .any(|entry| covers(entry, target))
    });
    if is_direct {
        return Ok(None);
    }
    Proxy::parse(name, &value).map(Some)
}

/// Whether a host is this machine, so that what is sent there never leaves it. Names below `.localhost`, and
/// `localhost.`, may be resolved by DNS to any address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let is_local = address(host).is_some_and(|address| address.to_canonical().is_loopback());
    is_local || host.eq_ignore_ascii_case("localhost")
}

/// An address, with or without brackets.
fn address(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

/// Splits off a port. An IPv6 address has one only after brackets.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

/// Whether an entry of `NO_PROXY` matches a target: `*`, a domain with all its subdomains, an address or a network,
/// each with or without a port.
fn covers(entry: &str, target: ProxyTarget<'_>) -> bool {
    let (entry, port) = split_port(entry);
    if port.is_some_and(|port| port.parse() != Ok(target.port)) {
        return false;
    }
    match address(target.host) {
        _ if entry == "*" => true,
        Some(address) => is_in_network(address, entry),
        None => is_in_domain(target.host, entry),
    }
}

fn is_in_domain(host: &str, entry: &str) -> bool {
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let domain = entry.trim_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    !domain.is_empty()
        && host
            .strip_suffix(&domain)
            .is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

fn is_in_network(host: IpAddr, entry: &str) -> bool {
    let (base, prefix) = match entry.split_once('/') {
        Some((base, prefix)) => (base, Some(prefix)),
        None => (entry, None),
    };
    let Some(base) = address(base) else {
        return false;
    };
    let (differing, width) = match (host, base) {
        (IpAddr::V4(host), IpAddr::V4(base)) => {
            (u128::from(host.to_bits() ^ base.to_bits()), u32::BITS)
        }
        (IpAddr::V6(host), IpAddr::V6(base)) => (host.to_bits() ^ base.to_bits(), u128::BITS),
        _ => return false,
    };
    let prefix = match prefix.map(str::parse::<u32>) {
        None => width,
        Some(Ok(prefix)) if prefix <= width => prefix,
        Some(_) => return false,
    };
    // A shift by all bits leaves nothing that could differ.
    differing.checked_shr(width - prefix).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;

    fn find(
        target: ProxyTarget<'_>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Proxy>, FetchError> {
        proxy_for(target, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn at(host: &str) -> ProxyTarget<'_> {
        ProxyTarget {
            is_https: true,
            host,
            port: 443,
        }
    }

    fn shown(target: ProxyTarget<'_>, variables: &[(&str, &str)]) -> Option<String> {
        find(target, variables).unwrap().map(|proxy| proxy.shown())
    }

    #[test]
    fn variables_are_read_in_their_order() {
        let http = ProxyTarget {
            is_https: false,
            ..at("api.example")
        };
        let https = at("api.example");
        let both = [("https_proxy", "https://s"), ("http_proxy", "h:8080")];
        assert_eq!(shown(https, &both).as_deref(), Some("https://s:443"));
        assert_eq!(shown(http, &both).as_deref(), Some("http://h:8080"));
        let all = [("HTTPS_PROXY", " "), ("ALL_PROXY", "socks5://a")];
        assert_eq!(shown(https, &all).as_deref(), Some("socks5://a:1080"));
        assert_eq!(shown(http, &[("HTTPS_PROXY", "h")]), None);
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil")];
        assert_eq!(shown(http, &cgi), None);
    }

    #[test]
    fn loopback_has_no_proxy() {
        for host in ["localhost", "127.0.0.9", "[::1]", "LOCALHOST"] {
            assert_eq!(
                shown(at(host), &[("ALL_PROXY", "http://p")]),
                None,
                "{host}"
            );
        }
        for host in [
            "localhost.example",
            "api.localhost",
            "api.localhost.",
            "localhost.",
        ] {
            assert!(
                shown(at(host), &[("ALL_PROXY", "http://p")]).is_some(),
                "{host}"
            );
        }
    }

    #[test]
    fn every_form_of_no_proxy_is_read() {
        let is_direct = |list: &str, host: &str| {
            shown(at(host), &[("ALL_PROXY", "http://p"), ("NO_PROXY", list)]).is_none()
        };
        for (list, host) in [
            ("*", "api.example"),
            ("*", "10.1.2.3"),
            ("api.example", "API.example."),
            ("example", "api.example"),
            (".example", "api.example"),
            (".example", "example"),
            ("*.example", "api.example"),
            ("other, api.example:443", "api.example"),
            ("other api.example", "api.example"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:443", "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("0.0.0.0/0", "10.1.2.3"),
            ("fd00::1", "[fd00::1]"),
            ("[fd00::1]:443", "[fd00::1]"),
            ("fd00::/8", "[fd12::1]"),
        ] {
            assert!(is_direct(list, host), "{list}: {host}");
        }
        for (list, host) in [
            ("", "api.example"),
            (".", "api.example"),
            ("api.example:80", "api.example"),
            ("*:80", "api.example"),
            ("pi.example", "api.example"),
            ("api.example.org", "api.example"),
            ("10.0.0.0/16", "10.1.2.3"),
            ("10.0.0.0/40", "10.1.2.3"),
            ("10.0.0.0/x", "10.1.2.3"),
            ("1.2.3", "10.1.2.3"),
            ("::/0", "10.1.2.3"),
        ] {
            assert!(!is_direct(list, host), "{list}: {host}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_showing_its_password() {
        let proxy = |url: &str| find(at("api.example"), &[("HTTPS_PROXY", url)]);
        for bad in [
            "ftp://user:secret@p",
            "quic://p",
            "http://",
            "http://user:secret@:80",
            "http://user:secret@p:port",
            "http://p q",
            &format!("socks5://user:secret{}@p", "x".repeat(250)),
        ] {
            let error = proxy(bad).unwrap_err();
            let text = format!("{error} {}", error.hint().unwrap());
            assert!(
                text.contains("HTTPS_PROXY") && text.contains("NO_PROXY"),
                "{text}"
            );
            assert!(!text.contains("secret"), "{text}");
        }
        let proxy = proxy("http://user:secret@[::1]:3128/path")
            .unwrap()
            .unwrap();
        assert!(proxy.credentials == Some(ProxyCredentials::parse("user:secret")));
        assert_eq!(format!("{proxy:?}"), "http://[::1]:3128");
    }

    #[test]
    fn only_http_proxies_get_an_authorization_header() {
        let sent = |url: &str| {
            let proxy = find(at("api.example"), &[("ALL_PROXY", url)]);
            let value = proxy.unwrap().unwrap().authorization().unwrap();
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        // `user:secret`
        let basic = Some("Basic dXNlcjpzZWNyZXQ=".to_owned());
        assert_eq!(sent("user:secret@p"), basic);
        assert_eq!(sent("https://user:secret@p"), basic);
        for without in ["http://p", "http://@p", "socks5h://user:secret@p"] {
            assert_eq!(sent(without), None, "{without}");
        }
    }
}
