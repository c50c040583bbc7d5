//! Decodes Thrift's compact protocol, as far as Parquet metadata needs it.
//!
//! The `parquet` crate drops unknown fields, prefers one of two fields that state the same, and allocates lists as long
//! as they claim to be. Here an unknown field is an error, every field is visible, and no list is longer than its
//! bytes.

use std::fmt;
use std::ops::Range;

/// Maximum depth of nested structures. Parquet metadata has fewer.
const MAX_DEPTH: usize = 16;

/// The protocol's numbers for types of fields and elements.
mod kind {
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const FALSE: u8 = 2;
    pub(crate) const INT8: u8 = 3;
    pub(crate) const INT16: u8 = 4;
    pub(crate) const INT32: u8 = 5;
    pub(crate) const INT64: u8 = 6;
    pub(crate) const DOUBLE: u8 = 7;
    pub(crate) const BINARY: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const STRUCT: u8 = 12;
}

/// Why bytes are not valid metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn malformed<T>(cause: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(cause.into()))
}

/// Bytes that are being decoded.
pub(crate) struct Compact<'b> {
    bytes: &'b [u8],
    at: usize,
    max_elements: usize,
    depth: usize,
}

impl<'b> Compact<'b> {
    /// Decodes `bytes`, with at most `max_elements` in a list.
    fn new(bytes: &'b [u8], max_elements: usize) -> Self {
        Self {
            bytes,
            at: 0,
            max_elements,
            depth: 0,
        }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            return malformed("fewer bytes than it states");
        };
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    /// An unsigned integer, seven bits per byte.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        malformed("an integer of more than 64 bits")
    }

    /// A signed integer in zigzag encoding.
    fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?).or_else(|_| malformed("fewer bytes than it states"))
    }

    /// The type and number of a list's elements.
    fn list(&mut self) -> Result<(u8, usize), Malformed> {
        let header = self.byte()?;
        let length = match header >> 4 {
            0x0F => self.length()?,
            short => usize::from(short),
        };
        // Every element has at least one byte, so a longer list is damaged.
        if length > self.bytes.len() - self.at {
            return malformed("fewer bytes than it states");
        }
        if length > self.max_elements {
            return malformed(format!("a list of {length} elements"));
        }
        Ok((header & 0x0F, length))
    }

    /// Calls `field` for each field of a structure. Numbers must increase, so that no field appears twice.
    pub(crate) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, u8) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return malformed("structures that are nested too deeply");
        }
        let mut last = 0;
        loop {
            let header = self.byte()?;
            if header == 0 {
                self.depth -= 1;
                return Ok(());
            }
            let id = match header >> 4 {
                0 => self.zigzag()?,
                step => last + i64::from(step),
            };
            if !(last + 1..=i64::from(i16::MAX)).contains(&id) {
                return malformed("fields out of order");
            }
            last = id;
            field(self, id, header & 0x0F)?;
        }
    }

    fn skip_field(&mut self, kind: u8) -> Result<(), Malformed> {
        match kind {
            kind::TRUE | kind::FALSE => Ok(()),
            kind::INT8 => self.byte().map(drop),
            kind::INT16 | kind::INT32 | kind::INT64 => self.varint().map(drop),
            kind::DOUBLE => self.take(size_of::<f64>()).map(drop),
            kind::BINARY => {
                let length = self.length()?;
                self.take(length).map(drop)
            }
            kind::LIST => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return malformed("structures that are nested too deeply");
                }
                let (kind, length) = self.list()?;
                for _ in 0..length {
                    match kind {
                        kind::TRUE | kind::FALSE => drop(self.byte()?),
                        kind => self.skip_field(kind)?,
                    }
                }
                self.depth -= 1;
                Ok(())
            }
            kind::STRUCT => self.fields(|input, _, kind| input.skip_field(kind)),
            _ => malformed("a field of an unknown type"),
        }
    }
}

/// A type that can be decoded.
pub(crate) trait Decode: Sized {
    /// Decodes the value of a field.
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed>;

    /// Decodes an element of a list.
    fn element(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        Self::field(input, kind)
    }

    /// Decodes a structure that has exactly these bytes, with at most `max_elements` in a list.
    fn decode(bytes: &[u8], max_elements: usize) -> Result<Self, Malformed> {
        let (value, length) = Self::decode_prefix(bytes, max_elements)?;
        if length < bytes.len() {
            return malformed("more bytes than it needs");
        }
        Ok(value)
    }

    /// Decodes a structure at the start of the bytes, and returns its length too.
    fn decode_prefix(bytes: &[u8], max_elements: usize) -> Result<(Self, usize), Malformed> {
        let mut input = Compact::new(bytes, max_elements);
        let value = Self::field(&mut input, kind::STRUCT)?;
        Ok((value, input.at))
    }
}

impl Decode for i64 {
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        match kind {
            kind::INT8 => Ok(Self::from(input.byte()?.cast_signed())),
            kind::INT16 | kind::INT32 | kind::INT64 => input.zigzag(),
            _ => malformed("a field that is not an integer"),
        }
    }
}

impl Decode for bool {
    fn field(_: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        match kind {
            kind::TRUE => Ok(true),
            kind::FALSE => Ok(false),
            _ => malformed("a field that is not a boolean"),
        }
    }

