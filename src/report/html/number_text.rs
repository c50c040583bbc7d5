//! Numbers as the page shows them.

/// `1,234,567`.
pub(super) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The share of a count in thousandths, halves rounded up; 0 of nothing.
pub(super) fn thousandths(count: u64, total: u64) -> u64 {
    let (count, total) = (u128::from(count), u128::from(total));
    let rounded = (count * 2_000 + total).checked_div(total * 2);
    u64::try_from(rounded.unwrap_or_default()).unwrap_or(u64::MAX)
}

/// Thousandths as a percentage without its sign: `12.3`.
pub(super) fn percent_digits(thousandths: u64) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

/// `12.3%`; a dash if there is nothing to share.
pub(super) fn share_text(count: u64, total: u64) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    percent_digits(thousandths(count, total)) + "%"
}

/// Hundredths as a decimal number: `3.52`, `−0.25`.
pub(super) fn hundredths_text(hundredths: i128) -> String {
    let sign = if hundredths < 0 { "−" } else { "" };
    let digits = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", digits / 100, digits % 100)
}

/// Hundredths as a decimal number without zeros at its end: `3.5`, `4`.
pub(super) fn short_hundredths_text(hundredths: i128) -> String {
    let text = hundredths_text(hundredths);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Units of durations: up to how many seconds each is used, its seconds, and its name.
const UNITS: [(u64, u64, &str); 3] = [
    (3_600, 60, "min"),
    (172_800, 3_600, "h"),
    (8_640_000, 86_400, "days"),
];

/// `42 s`, `12.5 min`, `5.2 h`, `22.1 days`, `365 days`. Halves are rounded up.
pub(super) fn duration_text(seconds: u64) -> String {
    if seconds < 60 {
        return format!("{seconds} s");
    }
    match UNITS.into_iter().find(|(below, ..)| seconds < *below) {
        Some((_, unit, name)) => {
            let tenths = rounded(seconds.saturating_mul(10), unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{} days", count_text(rounded(seconds, 86_400))),
    }
}

/// The nearest whole number to a quotient.
fn rounded(number: u64, divisor: u64) -> u64 {
    number.saturating_add(divisor / 2) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        let counts = [0, 999, 1_000, 1_234_567].map(count_text);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(share_text(1, 3), "33.3%");
        assert_eq!(share_text(2, 3), "66.7%");
        assert_eq!(share_text(1, 2_000), "0.1%");
        assert_eq!(share_text(0, 0), "–");
        assert_eq!(share_text(u64::MAX, u64::MAX), "100.0%");
        assert_eq!(hundredths_text(-25), "−0.25");
        assert_eq!(hundredths_text(352), "3.52");
        let short = [0, 350, 400, -1_000, 10_001].map(short_hundredths_text);
        assert_eq!(short, ["0", "3.5", "4", "−10", "100.01"]);
        let durations = [0, 59, 60, 750, 3_600, 172_799, 172_800, 31_536_000].map(duration_text);
        let expected = [
            "0 s", "59 s", "1.0 min", "12.5 min", "1.0 h", "48.0 h", "2.0 days", "365 days",
        ];
        assert_eq!(durations, expected);
    }
}
