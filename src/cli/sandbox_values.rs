//! Values of the options of the sandbox.

use std::time::Duration;

use crate::cli::value_parsers::duration;
use crate::sandbox::limit_models::{OtherClient, TimeSpan};

/// `100`, `0.5`: requests per second of a sandbox.
pub(crate) fn requests_per_second(text: &str) -> Result<f64, String> {
    positive(text).ok_or_else(|| "expected requests per second above 0, like 100 or 0.5".to_owned())
}

/// `20`: requests at once.
pub(crate) fn burst(text: &str) -> Result<f64, String> {
    positive(text)
        .filter(|requests| *requests >= 1.0)
        .ok_or_else(|| "expected a number of requests of at least 1, like 20".to_owned())
}

/// `30s=0.5`.
pub(crate) fn limit_change(text: &str) -> Result<(Duration, f64), String> {
    let (time, factor) = text
        .split_once('=')
        .ok_or("expected TIME=FACTOR, like 30s=0.5")?;
    let factor = positive(factor).ok_or("expected a factor above 0, like 30s=0.5")?;
    Ok((duration(time)?, factor))
}

/// `20s-50s`.
pub(crate) fn span(text: &str) -> Result<TimeSpan, String> {
    let (from, until) = text
        .split_once('-')
        .ok_or("expected FROM-UNTIL, like 20s-50s")?;
    let time = |text: &str| match text.trim() {
        "0" | "0s" => Ok(Duration::ZERO),
        text if text.ends_with(|last: char| last.is_ascii_digit()) => {
            Err("expected times with their units, like 20s-50s")
        }
        text => duration(text).map_err(|_| "expected FROM-UNTIL, like 20s-50s"),
    };
    let (from, until) = (time(from)?, time(until)?);
    if from < until {
        Ok(TimeSpan { from, until })
    } else {
        Err("expected a time that ends after it begins, like 20s-50s".to_owned())
    }
}

/// `50@20s-40s`.
pub(crate) fn other_client(text: &str) -> Result<OtherClient, String> {
    let (rate, time) = text
        .split_once('@')
        .ok_or("expected N@FROM-UNTIL, like 50@20s-40s")?;
    Ok(OtherClient {
        rate: requests_per_second(rate)?,
        span: span(time)?,
    })
}

fn positive(text: &str) -> Option<f64> {
    let number = text.parse().ok();
    number.filter(|number: &f64| *number > 0.0 && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_times_are_parsed() {
        let second = Duration::from_secs(1);
        assert_eq!(limit_change("30s=0.5"), Ok((second * 30, 0.5)));
        let span_of = |from, until| TimeSpan {
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
        for bad in ["", "5s", "5s-5s", "5s-1s", "20-50", "20s-50"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        for bad in ["", "50", "0@1s-2s", "x@1s-2s"] {
            assert!(other_client(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_and_a_burst_are_positive() {
        for bad in ["", "0", "-1", "inf", "NaN", "x"] {
            assert!(
                requests_per_second(bad).is_err() && burst(bad).is_err(),
                "{bad}"
            );
        }
        assert!(burst("0.5").is_err());
    }
}
