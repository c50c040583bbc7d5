//! What the end of an attempt means: done, try again, fail this ID, stop the run. One pure table.
//! Depends on nothing.

use std::time::Duration;

use crate::failure_kind::FailureKind;

/// Why a server's certificate is not trusted: each calls for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody who is trusted has signed it.
    Authority,
    /// It is not valid any more, or not yet.
    Time,
    /// It is for other hosts.
    Name,
    /// Anything else: revoked, malformed, missing.
    Other,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A status other than 200.
    Status(u16),
    /// A redirect that is not followed.
    Redirect,
    /// No connection, or it broke, or the body could not be decompressed.
    Network,
    /// The server cannot be reached: its host does not exist, or the proxy gives no connection.
    NoRoute,
    /// Too slow.
    Timeout,
    /// The server's certificate is not trusted.
    Certificate(Distrust),
    /// Larger than the limit.
    TooLarge,
    /// 200, but no task.
    BadBody,
    /// 200, but another task.
    WrongTask,
    /// The system refused the memory that the body takes.
    NoMemory,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again; the kind is for when that does not help.
    Retry(FailureKind),
    /// The server wants fewer requests: try again, and do not hold it against the ID.
    SlowDown,
    /// The ID fails. The server has spoken about this ID, so it is well.
    Fail(FailureKind),
    /// The key is refused: the run stops.
    Refused,
    /// The server cannot be trusted: the run stops.
    Untrusted(Distrust),
    /// This machine has no memory for the body: the run stops.
    NoMemory,
}

/// Decides. `has_succeeded`: has any request of this run?
pub(crate) fn decide(trouble: Trouble, has_succeeded: bool) -> Verdict {
    use FailureKind::{
        BadBody, Forbidden, HttpError, Network, NotFound, Redirect, Timeout, TooLarge, WrongTask,
    };
    match trouble {
        Trouble::Status(401 | 402) => Verdict::Refused,
        Trouble::Status(403) if !has_succeeded => Verdict::Refused,
        Trouble::Status(403) => Verdict::Fail(Forbidden),
        Trouble::Status(404) => Verdict::Fail(NotFound),
        Trouble::Status(429) => Verdict::SlowDown,
        // No request asks for a part: 206 comes from a cache that is confused. 408 and 425 ask for another try; 520 to
        // 530 are an edge proxy's words for the same troubles.
        Trouble::Status(206 | 408 | 425 | 500 | 502..=504 | 520..=530) => Verdict::Retry(HttpError),
        Trouble::Status(_) => Verdict::Fail(HttpError),
        Trouble::Redirect => Verdict::Fail(Redirect),
        Trouble::Network | Trouble::NoRoute => Verdict::Retry(Network),
        Trouble::Timeout => Verdict::Retry(Timeout),
        Trouble::Certificate(why) => Verdict::Untrusted(why),
        Trouble::TooLarge => Verdict::Fail(TooLarge),
        Trouble::BadBody => Verdict::Retry(BadBody),
        Trouble::WrongTask => Verdict::Retry(WrongTask),
        Trouble::NoMemory => Verdict::NoMemory,
    }
}

/// Does a `Retry-After` beside this status speak for the whole server, so that all requests wait?
/// Beside others it is taken as meant for the one ID.
pub(crate) fn speaks_for_all(status: Option<u16>) -> bool {
    matches!(status, Some(429 | 503))
}

/// The first wait is at most this long; each further one twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// No wait is longer, unless the server asks for it.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is believed.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// How long an ID waits before its next attempt: full jitter, so that those that failed together do
/// not come back together. `random` is uniform in 0..1.
fn backoff(failures: u32, random: f64) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF).mul_f64(random.clamp(0.0, 1.0))
}

/// The wait before the next attempt: what the server `asked` for at least; else it grows, but the last
/// attempt comes when the run is due to give up, which is `left` from now, and not half a minute later.
pub(crate) fn wait(failures: u32, random: f64, asked: Duration, left: Duration) -> Duration {
    backoff(failures, random).min(left).max(asked)
}