    /// In a list, a boolean is a byte; in a field, it is the type.
    fn element(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        match (kind, input.byte()?) {
            (kind::TRUE | kind::FALSE, 1) => Ok(true),
            (kind::TRUE | kind::FALSE, 0 | 2) => Ok(false),
            _ => malformed("a list that does not hold booleans"),
        }
    }
}

/// Bytes or text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary(pub(crate) Vec<u8>);

impl Decode for Binary {
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        if kind != kind::BINARY {
            return malformed("a field that is not binary");
        }
        let length = input.length()?;
        Ok(Self(input.take(length)?.to_vec()))
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        if kind != kind::LIST {
            return malformed("a field that is not a list");
        }
        let (kind, length) = input.list()?;
        (0..length).map(|_| T::element(input, kind)).collect()
    }
}

/// A value that is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped;

impl Decode for Skipped {
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        input.skip_field(kind).map(|()| Self)
    }
}

/// The position of a structure that is decoded later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteSpan(pub(crate) Range<usize>);

impl ByteSpan {
    /// The same position, relative to the bytes that contain `outer`.
    pub(crate) fn within(&self, outer: &Self) -> Self {
        Self(outer.0.start + self.0.start..outer.0.start + self.0.end)
    }
}

impl Decode for ByteSpan {
    fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
        if kind != kind::STRUCT {
            return malformed("a field that is not a structure");
        }
        let start = input.at;
        input.skip_field(kind)?;
        Ok(Self(start..input.at))
    }
}

/// Declares structures by the numbers of their fields, all optional. A field that is not declared is one that
/// scale-export does not write.
macro_rules! compact_structs {
    ($($(#[$doc:meta])* $name:ident { $($id:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$type>,)*
        }

        impl Decode for $name {
            fn field(input: &mut Compact<'_>, kind: u8) -> Result<Self, Malformed> {
                let mut structure = Self::default();
                compact::expect_struct(kind)?;
                input.fields(|input, id, kind| {
                    match id {
                        $($id => structure.$field = Some(Decode::field(input, kind)?),)*
                        _ => return Err(compact::unknown_field(id, stringify!($name))),
                    }
                    Ok(())
                })?;
                Ok(structure)
            }
        }
    )*};
}
pub(super) use compact_structs;

/// Fails unless the type is that of a structure.
pub(crate) fn expect_struct(kind: u8) -> Result<(), Malformed> {
    if kind == kind::STRUCT {
        return Ok(());
    }
    malformed("a field that is not a structure")
}

/// The error for an unknown field.
pub(crate) fn unknown_field(id: i64, structure: &str) -> Malformed {
    Malformed(format!(
        "field {id} of {structure}, which scale-export does not write"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::parquet::statistics::compact;

    compact_structs! {
        /// One field of each type.
        Sample {
            1 number: i64,
            2 flag: bool,
            3 flags: Vec<bool>,
            5 text: Binary,
            20 inner: ByteSpan,
        }
    }

    const GOOD: [u8; 19] = [
        0x16, 0x03, // 1: int64 -2
        0x11, // 2: true
        0x19, 0x21, 1, 2, // 3: two booleans
        0x28, 2, b'h', b'i', // 5: binary
        0x0C, 40, // 20, in full: a structure
        0x15, 0x02, 0x14, 0x01, // of two integers
        0, 0,
    ];

    #[test]
    fn every_type_is_decoded() {
        let sample = Sample::decode(&GOOD, usize::MAX).unwrap();
        let expected = Sample {
            number: Some(-2),
            flag: Some(true),
            flags: Some(vec![true, false]),
            text: Some(Binary(b"hi".to_vec())),
            inner: Some(ByteSpan(13..18)),
        };
        assert_eq!(sample, expected);
    }

    #[test]
    fn truncated_and_overlong_metadata_is_refused() {
        for length in 0..GOOD.len() {
            assert!(Sample::decode(&GOOD[..length], usize::MAX).is_err());
        }
        let mut long = GOOD.to_vec();
        long.push(0);
        assert!(Sample::decode(&long, usize::MAX).is_err());
        assert!(Sample::decode(&GOOD, 1).is_err());
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let decode = |bytes: &[u8]| Sample::decode(bytes, usize::MAX).map_err(|error| error.0);
        // Field 4 is unknown, field 1 twice, an integer without end, a list of 2^31 elements.
        let unknown = decode(&[0x45, 2, 0]).unwrap_err();
        assert!(unknown.starts_with("field 4 of Sample"), "{unknown}");
        assert!(decode(&[0x15, 2, 0x05, 2, 2, 0]).is_err());
        assert!(decode(&[[0x15].as_slice(), &[0xFF; 20]].concat()).is_err());
        assert!(decode(&[0x39, 0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 1, 0]).is_err());
        let nested = [[0x0C, 40].as_slice(), &[0x1C; 100], &[0; 102]].concat();
        assert!(decode(&nested).unwrap_err().contains("nested"));
        let lists = [[0x0C, 40, 0x19].as_slice(), &[0x19; 1_000]].concat();
        assert!(decode(&lists).unwrap_err().contains("nested"));
    }
}
