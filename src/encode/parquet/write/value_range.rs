//! The minimum and the maximum of values in PLAIN encoding, by the order of their type.

use std::cmp::Ordering;

use crate::tables::column::ColumnType;

/// How the values of a column compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueOrder {
    /// As unsigned bytes: text, bytes, and booleans as one byte.
    Bytes,
    /// As 32-bit integers.
    Int32,
    /// As 64-bit integers.
    Int64,
    /// As 64-bit floating-point numbers. -0.0 comes before 0.0.
    Float64,
}

impl ValueOrder {
    pub(crate) fn of(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Int32 => Self::Int32,
            ColumnType::Int64 | ColumnType::Timestamp => Self::Int64,
            ColumnType::Float64 => Self::Float64,
            _ => Self::Bytes,
        }
    }

    /// Compares two values.
    pub(crate) fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Self::Bytes => one.cmp(other),
            Self::Int32 => {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|b| i32::from_le_bytes(*b));
                number(one).cmp(&number(other))
            }
            Self::Int64 => {
                let number = |bytes: &[u8]| bytes.first_chunk().map(|b| i64::from_le_bytes(*b));
                number(one).cmp(&number(other))
            }
            Self::Float64 => float(one).total_cmp(&float(other)),
        }
    }

    /// Whether a value has a place in the order. NaN has none.
    pub(crate) fn has(self, value: &[u8]) -> bool {
        self != Self::Float64 || !float(value).is_nan()
    }
}

fn float(bytes: &[u8]) -> f64 {
    bytes
        .first_chunk()
        .map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes))
}

/// The minimum and the maximum of at least one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueRange {
    pub(crate) min: Vec<u8>,
    pub(crate) max: Vec<u8>,
}

impl ValueRange {
    /// A range of whole values.
    pub(crate) fn new(min: &[u8], max: &[u8]) -> Self {
        Self {
            min: min.to_vec(),
            max: max.to_vec(),
        }
    }

    /// A range without the bytes on which bounds of `limit` bytes do not depend: one huge value must not stay in memory.
    pub(crate) fn shortened(min: &[u8], max: &[u8], limit: usize) -> Self {
        // One more byte shows that the value is longer.
        let start = |value: &[u8]| value.get(..=limit).unwrap_or(value).to_vec();
        let max = match StatedBound::max(max, limit) {
            bound if bound.is_exact => bound.bytes,
            _ => start(max),
        };
        Self {
            min: start(min),
            max,
        }
    }
}

/// Widens a range by another one.
pub(crate) fn widen(known: &mut Option<ValueRange>, new: &ValueRange, order: ValueOrder) {
    match known {
        None => *known = Some(new.clone()),
        Some(known) => {
            if order.compare(&new.min, &known.min).is_lt() {
                known.min.clone_from(&new.min);
            }
            if order.compare(&new.max, &known.max).is_gt() {
                known.max.clone_from(&new.max);
            }
        }
    }
}

/// Finds the range of borrowed values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeFinder<'v> {
    order: ValueOrder,
    ends: Option<(&'v [u8], &'v [u8])>,
}

impl<'v> RangeFinder<'v> {
    pub(crate) fn new(order: ValueOrder) -> Self {
        Self { order, ends: None }
    }

    pub(crate) fn add(&mut self, value: &'v [u8]) {
        if !self.order.has(value) {
            return;
        }
        let (min, max) = self.ends.get_or_insert((value, value));
        if self.order.compare(value, min).is_lt() {
            *min = value;
        } else if self.order.compare(value, max).is_gt() {
            *max = value;
        }
    }

    /// The smallest and the largest value.
    pub(crate) fn ends(&self) -> Option<(&'v [u8], &'v [u8])> {
        self.ends
    }
}

/// A minimum or maximum as a file states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatedBound {
    pub(crate) bytes: Vec<u8>,
    /// Whether the bound is a value of the column, unchanged.
    pub(crate) is_exact: bool,
}

impl StatedBound {
    fn exact(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            is_exact: true,
        }
    }

    fn shortened(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            is_exact: false,
        }
    }

    /// A minimum, cut after at most `limit` bytes.
    pub(crate) fn min(value: &[u8], limit: usize) -> Self {
        match prefix(value, limit) {
            Some(Prefix::Text(text)) => Self::shortened(text.as_bytes().to_vec()),
            Some(Prefix::Bytes(bytes)) => Self::shortened(bytes.to_vec()),
            None => Self::exact(value),
        }
    }

    /// A maximum, cut after at most `limit` bytes. Its last character that can grow is replaced by the next one, which may
    /// take more bytes, so that the bound comes after the value. It is not cut if no character can grow.
    pub(crate) fn max(value: &[u8], limit: usize) -> Self {
        let next = match prefix(value, limit) {
            Some(Prefix::Text(text)) => next_text(text),
            Some(Prefix::Bytes(bytes)) => next_bytes(bytes),
            None => None,
        };
        next.map_or_else(|| Self::exact(value), Self::shortened)
    }
}