/// Reads a `Retry-After`: seconds, or a date that is compared with the server's own clock when it
/// sent one, else with ours. What makes no sense counts as absent.
pub(crate) fn retry_after(
    value: Option<&str>,
    server_date: Option<&str>,
    now: std::time::SystemTime,
) -> Option<Duration> {
    let value = value?.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let is_number = [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let wait = if is_number {
        // What a span of time cannot hold is longer than all that is believed.
        let seconds = value.parse().ok().map(Duration::try_from_secs_f64);
        seconds.and_then(Result::ok).unwrap_or(MAX_RETRY_AFTER)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let now = server_date
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or(now);
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn every_status_has_its_verdict() {
        let mut groups: Vec<(Verdict, Vec<u16>)> = Vec::new();
        for status in 100..=599 {
            let verdict = decide(Trouble::Status(status), true);
            match groups.iter_mut().find(|(known, _)| *known == verdict) {
                Some((_, statuses)) => statuses.push(status),
                None => groups.push((verdict, vec![status])),
            }
        }
        let show = |statuses: &[u16]| match statuses.len() {
            0..=20 => format!("{statuses:?}"),
            count => format!("{count} others"),
        };
        let table: Vec<String> = groups
            .iter()
            .map(|(verdict, statuses)| format!("{verdict:?}: {}", show(statuses)))
            .collect();
        assert_eq!(
            table,
            [
                "Fail(HttpError): 477 others",
                "Retry(HttpError): [206, 408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530]",
                "Refused: [401, 402]",
                "Fail(Forbidden): [403]",
                "Fail(NotFound): [404]",
                "SlowDown: [429]",
            ]
        );
        assert_eq!(decide(Trouble::Status(403), false), Verdict::Refused);
    }

    #[test]
    fn every_other_trouble_has_its_verdict() {
        use FailureKind::{BadBody, Network, Redirect, Timeout, TooLarge, WrongTask};
        for (trouble, verdict) in [
            (Trouble::Redirect, Verdict::Fail(Redirect)),
            (Trouble::Network, Verdict::Retry(Network)),
            (Trouble::NoRoute, Verdict::Retry(Network)),
            (Trouble::Timeout, Verdict::Retry(Timeout)),
            (
                Trouble::Certificate(Distrust::Time),
                Verdict::Untrusted(Distrust::Time),
            ),
            (Trouble::TooLarge, Verdict::Fail(TooLarge)),
            (Trouble::BadBody, Verdict::Retry(BadBody)),
            (Trouble::WrongTask, Verdict::Retry(WrongTask)),
        ] {
            assert_eq!(decide(trouble, false), verdict);
            assert_eq!(decide(trouble, true), verdict);
        }
    }

    #[test]
    fn waits_grow_and_are_capped() {
        assert_eq!(backoff(1, 1.0), FIRST_BACKOFF);
        assert_eq!(backoff(3, 0.5), FIRST_BACKOFF * 2);
        assert_eq!(backoff(u32::MAX, 1.0), MAX_BACKOFF);
        assert_eq!(backoff(5, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_wait_ends_when_the_run_gives_up_unless_the_server_asks_for_more() {
        let second = Duration::from_secs(1);
        let none = Duration::ZERO;
        assert_eq!(wait(9, 1.0, none, second * 60), MAX_BACKOFF);
        assert_eq!(wait(9, 1.0, none, second), second);
        assert_eq!(wait(1, 1.0, second * 2, second), second * 2);
        assert_eq!(wait(1, 0.0, none, second), none);
    }

    #[test]
    fn retry_after_in_every_form() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let read = |value| retry_after(Some(value), None, now);
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(read("86400"), Some(MAX_RETRY_AFTER));
        let beyond_floats = "9".repeat(400);
        for too_large in ["99999999999999999999999999", &beyond_floats] {
            assert_eq!(read(too_large), Some(MAX_RETRY_AFTER));
        }
        for other in [
            "-1", "soon", "NaN", "1e5", "1e-5", "+5", "inf", "1.", ".5", "1.5.5", "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(
            read("Tue, 14 Nov 2023 22:13:25 GMT"),
            Some(Duration::from_secs(5))
        );
        assert_eq!(read("Tue, 14 Nov 2023 22:13:15 GMT"), Some(Duration::ZERO));
        // The server's clock is an hour ahead of ours, and its date says so.
        let skewed = retry_after(
            Some("Tue, 14 Nov 2023 23:13:25 GMT"),
            Some("Tue, 14 Nov 2023 23:13:20 GMT"),
            now,
        );
        assert_eq!(skewed, Some(Duration::from_secs(5)));
        assert_eq!(retry_after(None, None, now), None);
    }
}
