//! Parses RFC 3339 times into microseconds, and says whether the text can be rebuilt from them (rule 9).

/// A time as its column holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParsedTime {
    /// Microseconds since 1970 in UTC, floored.
    pub(crate) micros: i64,
    /// Whether rebuilding gives the same text.
    pub(crate) is_canonical: bool,
}

const MICROS: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z in microseconds: the years that have four digits.
const FIRST: i64 = -62_135_596_800 * MICROS;
const BEHIND_LAST: i64 = 253_402_300_800 * MICROS;

/// Reads a text from its start.
struct TimeScanner<'a>(&'a [u8]);

impl TimeScanner<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + i64::from(digit - b'0'))
        })
    }

    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        allowed.contains(&first).then_some(first)
    }
}

/// Parses an RFC 3339 time. Returns nothing for other texts, for leap seconds, and for instants outside the years 0001
/// to 9999 in UTC.
pub(crate) fn parse(text: &str) -> Option<ParsedTime> {
    let mut scanner = TimeScanner(text.as_bytes());
    let year = scanner.digits(4)?;
    scanner.one_of(b"-")?;
    let month = scanner.digits(2)?;
    scanner.one_of(b"-")?;
    let day = scanner.digits(2)?;
    let separator = scanner.one_of(b"Tt")?;
    let hour = scanner.digits(2)?;
    scanner.one_of(b":")?;
    let minute = scanner.digits(2)?;
    scanner.one_of(b":")?;
    let second = scanner.digits(2)?;
    let (fraction, canonical_fraction) = fraction(&mut scanner)?;
    let zone = scanner.one_of(b"Zz+-")?;
    let offset = if zone.eq_ignore_ascii_case(&b'Z') {
        0
    } else {
        offset(&mut scanner, zone)?
    };
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && scanner.0.is_empty();
    if !in_range {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    let micros = (minutes * 60 + second) * MICROS + fraction;
    // Another offset or letters in lower case name the same instant, but are not what is rebuilt.
    (FIRST..BEHIND_LAST)
        .contains(&micros)
        .then_some(ParsedTime {
            micros,
            is_canonical: canonical_fraction && separator == b'T' && zone == b'Z',
        })
}

/// Microseconds of a fraction, floored, and whether rebuilding gives the same digits.
fn fraction(scanner: &mut TimeScanner<'_>) -> Option<(i64, bool)> {
    if scanner.0.first() != Some(&b'.') {
        return Some((0, true));
    }
    let rest = scanner.0.get(1..)?;
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at_checked(len).filter(|_| len > 0)?;
    scanner.0 = behind;
    // The column has microseconds. `extra` keeps a text with more digits.
    let micros = digits
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(6)
        .fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    // A time is rebuilt with 0, 3 or 6 digits, as few as hold the fraction.
    let fewest = match micros {
        0 => 0,
        micros if micros % 1_000 == 0 => 3,
        _ => 6,
    };
    Some((micros, len == fewest))
}

/// Minutes of the `hh:mm` after a sign.
fn offset(scanner: &mut TimeScanner<'_>, sign: u8) -> Option<i64> {
    let hours = scanner.digits(2)?;
    scanner.one_of(b":")?;
    let minutes = scanner.digits(2)?;
    let offset = hours * 60 + minutes;
    (hours < 24 && minutes < 60).then_some(if sign == b'-' { -offset } else { offset })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in the proleptic Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_TO_1970: i64 = 719_162;
    let before = year - 1;
    let years =
        before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let months: i64 = (1..month).map(|earlier| days_in_month(year, earlier)).sum();
    years + months + day - 1 - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> Option<(i64, bool)> {
        parse(text).map(|time| (time.micros, time.is_canonical))
    }

    #[test]
    fn canonical_texts() {
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some((0, true)));
        assert_eq!(
            micros("2023-11-07T05:31:56Z"),
            Some((1_699_335_116_000_000, true))
        );
        assert_eq!(
            micros("2023-11-07T05:31:56.359Z"),
            Some((1_699_335_116_359_000, true))
        );
        assert_eq!(micros("1969-12-31T23:59:59.999999Z"), Some((-1, true)));
        assert_eq!(micros("0001-01-01T00:00:00Z"), Some((FIRST, true)));
        assert_eq!(
            micros("9999-12-31T23:59:59.999999Z"),
            Some((BEHIND_LAST - 1, true))
        );
    }

    #[test]
    fn other_texts_for_the_same_instant_are_kept_as_well() {
        for (text, expected) in [
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-01T00:00:00.000Z", 0),
            ("1970-01-01T00:00:00.1Z", 100_000),
            ("1970-01-01T00:00:00.1000Z", 100_000),
            ("1970-01-01T00:00:00.0000009Z", 0),
            ("1969-12-31T23:59:59.9999999Z", -1),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01T00:00:00-00:00", 0),
        ] {
            assert_eq!(micros(text), Some((expected, false)), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in [
            "",
            "2023-11-07",
            "2023-11-07T05:31:56",
            "2023-11-07 05:31:56Z",
            "2023-02-29T00:00:00Z",
            "2023-11-07T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "0000-12-31T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2023-11-07T05:31:56.Z",
            "2023-11-07T05:31:56+0200",
            "2023-11-07T05:31:56Z ",
            "1699335116",
            "２023-11-07T05:31:56Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(seconds in FIRST / MICROS..BEHIND_LAST / MICROS, nanos in 0..1_000_000_000_i32) {
            let stamp = jiff::Timestamp::new(seconds, nanos).or_else(|_| jiff::Timestamp::from_second(0)).unwrap();
            let text = stamp.to_string();
            let expected = stamp.as_nanosecond().div_euclid(1_000);
            prop_assert_eq!(i128::from(parse(&text).unwrap().micros), expected, "{}", text);
        }

        #[test]
        fn any_text_is_accepted(text: String) {
            let _ = parse(&text);
        }
    }
}
