//! Minima and maxima: computes them from values, and checks stated ones against them.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray as _, GenericByteArray};
use arrow::buffer::Buffer;
use arrow::compute::{max, max_boolean, min, min_boolean};
use arrow::datatypes::{
    BinaryType, ByteArrayType, DataType, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, Utf8Type,
};

/// Maximum bytes of a text or byte value that is stated unchanged. The bound of a longer value may be shortened.
const WHOLE_BYTES: usize = 64;

/// Maximum bytes of a value that is copied. A longer value keeps its batch in memory, which then holds little else.
const COPIED_BYTES: usize = 4 << 10;

/// A minimum or maximum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Float64(f64),
    Bytes(Buffer),
}

impl Bound {
    /// Compares by the order of the column's type. Text and bytes compare as unsigned bytes, and both zeros are equal.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Int32(one), Self::Int32(other)) => one.cmp(other),
            (Self::Int64(one), Self::Int64(other)) => one.cmp(other),
            (Self::Float64(one), Self::Float64(other)) => {
                one.partial_cmp(other).unwrap_or(Ordering::Equal)
            }
            (Self::Bytes(one), Self::Bytes(other)) => one.as_slice().cmp(other.as_slice()),
            _ => Ordering::Equal,
        }
    }

    /// The bytes in a Parquet file. A minimum of zero is -0.0, a maximum +0.0.
    pub(crate) fn encoded(&self, side: Side) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int32(value) => value.to_le_bytes().to_vec(),
            Self::Int64(value) => value.to_le_bytes().to_vec(),
            Self::Float64(value) if *value == 0.0 => side.zero().to_le_bytes().to_vec(),
            Self::Float64(value) => value.to_le_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.to_vec(),
        }
    }

    /// Whether a shortened bound may stand for the value.
    fn is_long(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.len() > WHOLE_BYTES)
    }
}

/// Minimum or maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Min,
    Max,
}

impl Side {
    fn zero(self) -> f64 {
        match self {
            Self::Min => -0.0,
            Self::Max => 0.0,
        }
    }

    fn is_beyond(self, new: &Bound, known: &Bound) -> bool {
        match self {
            Self::Min => new.compare(known).is_lt(),
            Self::Max => new.compare(known).is_gt(),
        }
    }
}

/// Whether a stated bound is right for the true one. `is_exact` is the file's statement about exactness, where the
/// format has one.
pub(crate) fn fits(side: Side, stated: &[u8], is_exact: Option<bool>, value: &Bound) -> bool {
    let is_value = stated == value.encoded(side);
    if !value.is_long() {
        return is_value && is_exact != Some(false);
    }
    if is_exact == Some(true) {
        return is_value;
    }
    let Bound::Bytes(value) = value else {
        return is_value;
    };
    match side {
        Side::Min => stated <= value.as_slice(),
        Side::Max => stated >= value.as_slice(),
    }
}

/// The minimum and the maximum of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) min: Option<Bound>,
    pub(crate) max: Option<Bound>,
}

impl Bounds {
    /// The bounds of an array. `None` for a type that no column has.
    pub(crate) fn of(array: &ArrayRef) -> Self {
        let both = |min: Option<Bound>, max: Option<Bound>| Self { min, max };
        match array.data_type() {
            DataType::Boolean => {
                let array = array.as_boolean();
                both(
                    min_boolean(array).map(Bound::Bool),
                    max_boolean(array).map(Bound::Bool),
                )
            }
            DataType::Int32 => {
                let array = array.as_primitive::<Int32Type>();
                both(min(array).map(Bound::Int32), max(array).map(Bound::Int32))
            }
            DataType::Int64 => {
                let array = array.as_primitive::<Int64Type>();
                both(min(array).map(Bound::Int64), max(array).map(Bound::Int64))
            }
            DataType::Timestamp(..) => {
                let array = array.as_primitive::<TimestampMicrosecondType>();
                both(min(array).map(Bound::Int64), max(array).map(Bound::Int64))
            }
            DataType::Float64 => {
                let array = array.as_primitive::<Float64Type>();
                both(
                    min(array).map(Bound::Float64),
                    max(array).map(Bound::Float64),
                )
            }
            DataType::Utf8 => of_bytes::<Utf8Type>(array.as_bytes()),
            DataType::Binary => of_bytes::<BinaryType>(array.as_bytes()),
            _ => Self::default(),
        }
    }

