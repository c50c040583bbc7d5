//! Numbers as they are written, and the column values that hold them exactly.

use std::borrow::Cow;

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(&'a str);

/// A float64 keeps this many decimal digits: up to them, the shortest decimal that round-trips is the number.
const ALWAYS_EXACT_DIGITS: usize = 15;

impl<'a> Number<'a> {
    /// Takes a lexeme that is valid JSON.
    pub fn new(lexeme: &'a str) -> Self {
        Self(lexeme)
    }

    /// The number as it was written.
    pub fn lexeme(&self) -> &'a str {
        self.0
    }

    /// The integer, if the number has no fraction or exponent and `i64` can hold it.
    pub fn to_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The nearest float64, unless that is infinite.
    pub fn nearest_f64(&self) -> Option<f64> {
        self.0
            .parse()
            .ok()
            .filter(|double: &f64| double.is_finite())
    }

    /// The float64 whose shortest decimal that round-trips is this number (rule 13). The exact binary value of a
    /// float64 is a number too, with up to 767 digits. If it were accepted as well, the column would not show which of
    /// the two was received.
    pub fn exact_f64(&self) -> Option<f64> {
        let double = self.nearest_f64()?;
        let lexeme_is_short = self.0.len() <= ALWAYS_EXACT_DIGITS && !self.0.contains(['e', 'E']);
        // The check of a short number needs no formatting, which takes far longer than parsing it.
        (lexeme_is_short || self.equals(&format!("{double:e}"))).then_some(double)
    }

    /// Whether a lexeme is the same number.
    pub fn equals(&self, other: &str) -> bool {
        self.0 == other
            || match (self.normal(), Number(other).normal()) {
                (Some(left), Some(right)) => left == right,
                _ => false,
            }
    }

    /// A text that is the same for equal numbers: digits without zeros at either end, and an exponent. A number with an
    /// exponent beyond `i64` keeps its lexeme.
    pub fn canonical(&self) -> String {
        match self.normal() {
            Some(NormalNumber {
                negative,
                digits,
                exponent,
            }) => {
                format!("{}{digits}e{exponent}", if negative { "-" } else { "" })
            }
            None => self.0.to_owned(),
        }
    }

    fn normal(&self) -> Option<NormalNumber<'a>> {
        let (negative, unsigned) = self
            .0
            .strip_prefix('-')
            .map_or((false, self.0), |rest| (true, rest));
        let (mantissa, written_exponent) = match unsigned.split_once(['e', 'E']) {
            // Zero is zero with any exponent, also one that `i64` cannot hold.
            Some((mantissa, _)) if mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.')) => {
                (mantissa, 0)
            }
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (digits, fraction_len) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (Cow::Owned([whole, fraction].concat()), fraction.len()),
            None => (Cow::Borrowed(mantissa), 0),
        };
        // `100` and `1e2` are equal, so zeros at the end belong to the exponent.
        let without_zeros = digits.trim_end_matches('0');
        let dropped = digits.len() - without_zeros.len();
        let significant = without_zeros.trim_start_matches('0');
        if significant.is_empty() {
            // Minus zero equals zero.
            return Some(NormalNumber {
                negative: false,
                digits: Cow::Borrowed("0"),
                exponent: 0,
            });
        }
        // A number whose exponent overflows has no normal form, and equals only what is written the same.
        let exponent = written_exponent
            .checked_sub(i64::try_from(fraction_len).ok()?)?
            .checked_add(i64::try_from(dropped).ok()?)?;
        Some(NormalNumber {
            negative,
            digits: Cow::Owned(significant.to_owned()),
            exponent,
        })
    }
}

/// Digits times ten to the power of `exponent`. The first and the last digit are not zero.
#[derive(Debug, PartialEq, Eq)]
struct NormalNumber<'a> {
    negative: bool,
    digits: Cow<'a, str>,
    exponent: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_written_plainly() {
        assert_eq!(Number::new("9223372036854775807").to_i64(), Some(i64::MAX));
        assert_eq!(Number::new("-9223372036854775808").to_i64(), Some(i64::MIN));
        for other in ["9223372036854775808", "3.0", "1e2", "-1E0"] {
            assert_eq!(Number::new(other).to_i64(), None, "{other}");
        }
        assert_eq!(Number::new("-0").to_i64(), Some(0));
    }

    #[test]
    fn float64_values_are_exact_or_none() {
        for exact in [
            "0.1",
            "3.0",
            "1e2",
            "-0.0",
            "5e-324",
            "1.7976931348623157e308",
            "0.5",
        ] {
            assert!(Number::new(exact).exact_f64().is_some(), "{exact}");
        }
        assert_eq!(
            Number::new("0.0e99999999999999999999").exact_f64(),
            Some(0.0)
        );
        for inexact in [
            // The binary values of 0.1 and 2^63, whose shortest decimals are other numbers.
            "0.1000000000000000055511151231257827021181583404541015625",
            "9223372036854775808",
            "0.10000000000000000555",
            "123456789012345678901234567890",
            "1e400",
            "1e-400",
            "9007199254740993",
        ] {
            assert_eq!(Number::new(inexact).exact_f64(), None, "{inexact}");
        }
    }

    #[test]
    fn equal_numbers_have_equal_canonical_texts() {
        for (left, right) in [
            ("3", "3.0"),
            ("100", "1e2"),
            ("0", "-0.0"),
            ("1.50", "15e-1"),
        ] {
            assert!(Number::new(left).equals(right), "{left} {right}");
            assert_eq!(
                Number::new(left).canonical(),
                Number::new(right).canonical()
            );
        }
        assert!(!Number::new("1").equals("10"));
        assert!(!Number::new("1").equals("-1"));
    }

    proptest! {
        #[test]
        fn every_float64_equals_its_shortest_decimal(bits: u64) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            let print = format!("{double:?}");
            prop_assert_eq!(Number::new(&print).exact_f64(), Some(double));
        }
    }
}