enum Prefix<'v> {
    Text(&'v str),
    Bytes(&'v [u8]),
}

/// The first bytes of a longer value, up to the end of a character if it is text.
fn prefix(value: &[u8], limit: usize) -> Option<Prefix<'_>> {
    let first = value.get(..limit).filter(|_| value.len() > limit)?;
    let text = match str::from_utf8(first) {
        Ok(text) => text,
        // The limit is within a character.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(first.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return Some(Prefix::Bytes(first)),
    };
    (!text.is_empty()).then_some(Prefix::Text(text))
}

/// A text that comes after all texts with this beginning.
fn next_text(text: &str) -> Option<Vec<u8>> {
    text.char_indices().rev().find_map(|(at, last)| {
        // A range of characters skips the surrogates.
        let next = (last..=char::MAX).nth(1)?;
        let mut longer = text.get(..at)?.to_owned();
        longer.push(next);
        Some(longer.into_bytes())
    })
}

fn next_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut next = bytes.get(..=last)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(order: ValueOrder, values: &[Vec<u8>]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut finder = RangeFinder::new(order);
        for value in values {
            finder.add(value);
        }
        let ends = finder.ends();
        ends.map(|(min, max)| (min.to_vec(), max.to_vec()))
    }

    #[test]
    fn numbers_compare_by_their_value() {
        let ints = [5_i32, -7, 300].map(|number| number.to_le_bytes().to_vec());
        let (min, max) = range(ValueOrder::Int32, &ints).unwrap();
        assert_eq!((min, max), (ints[1].clone(), ints[2].clone()));
        let longs = [5_i64, i64::MIN, 300].map(|number| number.to_le_bytes().to_vec());
        let (min, max) = range(ValueOrder::Int64, &longs).unwrap();
        assert_eq!((min, max), (longs[1].clone(), longs[2].clone()));
        let floats = [f64::NAN, 0.0, -0.0, -1e300].map(|number| number.to_le_bytes().to_vec());
        let (min, max) = range(ValueOrder::Float64, &floats[..3]).unwrap();
        assert_eq!((min, max), (floats[2].clone(), floats[1].clone()));
        let (min, _) = range(ValueOrder::Float64, &floats).unwrap();
        assert_eq!(min, floats[3]);
        assert_eq!(range(ValueOrder::Float64, &floats[..1]), None);
        assert_eq!(range(ValueOrder::Bytes, &[]), None);
    }

    #[test]
    fn bounds_are_cut_between_characters() {
        let shown = |bound: StatedBound| (String::from_utf8(bound.bytes).unwrap(), bound.is_exact);
        let cut = |text: &str| {
            let text = text.as_bytes();
            (
                shown(StatedBound::min(text, 4)),
                shown(StatedBound::max(text, 4)),
            )
        };
        let whole = ("abcd".to_owned(), true);
        assert_eq!(cut("abcd"), (whole.clone(), whole));
        assert_eq!(
            cut("abcde"),
            (("abcd".into(), false), ("abce".into(), false))
        );
        assert_eq!(cut("abcée"), (("abc".into(), false), ("abd".into(), false)));
        // The next character after DEL takes more bytes, and there is none after the last one.
        assert_eq!(cut("ab\u{7F}\u{7F}x").1, ("ab\u{7F}\u{80}".into(), false));
        assert_eq!(cut("\u{10FFFF}x").1, ("\u{10FFFF}x".into(), true));
        // U+D800 to U+DFFF are not characters.
        assert_eq!(cut("\u{D7FF}xyz").1, ("\u{D7FF}y".into(), false));
        assert_eq!(cut("a\u{D7FF}xyz").1, ("a\u{E000}".into(), false));
        assert_eq!(
            shown(StatedBound::min("é".as_bytes(), 1)),
            ("é".into(), true)
        );
        let bytes = [7, 255, 255, 255, 255, 9];
        assert_eq!(StatedBound::min(&bytes, 4).bytes, [7, 255, 255, 255]);
        assert_eq!(StatedBound::max(&bytes, 4).bytes, [8]);
        assert!(StatedBound::max(&[255; 5], 4).is_exact);
    }

    proptest! {
        // No character takes more than four bytes.
        #[test]
        fn shortened_bounds_include_the_value(text in any::<String>(), bytes in any::<Vec<u8>>(), limit in 4_usize..9) {
            for value in [text.as_bytes(), &bytes] {
                let (min, max) = (StatedBound::min(value, limit), StatedBound::max(value, limit));
                prop_assert!(min.bytes.as_slice() <= value);
                prop_assert!(value <= max.bytes.as_slice());
                let range = ValueRange::shortened(value, value, limit);
                prop_assert_eq!(&StatedBound::min(&range.min, limit), &min);
                prop_assert_eq!(&StatedBound::max(&range.max, limit), &max);
                for bound in [min, max] {
                    prop_assert_eq!(bound.is_exact, bound.bytes == value);
                    // The last character may take three bytes more than the one before it.
                    prop_assert!(bound.is_exact || bound.bytes.len() <= limit + 3);
                }
            }
            let max = StatedBound::max(text.as_bytes(), limit);
            prop_assert!(str::from_utf8(&max.bytes).is_ok());
        }
    }
}
