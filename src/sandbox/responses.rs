//! The responses of the sandbox: bodies, errors and faults.

use std::convert::Infallible;
use std::io::Write as _;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use hyper::{Response, StatusCode};

use crate::sandbox::faults::FaultKind;
use crate::sandbox::limit_models::LimitQuota;

pub(crate) type ResponseBody = BoxBody<Bytes, std::io::Error>;

/// The pieces of a slow body, and the time between them.
const TRICKLE_BYTES: usize = 512;
const TRICKLE_INTERVAL: Duration = Duration::from_millis(20);

/// The response of a fault that has one.
pub(crate) fn faulty(kind: FaultKind, task: Bytes) -> Response<ResponseBody> {
    const PAGE: &str = "<!DOCTYPE html><html><head><title>The origin is unreachable</title></head><body>…</body></html>";
    let half = task.slice(..task.len() / 2);
    match kind {
        FaultKind::Status(status) => error(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            "this fault was requested",
        ),
        FaultKind::HtmlStatus(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            response(status, "text/html", Bytes::from_static(PAGE.as_bytes()))
        }
        FaultKind::Html => response(
            StatusCode::OK,
            "text/html",
            Bytes::from_static(PAGE.as_bytes()),
        ),
        FaultKind::WrongTask => response(
            StatusCode::OK,
            JSON,
            Bytes::from_static(b"{\"task_id\":\"task_of_somebody_else\"}"),
        ),
        FaultKind::BadJson => response(StatusCode::OK, JSON, half),
        FaultKind::BadGzip => {
            let mut bad = response(StatusCode::OK, JSON, task);
            bad.headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            bad
        }
        FaultKind::Truncate => {
            let whole = task.len();
            let pieces = [
                Ok(Frame::data(half)),
                Err(std::io::Error::other("cut off on purpose")),
            ];
            let mut cut = Response::new(BodyExt::boxed(StreamBody::new(stream::iter(pieces))));
            cut.headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            cut.headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(whole));
            cut
        }
        FaultKind::Slow | FaultKind::Reset | FaultKind::Hang => {
            let pieces = stream::unfold(task, |mut rest| async move {
                if rest.is_empty() {
                    return None;
                }
                tokio::time::sleep(TRICKLE_INTERVAL).await;
                let piece = rest.split_to(rest.len().min(TRICKLE_BYTES));
                Some((Ok(Frame::data(piece)), rest))
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
    }
}

pub(crate) const JSON: &str = "application/json";

pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<ResponseBody> {
    let body = Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn error(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let body = serde_json::json!({"status_code": status.as_u16(), "error": text}).to_string();
    response(status, JSON, Bytes::from(body))
}

pub(crate) fn json_response(body: Bytes, gzip: bool) -> Response<ResponseBody> {
    if !gzip {
        return response(StatusCode::OK, JSON, body);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = encoder.write_all(&body).and_then(|()| encoder.finish());
    match compressed {
        Ok(compressed) => {
            let mut response = response(StatusCode::OK, JSON, Bytes::from(compressed));
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        Err(_) => response(StatusCode::OK, JSON, body),
    }
}

/// The `Retry-After` header of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// In seconds.
    Seconds(u64),
    /// A date, by the server's clock.
    Date {
        /// Seconds from now.
        seconds: u64,
        /// Seconds that the clock is fast.
        skew: u64,
    },
}

impl FromStr for RetryAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| "expected seconds, date:SECONDS or date:SECONDS+SKEW".to_owned())
        };
        match text.strip_prefix("date:") {
            None => Ok(Self::Seconds(number(text)?)),
            Some(rest) => {
                let (seconds, skew) = rest.split_once('+').unwrap_or((rest, "0"));
                Ok(Self::Date {
                    seconds: number(seconds)?,
                    skew: number(skew)?,
                })
            }
        }
    }
}

impl RetryAfter {
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        match self {
            Self::Seconds(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Date { seconds, skew } => {
                let now = SystemTime::now() + Duration::from_secs(skew);
                let date = |time| HeaderValue::from_str(&httpdate::fmt_http_date(time));
                let later = now + Duration::from_secs(seconds);
                if let (Ok(now), Ok(later)) = (date(now), date(later)) {
                    headers.insert(DATE, now);
                    headers.insert(RETRY_AFTER, later);
                }
            }
        }
    }
}

/// The headers that report a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaHeaders {
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, in seconds.
    Plain,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, as a Unix time.
    Prefixed,
    /// `RateLimit-Policy: "default";q=100;w=60` and `RateLimit: "default";r=50;t=30`.
    Structured,
}

impl FromStr for QuotaHeaders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "plain" => Ok(Self::Plain),
            "prefixed" => Ok(Self::Prefixed),
            "structured" => Ok(Self::Structured),
            _ => Err("expected plain, prefixed or structured".to_owned()),
        }
    }
}

impl QuotaHeaders {
    pub(crate) fn write(self, quota: LimitQuota, headers: &mut HeaderMap) {
        let reset = quota.reset.as_secs_f64().ceil();
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        match self {
            Self::Plain => {
                put("ratelimit-limit", quota.limit.to_string());
                put("ratelimit-remaining", quota.left.to_string());
                put("ratelimit-reset", reset.to_string());
            }
            Self::Prefixed => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                let at = (now.as_secs_f64() + reset).ceil();
                put("x-ratelimit-limit", quota.limit.to_string());
                put("x-ratelimit-remaining", quota.left.to_string());
                put("x-ratelimit-reset", at.to_string());
            }
            Self::Structured => {
                let window = quota.window.as_secs_f64().ceil();
                put(
                    "ratelimit-policy",
                    format!("\"default\";q={};w={window}", quota.limit),
                );
                put(
                    "ratelimit",
                    format!("\"default\";r={};t={reset}", quota.left),
                );
            }
        }
    }
}
