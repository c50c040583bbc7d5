//! Values of options: durations, sizes, rates, shares. Pure.

use std::time::Duration;

use crate::fetch::{MaxFailures, Rate};
use crate::sandbox::limit::{OtherClient, Span};

/// The largest body that may be asked for: a text column of a batch holds 2 GiB.
const MAX_BODY_LIMIT: u64 = 1 << 30;

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    Some((number, unit.trim()))
}

/// `60s`, `2m`, `1h`, `500ms`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let scale = |unit: &str| match unit {
        "ms" => Some(0.001),
        "s" | "" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3_600.0),
        _ => None,
    };
    split_unit(text)
        .and_then(|(number, unit)| Duration::try_from_secs_f64(number * scale(unit)?).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration like 500ms, 60s, 2m or 1h".to_owned())
}

/// `256MiB`, `1GB`, `4096`.
pub(super) fn body_size(text: &str) -> Result<u64, String> {
    let scale = |unit: &str| match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1_u64),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        _ => None,
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end)
        .and_then(|(number, unit)| number.parse::<u64>().ok()?.checked_mul(scale(unit.trim())?))
        .filter(|bytes| (1..=MAX_BODY_LIMIT).contains(bytes))
        .ok_or_else(|| "expected a size like 256MiB, from 1 byte to 1GiB".to_owned())
}

/// `50`, `600/m`, `0.5/s`, `max`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => f64::NAN,
    };
    let rate = number.trim().parse::<f64>().unwrap_or(f64::NAN) / seconds;
    // Slower than one a day or faster than any machine is a slip of the hand.
    if (1.0 / 86_400.0..=1e6).contains(&rate) {
        Ok(Rate::Limit(rate))
    } else {
        Err("expected requests a second like 50, a rate like 600/m, or max".to_owned())
    }
}

/// `2024-01-31T12:00:00Z`, with any offset, or `2024-01-31`, which begins at midnight UTC.
pub(super) fn time(text: &str) -> Result<String, String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == "2024-01-31".len() => Ok(format!("{date}T00:00:00Z")),
        _ => Err("expected a time like 2024-01-31T12:00:00Z, or a date like 2024-01-31".to_owned()),
    }
}

/// `30s=0.5`.
pub(super) fn limit_change(text: &str) -> Result<(Duration, f64), String> {
    let (time, factor) = text
        .split_once('=')
        .ok_or("expected TIME=FACTOR, like 30s=0.5")?;
    let factor = factor
        .parse()
        .ok()
        .filter(|factor: &f64| *factor > 0.0 && factor.is_finite());
    Ok((duration(time)?, factor.ok_or("expected a factor above 0")?))
}

/// `20s-50s`.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let (from, until) = text
        .split_once('-')
        .ok_or("expected FROM-UNTIL, like 20s-50s")?;
    let from = match from {
        "0" | "0s" => Duration::ZERO,
        from => duration(from)?,
    };
    let until = duration(until)?;
    if from < until {
        Ok(Span { from, until })
    } else {
        Err("expected a time that ends after it begins".to_owned())
    }
}

/// `50@20s-40s`.
pub(super) fn other_client(text: &str) -> Result<OtherClient, String> {
    let (rate, time) = text
        .split_once('@')
        .ok_or("expected N@FROM-UNTIL, like 50@20s-40s")?;
    let rate = rate
        .parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    Ok(OtherClient {
        rate: rate.ok_or("expected requests a second above 0")?,
        span: span(time)?,
    })
}

/// `10` or `5%`.
pub(super) fn max_failures(text: &str) -> Result<MaxFailures, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent
            .trim()
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(MaxFailures::Percent),
        None => text.parse().ok().map(MaxFailures::Count),
    };
    parsed.ok_or_else(|| "expected a number like 10 or a share like 5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "s", "-1s", "1d", "0", "1e99", "NaN", "1 hour"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(body_size("256MiB"), Ok(256 << 20));
        assert_eq!(body_size("1 GiB"), Ok(1 << 30));
        assert_eq!(body_size("5kb"), Ok(5_000));
        for bad in ["", "0", "2GiB", "-1", "1.5M", "99999999999999999999", "1TB"] {
            assert!(body_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("50"), Ok(Rate::Limit(50.0)));
        assert_eq!(rate("600/m"), Ok(Rate::Limit(10.0)));
        assert_eq!(rate("max"), Ok(Rate::Max));
        for bad in ["", "0", "-1", "1/d", "inf", "NaN", "1e9"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times() {
        let same = ["2024-01-31T12:00:00Z", "2024-01-31T12:00:00.5+02:00"];
        for text in same {
            assert_eq!(time(text).as_deref(), Ok(text));
        }
        assert_eq!(time("2024-01-31").as_deref(), Ok("2024-01-31T00:00:00Z"));
        for bad in [
            "",
            "yesterday",
            "2024-13-01",
            "2024-01-31T12:00:00",
            "12:00",
            "20240131",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_happens_to_a_sandbox_when() {
        let second = Duration::from_secs(1);
        assert_eq!(limit_change("30s=0.5"), Ok((second * 30, 0.5)));
        let span_of = |from, until| Span {
            from: second * from,
            until: second * until,
        };
        assert_eq!(span("0-5s"), Ok(span_of(0, 5)));
        let client = OtherClient {
            rate: 50.0,
            span: span_of(20, 60),
        };
        assert_eq!(other_client("50@20s-1m"), Ok(client));
        for bad in ["", "30s", "30s=0", "x=2"] {
            assert!(limit_change(bad).is_err(), "{bad}");
        }
        for bad in ["", "5s", "5s-5s", "5s-1s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        for bad in ["", "50", "0@1s-2s", "x@1s-2s"] {
            assert!(other_client(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn failures() {
        assert_eq!(max_failures("10"), Ok(MaxFailures::Count(10)));
        assert_eq!(max_failures("2.5%"), Ok(MaxFailures::Percent(2.5)));
        for bad in ["", "-1", "101%", "%", "x"] {
            assert!(max_failures(bad).is_err(), "{bad}");
        }
    }
}