    /// Adds the bounds of more values.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (side, known, new) in [
            (Side::Min, &mut self.min, &other.min),
            (Side::Max, &mut self.max, &other.max),
        ] {
            let Some(new) = new else { continue };
            let is_beyond = known
                .as_ref()
                .is_none_or(|known| side.is_beyond(new, known));
            if is_beyond {
                *known = Some(new.clone());
            }
        }
    }
}

fn of_bytes<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Bounds {
    let (offsets, values) = (array.value_offsets(), array.values());
    let range = |row: usize| {
        let at = |row: usize| {
            let offset = offsets.get(row).copied().unwrap_or_default();
            usize::try_from(offset).unwrap_or_default()
        };
        at(row)..at(row + 1)
    };
    let value = |row: usize| values.get(range(row)).unwrap_or_default();
    let rows = || (0..array.len()).filter(|row| array.is_valid(*row));
    let bound = |row: usize| {
        let range = range(row);
        Bound::Bytes(if range.len() > COPIED_BYTES {
            values.slice_with_length(range.start, range.len())
        } else {
            Buffer::from(value(row))
        })
    };
    let compare = |one: &usize, other: &usize| value(*one).cmp(value(*other));
    Bounds {
        min: rows().min_by(compare).map(bound),
        max: rows().max_by(compare).map(bound),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Float64Array, StringArray};

    use super::*;

    fn bytes(value: &[u8]) -> Bound {
        Bound::Bytes(Buffer::from(value))
    }

    #[test]
    fn bounds_pass_over_nulls_and_compare_unsigned_bytes() {
        let array: ArrayRef = Arc::new(StringArray::from(vec![
            Some("ä"),
            None,
            Some("z"),
            Some(""),
        ]));
        let bounds = Bounds::of(&array);
        assert_eq!(bounds.min, Some(bytes(b"")));
        assert_eq!(bounds.max, Some(bytes("ä".as_bytes())));
        let part = Bounds::of(&array.slice(1, 2));
        assert_eq!((part.min, part.max), (Some(bytes(b"z")), Some(bytes(b"z"))));
        assert_eq!(Bounds::of(&array.slice(1, 1)), Bounds::default());
        let long = vec![7; COPIED_BYTES + 1];
        let array: ArrayRef = Arc::new(BinaryArray::from(vec![long.as_slice()]));
        assert_eq!(Bounds::of(&array).min, Some(bytes(&long)));
    }

    #[test]
    fn zeros_have_the_signs_of_the_type_defined_order() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0]));
        let bounds = Bounds::of(&array);
        let (min, max) = (bounds.min.unwrap(), bounds.max.unwrap());
        for zero in [&min, &max] {
            assert!(fits(Side::Min, &(-0.0_f64).to_le_bytes(), Some(true), zero));
            assert!(fits(Side::Max, &0.0_f64.to_le_bytes(), Some(true), zero));
            assert!(!fits(Side::Min, &0.0_f64.to_le_bytes(), Some(true), zero));
            assert!(!fits(
                Side::Max,
                &(-0.0_f64).to_le_bytes(),
                Some(true),
                zero
            ));
        }
    }

    #[test]
    fn a_bound_is_the_value_unless_that_is_long() {
        let short = bytes(&[b'k'; WHOLE_BYTES]);
        assert!(fits(Side::Min, &[b'k'; WHOLE_BYTES], None, &short));
        assert!(!fits(Side::Min, &[b'k'; WHOLE_BYTES], Some(false), &short));
        assert!(!fits(Side::Min, b"j", None, &short));
        assert!(!fits(Side::Max, b"l", Some(false), &short));
        let long = bytes(&[b'k'; WHOLE_BYTES + 1]);
        assert!(fits(Side::Min, &[b'k'; WHOLE_BYTES], Some(false), &long));
        assert!(!fits(Side::Min, &[b'k'; WHOLE_BYTES], Some(true), &long));
        assert!(!fits(Side::Max, &[b'k'; WHOLE_BYTES], Some(false), &long));
        assert!(fits(Side::Max, b"l", Some(false), &long));
        assert!(fits(Side::Max, &[b'k'; WHOLE_BYTES + 1], Some(true), &long));
        assert!(!fits(Side::Min, b"l", None, &long));
        assert!(!fits(Side::Max, b"k", None, &long));
    }
}
