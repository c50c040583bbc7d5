//! The base URL of the API: whether it can be used, and the URLs below it.

use reqwest::Url;

use crate::api::error::{FetchError, UrlMistake};
use crate::api::options::ClientOptions;
use crate::api::proxy::is_loopback;

/// The base URL, unless it is not valid or would send the key without encryption.
pub(crate) fn usable_url(options: &ClientOptions) -> Result<Url, FetchError> {
    let url = checked_url(&options.base_url)?;
    if url.scheme() == "http"
        && !is_loopback(url.host_str().unwrap_or_default())
        && !options.allow_http
    {
        return Err(FetchError::PlainHttp {
            url: showable(&options.base_url),
        });
    }
    Ok(url)
}

/// Checks a base URL. Its path is kept.
fn checked_url(base_url: &str) -> Result<Url, FetchError> {
    let failed = |cause| FetchError::BadUrl {
        url: showable(base_url),
        cause,
    };
    // A host alone would be reported as a relative URL, which does not name the mistake.
    if !base_url.contains("://") {
        return Err(failed(UrlMistake::Scheme));
    }
    let url = Url::parse(base_url.trim_end_matches('/'))
        .map_err(|error| failed(UrlMistake::Syntax(error.to_string())))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed(UrlMistake::Scheme));
    }
    // Requests would send these along, and the URL is printed and stored.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failed(UrlMistake::Credentials));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(failed(UrlMistake::Query));
    }
    Ok(url)
}

/// The URL of an endpoint below the base URL.
pub(crate) fn endpoint(base: &Url, path: &str, query: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(Some(query));
    url
}

/// A URL without the parts that may be a credential.
pub(crate) fn showable(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://[redacted]@{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_keeps_its_path() {
        let url = |base: &str| {
            checked_url(base).map(|base| endpoint(&base, "/v2/task", "a=1").to_string())
        };
        assert_eq!(
            url("https://api.scale.com").unwrap(),
            "https://api.scale.com/v2/task?a=1"
        );
        assert_eq!(
            url("http://localhost:1/proxy/").unwrap(),
            "http://localhost:1/proxy/v2/task?a=1"
        );
        for bad in [
            "api.scale.com",
            "ftp://a",
            "",
            "https://u:secret@a",
            "https://a?api_key=secret",
            "https://a#secret",
        ] {
            let error = url(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for (url, is_local) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080/a", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost:1", true),
            ("http://LOCALHOST/", true),
            ("http://localhost./", false),
            ("http://api.localhost", false),
            ("http://api.localhost./", false),
            ("http://2130706433", true),
            ("http://0.0.0.0", false),
            ("http://api.scale.com", false),
            ("http://localhost.example", false),
            ("http://notlocalhost", false),
            ("http://10.0.0.1", false),
            ("http://[fe80::1]", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_loopback(url.host_str().unwrap()), is_local, "{url}");
        }
    }
}
