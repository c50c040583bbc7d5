//! User name and password of a proxy: how a URL has them, and how protocols send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderValue, InvalidHeaderValue};
use percent_encoding::percent_decode_str;

/// The maximum length in bytes of a user name or password for SOCKS5, which sends it in one byte (RFC 1929).
pub(crate) const MAX_SOCKS_BYTES: usize = 255;

/// User name and password, decoded. They are secret, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyCredentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl ProxyCredentials {
    /// Reads `user:password` or `user` of a URL. Both are percent-encoded.
    pub(crate) fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decoded = |text: &str| percent_decode_str(text).collect();
        Self {
            user: decoded(user),
            password: decoded(password),
        }
    }

    /// The value of `Proxy-Authorization` for an HTTP proxy.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let encoded = STANDARD.encode([&self.user[..], b":", &self.password].concat());
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether both are short enough for SOCKS5.
    pub(crate) fn fit_socks(&self) -> bool {
        self.user.len().max(self.password.len()) <= MAX_SOCKS_BYTES
    }

    /// User name and password for a SOCKS5 proxy.
    pub(crate) fn for_socks(&self) -> (String, String) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.user), text(&self.password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_before_they_are_sent() {
        for (text, plain) in [
            ("user:secret", "user:secret"),
            ("user", "user:"),
            (":secret", ":secret"),
            // Only the first colon separates.
            ("user:a:b", "user:a:b"),
            // An encoded colon belongs to the user name in SOCKS; Basic cannot express it.
            ("us%3Aer:p%40%20%ff", "us:er:p@ \u{fffd}"),
        ] {
            let credentials = ProxyCredentials::parse(text);
            let value = credentials.authorization().unwrap();
            assert!(value.is_sensitive() && !format!("{value:?}").contains("Basic"));
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            let sent = STANDARD.decode(encoded).unwrap();
            assert_eq!(String::from_utf8_lossy(&sent), plain, "{text}");
            let (user, password) = credentials.for_socks();
            assert_eq!(format!("{user}:{password}"), plain, "{text}");
        }
        let (user, _) = ProxyCredentials::parse("us%3Aer:secret").for_socks();
        assert_eq!(user, "us:er");
    }

    #[test]
    fn long_credentials_do_not_fit_socks() {
        let (longest, longer) = ("x".repeat(255), "x".repeat(256));
        let fit = |text: &str| ProxyCredentials::parse(text).fit_socks();
        assert!(fit(&format!("{longest}:{longest}")));
        assert!(!fit(&longer) && !fit(&format!("user:{longer}")));
    }
}
