//! Reads rate-limit headers: `RateLimit` in its current and its earlier form, `RateLimit-Remaining` and
//! `RateLimit-Reset`, and the same with `X-` in all spellings that are in use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::pacer::types::ServerQuota;

/// Pairs of headers for how many requests are left, and when the quota is reset.
const PAIRS: [(&str, &str); 4] = [
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    (
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
];

/// A reset of at least this many seconds is a Unix time, not a duration.
const TIMES_FROM: f64 = 1e9;

/// A reset of at least this is a Unix time in milliseconds.
const MILLISECONDS_FROM: f64 = 1e12;

/// Whether a header can be one of a quota. Most responses have none.
pub(crate) fn may_be_quota(name: &str) -> bool {
    name.starts_with("ratelimit") || name.starts_with("x-rate")
}

/// All quotas in the headers of a response; values that make no sense are left out. Times are compared with the `Date`
/// of the server, or with the local clock if there is none.
pub(crate) fn quotas<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    now: SystemTime,
) -> Vec<ServerQuota> {
    let now = header("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    let quota = |left: &str, reset: &str| {
        let left = left.trim().parse::<f64>().ok()?;
        let is_sound = left.is_finite() && left >= 0.0;
        Some(ServerQuota {
            left: is_sound.then_some(left)?,
            reset: span(reset.trim(), now)?,
        })
    };
    let paired = PAIRS
        .iter()
        .filter_map(|(left, reset)| quota(header(left)?, header(reset)?));
    let listed = header("ratelimit").into_iter().flat_map(|value| {
        // Earlier drafts have one policy, and a comma where there is now a semicolon.
        let separator = if value.contains(';') { ',' } else { '\n' };
        value.split(separator)
    });
    let listed = listed.filter_map(|policy| {
        let parameter = |names: [&str; 2]| {
            policy
                .split([';', ','])
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| names.contains(&name.trim()))
                .map(|(_, value)| value)
        };
        quota(parameter(["r", "remaining"])?, parameter(["t", "reset"])?)
    });
    paired.chain(listed).collect()
}

/// A number of seconds, or a time.
fn span(value: &str, now: SystemTime) -> Option<Duration> {
    let number = value.parse::<f64>().ok()?;
    let seconds = if number >= MILLISECONDS_FROM {
        number / 1e3
    } else {
        number
    };
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    if number >= TIMES_FROM {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // A time in the past is a duration of zero.
        Some(span.saturating_sub(now))
    } else {
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const NOW: u64 = 1_700_000_000;

    fn read(headers: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let headers: HashMap<_, _> = headers.iter().copied().collect();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let header = |name: &str| {
            assert!(name == "date" || may_be_quota(name), "{name}");
            headers.get(name).copied()
        };
        quotas(header, now)
            .iter()
            .map(|quota| (quota.left, quota.reset.as_secs_f64()))
            .collect()
    }

    #[test]
    fn every_form_is_read() {
        for headers in [
            &[("ratelimit", "\"default\";r=50;t=30")][..],
            &[("ratelimit", "limit=100, remaining=50, reset=30")],
            &[("ratelimit-remaining", "50"), ("ratelimit-reset", "30")],
            &[
                ("x-ratelimit-remaining", " 50 "),
                ("x-ratelimit-reset", "30.0"),
            ],
            &[
                ("x-rate-limit-remaining", "50"),
                ("x-rate-limit-reset", "1700000030"),
            ],
            &[
                ("x-ratelimit-remaining", "50"),
                ("x-ratelimit-reset", "1700000030000"),
            ],
        ] {
            assert_eq!(read(headers), [(50.0, 30.0)], "{headers:?}");
        }
        assert_eq!(
            read(&[(
                "ratelimit",
                "\"burst\";r=5;t=1, \"daily\";r=400;t=3600;pk=:x=:"
            )]),
            [(5.0, 1.0), (400.0, 3600.0)]
        );
    }

    #[test]
    fn a_time_is_compared_with_the_clock_of_the_server() {
        // The server's clock is an hour ahead.
        let read = |reset| {
            read(&[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", reset),
                ("date", "Tue, 14 Nov 2023 23:13:20 GMT"),
            ])
        };
        assert_eq!(read("1700003605"), [(0.0, 5.0)]);
        assert_eq!(read("1700003500"), [(0.0, 0.0)]);
    }

    #[test]
    fn invalid_values_count_as_absent() {
        for headers in [
            &[][..],
            &[("ratelimit-remaining", "50")],
            &[("ratelimit-reset", "50")],
            &[("ratelimit-remaining", "-1"), ("ratelimit-reset", "30")],
            &[("ratelimit-remaining", "NaN"), ("ratelimit-reset", "30")],
            &[("ratelimit-remaining", "many"), ("ratelimit-reset", "30")],
            &[("ratelimit-remaining", "5"), ("ratelimit-reset", "-30")],
            &[("ratelimit-remaining", "5"), ("ratelimit-reset", "6m0s")],
            &[("ratelimit-remaining", "5"), ("ratelimit-reset", "1e400")],
            &[("ratelimit", "")],
            &[("ratelimit", "\"default\";r=;t=")],
            &[("ratelimit", "\"default\";q=100;w=60")],
        ] {
            assert_eq!(read(headers), [], "{headers:?}");
        }
    }
}
