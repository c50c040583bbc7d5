//! Reads the headers `Retry-After` and `Date`.

use std::time::Duration;

/// The maximum wait. A longer `Retry-After` counts as this.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Reads a `Retry-After`: seconds, or a date, which is compared with the `Date` of the server, or with the local clock
/// if there is none. A value that makes no sense counts as absent.
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
        // A number that a duration cannot hold is longer than the maximum.
        let seconds = value.parse().ok().map(Duration::try_from_secs_f64);
        seconds.and_then(Result::ok).unwrap_or(MAX_RETRY_AFTER)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let now = server_date
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or(now);
        // A date in the past means that the wait is over.
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Seconds that a `Date` is ahead of the local clock; `None` if it is not a date.
pub(crate) fn clock_lead(date: &str, now: std::time::SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date.trim()).ok()?;
    let (span, sign) = match date.duration_since(now) {
        Ok(ahead) => (ahead, 1),
        Err(behind) => (behind.duration(), -1),
    };
    Some(i64::try_from(span.as_secs()).unwrap_or(i64::MAX) * sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

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
        // The server's clock is an hour ahead, and its date says so.
        let skewed = retry_after(
            Some("Tue, 14 Nov 2023 23:13:25 GMT"),
            Some("Tue, 14 Nov 2023 23:13:20 GMT"),
            now,
        );
        assert_eq!(skewed, Some(Duration::from_secs(5)));
        assert_eq!(retry_after(None, None, now), None);
    }

    #[test]
    fn a_date_is_compared_with_the_local_clock() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let lead = |date| clock_lead(date, now);
        assert_eq!(lead("Tue, 14 Nov 2023 22:13:20 GMT"), Some(0));
        assert_eq!(lead("Tue, 14 Nov 2023 23:13:20 GMT"), Some(3_600));
        assert_eq!(lead(" Tue, 14 Nov 2023 22:03:20 GMT"), Some(-600));
        assert_eq!(lead("tomorrow"), None);
    }
}
