//! Redirects: which are followed, and why others are not.

use hyper::header::HeaderValue;
use hyper::{StatusCode, Uri};
use thiserror::Error;
use url::Url;

/// Redirects that are followed in a row.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Why a redirect is not followed. Only the origin of its target is shown, because the rest may contain a credential.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum RedirectRefusal {
    /// Its status does not name one target, like 300 and 304.
    #[error("a redirect that cannot be followed")]
    Status,
    /// It has no target, or one that is not a URL.
    #[error("a redirect without a valid location")]
    Location,
    /// It leads to another origin.
    #[error("a redirect to {0}, which is not followed: the key is sent to no other origin")]
    Origin(String),
    /// It follows too many others.
    #[error("more than {MAX_REDIRECTS} redirects in a row")]
    TooMany,
}

/// The target of a redirect, after `followed` others. `from` is the URL that was redirected. Every request is a GET, so
/// all statuses with a target mean the same.
pub(crate) fn redirect_target(
    from: &Uri,
    status: StatusCode,
    location: Option<&HeaderValue>,
    followed: usize,
) -> Result<Uri, RedirectRefusal> {
    use RedirectRefusal as Refusal;
    let location = location
        .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        .ok_or(Refusal::Location)?;
    let from = Url::parse(&from.to_string()).map_err(|_| Refusal::Location)?;
    let mut to = from.join(location).map_err(|_| Refusal::Location)?;
    if to.origin() != from.origin() {
        return Err(Refusal::Origin(to.origin().ascii_serialization()));
    }
    if !has_target(status) {
        return Err(Refusal::Status);
    }
    if followed >= MAX_REDIRECTS {
        return Err(Refusal::TooMany);
    }
    // A user name in the URL belongs to another scheme of authorization, and HTTP/2 forbids it in the authority. Both
    // calls succeed for every URL with a host.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    to.as_str().parse().map_err(|_| Refusal::Location)
}

fn has_target(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(location: &str) -> Result<String, RedirectRefusal> {
        let from = Uri::from_static("https://api.scale.com/v2/task?task_id=1");
        let location = HeaderValue::from_str(location).unwrap();
        redirect_target(&from, StatusCode::FOUND, Some(&location), 0).map(|to| to.to_string())
    }

    #[test]
    fn redirects_within_the_origin_are_followed() {
        for (location, to) in [
            ("/moved?a=1", "https://api.scale.com/moved?a=1"),
            ("other", "https://api.scale.com/v2/other"),
            ("?task_id=2", "https://api.scale.com/v2/task?task_id=2"),
            ("//api.scale.com/x", "https://api.scale.com/x"),
            ("https://API.scale.com:443/x", "https://api.scale.com/x"),
            ("https://user:pw@api.scale.com/x", "https://api.scale.com/x"),
            ("/x#part", "https://api.scale.com/x"),
            ("/ä b", "https://api.scale.com/%C3%A4%20b"),
            ("", "https://api.scale.com/v2/task?task_id=1"),
        ] {
            assert_eq!(target(location).as_deref(), Ok(to), "{location}");
        }
    }

    #[test]
    fn a_redirect_to_another_origin_is_explained_without_what_may_be_secret() {
        for (location, origin) in [
            (
                "https://user:pw@elsewhere.example/a?token=secret",
                "https://elsewhere.example",
            ),
            ("https://api.scale.com:8443/", "https://api.scale.com:8443"),
            // The key would be sent without encryption.
            ("http://api.scale.com/v2/task", "http://api.scale.com"),
            (
                "//api.scale.com.evil.example",
                "https://api.scale.com.evil.example",
            ),
            ("https://api.scale.com@evil.example", "https://evil.example"),
            (r"\\evil.example/x", "https://evil.example"),
            ("file:///etc/passwd", "null"),
        ] {
            let refusal = target(location).unwrap_err();
            assert_eq!(
                refusal,
                RedirectRefusal::Origin(origin.into()),
                "{location}"
            );
            let text = refusal.to_string();
            assert!(!text.contains("secret") && !text.contains("pw"), "{text}");
        }
        assert_eq!(
            target("https://elsewhere.example").unwrap_err().to_string(),
            "a redirect to https://elsewhere.example, which is not followed: the key is sent to no other origin"
        );
    }

    #[test]
    fn a_location_that_is_missing_or_not_valid_is_refused() {
        let from = Uri::from_static("https://api.scale.com/v2/task");
        let not_text = HeaderValue::from_bytes(b"/\xff").unwrap();
        for location in [None, Some(&not_text)] {
            let refusal = redirect_target(&from, StatusCode::FOUND, location, 0).unwrap_err();
            assert_eq!(refusal, RedirectRefusal::Location);
        }
        assert_eq!(target("https://"), Err(RedirectRefusal::Location));
        assert_eq!(target("//["), Err(RedirectRefusal::Location));
        // A URL that is too long for a request.
        let long = format!("/{}", "x".repeat(70_000));
        assert_eq!(target(&long), Err(RedirectRefusal::Location));
    }

    #[test]
    fn a_chain_of_redirects_ends() {
        let from = Uri::from_static("https://api.scale.com/circle");
        let location = HeaderValue::from_static("/circle");
        let after = |followed| redirect_target(&from, StatusCode::FOUND, Some(&location), followed);
        assert_eq!(after(MAX_REDIRECTS - 1), Ok(from.clone()));
        let refusal = after(MAX_REDIRECTS).unwrap_err();
        assert_eq!(refusal.to_string(), "more than 5 redirects in a row");
    }

    #[test]
    fn only_statuses_with_a_target_are_followed() {
        let from = Uri::from_static("https://api.scale.com/v2/task");
        let location = HeaderValue::from_static("/moved");
        let followed: Vec<u16> = (100..=599)
            .filter(|&status| {
                let status = StatusCode::from_u16(status).unwrap();
                redirect_target(&from, status, Some(&location), 0).is_ok()
            })
            .collect();
        assert_eq!(followed, [301, 302, 303, 307, 308]);
    }
}
