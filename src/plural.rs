//! Numbers with their nouns and units. Pure.

use std::time::Duration;

/// `1 task`, `2 tasks`: a noun whose plural ends with `s`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}

/// `500 ms`, `12 s`, `5 min`, `1 min 5 s`, `2 h 30 min`.
pub(crate) fn time_text(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{} ms", time.as_millis());
    }
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        _ => ((seconds / 3_600, "h"), (seconds / 60 % 60, "min")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        rest => format!("{} {} {rest} {}", large.0, large.1, small.1),
    }
}

/// `5 B`, `1.2 kB`, `3.4 MB`: powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "for the eye")]
pub(crate) fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// `is` or `are`, `was` or `were`: the verb for a count.
pub(crate) fn verb<'v>(count: u64, singular: &'v str, plural: &'v str) -> &'v str {
    if count == 1 { singular } else { plural }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_units_that_fit_them() {
        for (millis, text) in [
            (500, "500 ms"),
            (1_000, "1 s"),
            (3_400, "3 s"),
            (59_700, "1 min"),
            (65_000, "1 min 5 s"),
            (300_000, "5 min"),
            (9_000_000, "2 h 30 min"),
        ] {
            assert_eq!(time_text(Duration::from_millis(millis)), text);
        }
    }
}
