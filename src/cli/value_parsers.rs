//! Parses values of options: durations, sizes, rates, shares. Pure.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::ids::shard::{InvalidShard, Shard};
use crate::jobs::export_defaults::MAX_BODY_LIMIT;
use crate::pacer::types::Rate;
use crate::publish::guard::Allowance;

/// The smallest value of `--max-body`: a task is not smaller, and a bare number is mostly a forgotten unit.
const MIN_MAX_BODY: u64 = 1 << 10;

/// An item of a comma-separated list, without the white space around it.
#[expect(clippy::unnecessary_wraps, reason = "the parser of an option may fail")]
pub(crate) fn item(text: &str) -> Result<String, String> {
    Ok(text.trim().to_owned())
}

/// A whole number within a range; `what` names it.
pub(crate) fn whole<T: TryFrom<u64>>(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| match (range.start(), range.end()) {
                (start, &u64::MAX) => expected_number(what, &format_args!("of at least {start}")),
                (start, end) => expected_number(what, &format_args!("from {start} to {end}")),
            })
    }
}

fn expected_number(what: &str, range: &dyn Display) -> String {
    format!("expected a {what} {range}")
}

/// `1`, `true`, `yes`, `on` and their opposites, in any case.
pub(crate) fn flag(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
        _ => Err("expected 1, true, yes or on, or 0, false, no or off".to_owned()),
    }
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    Some((number, unit.trim()))
}

/// `60s`, `2m`, `1h`, `500ms`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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
        .ok_or_else(|| "expected a duration above 0 like 500ms, 60s, 2m or 1h".to_owned())
}

/// `256MiB`, `1GB`, `4096`.
pub(crate) fn body_size(text: &str) -> Result<u64, String> {
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
        .filter(|bytes| (MIN_MAX_BODY..=MAX_BODY_LIMIT).contains(bytes))
        .ok_or_else(|| "expected a size like 256MiB, from 1KiB to 1GiB".to_owned())
}

/// `50`, `600/m`, `0.5/s`, `max`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
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
    // A rate below one per day or above that of any machine is a typing error.
    if (1.0 / 86_400.0..=1e6).contains(&rate) {
        Ok(Rate::Limit(rate))
    } else {
        Err(
            "expected requests per second above 0 like 50, a rate like 600/m or 5/h, or max"
                .to_owned(),
        )
    }
}

/// A rate in the unit that gives it a digit before the point: `98.5 requests per second`.
pub(crate) fn rate_text(per_second: f64) -> String {
    let (rate, unit) = rate_and_unit(per_second);
    format!("{rate:.1} requests per {unit}")
}

/// The same, short: `98.5/s`, `5.0/h`.
pub(crate) fn short_rate_text(per_second: f64) -> String {
    let (rate, unit) = rate_and_unit(per_second);
    format!("{rate:.1} requests/{}", unit.get(..1).unwrap_or_default())
}

fn rate_and_unit(per_second: f64) -> (f64, &'static str) {
    let per_minute = per_second * 60.0;
    // One digit after the point is too little for a rate below one.
    if per_second >= 1.0 {
        (per_second, "second")
    } else if per_minute >= 1.0 {
        (per_minute, "minute")
    } else {
        (per_minute * 60.0, "hour")
    }
}

/// `2024-01-31T12:00:00Z`, with any offset, or `2024-01-31`, which begins at midnight UTC.
pub(crate) fn time(text: &str) -> Result<String, String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    match text.parse::<jiff::civil::Date>() {
        // `jiff` also takes the date of a time without an offset, and would drop the time.
        Ok(date) if text.len() == "2024-01-31".len() => Ok(format!("{date}T00:00:00Z")),
        _ => Err("expected a time like 2024-01-31T12:00:00Z, or a date like 2024-01-31".to_owned()),
    }
}

/// `0/4`.
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    text.parse()
        .map_err(|error: InvalidShard| error.to_string())
}

/// `10` or `5%`.
pub(crate) fn allowance(text: &str) -> Result<Allowance, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent
            .trim()
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(Allowance::Percent),
        None => text.parse().ok().map(Allowance::Count),
    };
    parsed.ok_or_else(|| "expected a number of tasks like 10, or a percentage like 5%".to_owned())
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
        assert_eq!(body_size("1KiB"), Ok(1 << 10));
        for bad in [
            "",
            "0",
            "5",
            "1023",
            "2GiB",
            "-1",
            "1.5M",
            "99999999999999999999",
            "1TB",
        ] {
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
    fn rates_are_shown_with_a_unit_that_fits() {
        for (rate, text, short) in [
            (98.54, "98.5 requests per second", "98.5 requests/s"),
            (0.1, "6.0 requests per minute", "6.0 requests/m"),
            (5.0 / 3_600.0, "5.0 requests per hour", "5.0 requests/h"),
        ] {
            assert_eq!(rate_text(rate), text);
            assert_eq!(short_rate_text(rate), short);
        }
    }

    #[test]
    fn numbers() {
        let requests = whole::<u16>("number of requests", 1..=1024);
        assert_eq!(requests("32"), Ok(32));
        let expected = "expected a number of requests from 1 to 1024";
        for bad in ["", "0", "-1", "many", "1025", "1.5", "99999999999999999999"] {
            assert_eq!(requests(bad).unwrap_err(), expected, "{bad}");
        }
        assert_eq!(
            whole::<u64>("number of tasks", 1..=u64::MAX)("0").unwrap_err(),
            "expected a number of tasks of at least 1"
        );
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
    fn failures() {
        assert_eq!(allowance("10"), Ok(Allowance::Count(10)));
        assert_eq!(allowance("2.5%"), Ok(Allowance::Percent(2.5)));
        for bad in ["", "-1", "101%", "%", "x"] {
            assert!(allowance(bad).is_err(), "{bad}");
        }
    }
}
