//! The base URL of the API: whether it can be used, and the URLs below it.

use bytes::Bytes;
use hyper::Uri;
use hyper::http::uri::InvalidUri;
use url::Url;

use crate::api::error::{FetchError, UrlMistake};
use crate::api::list_request::{PageRequest, encode};
use crate::api::options::ClientOptions;
use crate::api::proxy::is_loopback;
use crate::ids::task_ids::MAX_ID_BYTES;

/// The maximum number of bytes that a byte of an ID is encoded as.
const MAX_ENCODED_BYTES: usize = 3;

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

/// The URLs of endpoints below the base URL.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// The base URL, without a slash at its end.
    base: String,
    /// What every query ends with.
    query: String,
}

/// Bytes that are reserved for a URL. Few are longer.
const USUAL_URL_BYTES: usize = 128;

impl Endpoints {
    /// Endpoints whose queries end with the `expand` and `opts` parameters. Fails if a request for the longest ID would
    /// have no valid URL: the syntax of requests is stricter than that of `Url`.
    pub(crate) fn new(base: &Url, options: &ClientOptions) -> Result<Self, FetchError> {
        let repeated = |key: &'static str, values: &[String]| -> String {
            values
                .iter()
                .map(|value| format!("&{key}={}", encode(value)))
                .collect()
        };
        let endpoints = Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            query: repeated("expand", &options.expand) + &repeated("opts", &options.opts),
        };
        let longest = "x".repeat(MAX_ID_BYTES * MAX_ENCODED_BYTES);
        match endpoints.task(&longest) {
            Ok(_) => Ok(endpoints),
            Err(error) => Err(FetchError::BadUrl {
                url: showable(&options.base_url),
                cause: UrlMistake::Syntax(error.to_string()),
            }),
        }
    }

    /// The base URL, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The URL of a task.
    pub(crate) fn task(&self, task_id: &str) -> Result<Uri, InvalidUri> {
        self.url("/v2/task", &["task_id=", &encode(task_id)])
    }

    /// The URL of a page of a list. Fails if the name of the list or the page token is too long.
    pub(crate) fn page(&self, request: &PageRequest) -> Result<Uri, InvalidUri> {
        self.url(request.path(), &[&request.query()])
    }

    /// The URL of an endpoint. The parts of its query are encoded.
    fn url(&self, path: &str, query: &[&str]) -> Result<Uri, InvalidUri> {
        let mut url = String::with_capacity(USUAL_URL_BYTES);
        url.extend([&self.base, path, "?"]);
        url.extend(query.iter().copied());
        url.push_str(&self.query);
        // The parts of the parsed URL share this memory.
        Uri::from_maybe_shared(Bytes::from(url))
    }
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
    fn a_base_url_without_valid_requests_is_refused() {
        let endpoints = |base: &str, opts: usize| {
            let options = ClientOptions {
                opts: vec!["x".repeat(opts)],
                ..ClientOptions::for_test(base)
            };
            Endpoints::new(&checked_url(base)?, &options)
        };
        for bad in ["https://a{b}.example", "https://a`b.example"] {
            let error = endpoints(bad, 1).unwrap_err();
            assert!(matches!(error, FetchError::BadUrl { .. }), "{error:?}");
        }
        let error = endpoints("https://a.example", 64_000).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        assert!(endpoints("https://a.example", 60_000).is_ok());
    }

    #[test]
    fn the_base_url_keeps_its_path() {
        let url = |base: &str| {
            let endpoints = Endpoints::new(&checked_url(base)?, &ClientOptions::for_test(base))?;
            Ok::<_, FetchError>(endpoints.task("a").unwrap().to_string())
        };
        for (base, expected) in [
            (
                "https://api.scale.com",
                "https://api.scale.com/v2/task?task_id=a",
            ),
            (
                "http://localhost:1/proxy/",
                "http://localhost:1/proxy/v2/task?task_id=a",
            ),
            ("http://[::1]:80//", "http://[::1]/v2/task?task_id=a"),
            // What a URL may have and a request may not is encoded or converted.
            (
                "https://ä.example/ü \"x",
                "https://xn--4ca.example/%C3%BC%20%22x/v2/task?task_id=a",
            ),
        ] {
            assert_eq!(url(base).unwrap(), expected);
        }
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
