//! Runs of equal numbers, and their encoding: Parquet's hybrid of runs and bit-packed groups, which levels and
//! dictionary indices have.

/// Numbers in a bit-packed group.
const GROUP: usize = 8;

/// Maximum numbers of consecutive bit-packed groups. Their header is then a single byte, as most writers limit it.
const MAX_LITERALS: usize = 63 * GROUP;

/// Equal numbers that follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ValueRun {
    pub(crate) value: u32,
    pub(crate) count: u32,
}

/// The largest number that can be stored.
pub(crate) const MAX_NUMBER: u32 = u32::MAX >> 1;

/// The bit of a count among numbers.
const IS_COUNT: u32 = !MAX_NUMBER;

/// Numbers, stored as runs. Most runs of indices have one number, so this takes half the memory of a list of runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Complete runs: a number, and behind it how often it is repeated, if it is, with [`IS_COUNT`].
    complete: Vec<u32>,
    /// The last run. Empty if there are no numbers.
    last: ValueRun,
    len: usize,
}

impl Runs {
    /// Appends a number of at most [`MAX_NUMBER`].
    #[inline]
    pub(crate) fn push(&mut self, value: u32) {
        self.len += 1;
        if self.last.value == value && self.last.count <= MAX_NUMBER {
            self.last.count += 1;
        } else {
            self.complete_last();
            self.last = ValueRun { value, count: 1 };
        }
    }

    #[inline]
    fn complete_last(&mut self) {
        let ValueRun { value, count } = self.last;
        if count > 0 {
            self.complete.push(value);
        }
        if count > 1 {
            self.complete.push((count - 1) | IS_COUNT);
        }
    }

    /// The number of numbers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The runs in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ValueRun> {
        let last = (self.last.count > 0).then_some(self.last);
        let mut rest = self.complete.iter().copied().peekable();
        let complete = std::iter::from_fn(move || {
            let value = rest.next()?;
            let repeated = rest.next_if(|next| next & IS_COUNT != 0);
            let count = repeated.map_or(1, |count| (count & MAX_NUMBER) + 1);
            Some(ValueRun { value, count })
        });
        complete.chain(last)
    }

    /// Removes all numbers, and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.complete.clear();
        self.last = ValueRun::default();
        self.len = 0;
    }

    /// Frees memory beyond that of so many numbers.
    pub(crate) fn shrink(&mut self, numbers: usize) {
        self.complete.shrink_to(numbers);
    }

    /// Appends the encoded numbers. Each of them has at most `width` bits.
    pub(crate) fn encode(&self, width: u32, out: &mut Vec<u8>) {
        let mut literals = Literals {
            values: Vec::with_capacity(MAX_LITERALS.min(self.len + GROUP)),
            width,
        };
        for run in self.iter() {
            let count = run.count as usize;
            // A run can only begin after whole groups.
            let filling = literals.values.len().next_multiple_of(GROUP) - literals.values.len();
            if count < filling + GROUP {
                for _ in 0..count {
                    literals.push(run.value, out);
                }
                continue;
            }
            for _ in 0..filling {
                literals.push(run.value, out);
            }
            literals.flush(out);
            write_varint((count - filling) << 1, out);
            let bytes = run.value.to_le_bytes();
            out.extend(bytes.iter().take(width.div_ceil(u8::BITS) as usize));
        }
        literals.flush(out);
    }
}

/// Numbers that are bit-packed together.
struct Literals {
    values: Vec<u32>,
    width: u32,
}

impl Literals {
    fn push(&mut self, value: u32, out: &mut Vec<u8>) {
        self.values.push(value);
        if self.values.len() == MAX_LITERALS {
            self.flush(out);
        }
    }

    /// Writes the numbers, filled up with zeros to whole groups.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.values.is_empty() {
            return;
        }
        let padded = self.values.len().next_multiple_of(GROUP);
        self.values.resize(padded, 0);
        write_varint((padded / GROUP) << 1 | 1, out);
        let (mut bits, mut filled) = (0_u64, 0);
        for value in self.values.drain(..) {
            bits |= u64::from(value) << filled;
            filled += self.width;
            while filled >= u8::BITS {
                let [byte, ..] = bits.to_le_bytes();
                out.push(byte);
                bits >>= u8::BITS;
                filled -= u8::BITS;
            }
        }
    }
}

/// Seven bits a byte, least significant first. The top bit of a byte is set if more follow.
fn write_varint(mut value: usize, out: &mut Vec<u8>) {
    const MORE: u8 = 0x80;
    loop {
        let [byte, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(byte & !MORE);
            return;
        }
        out.push(byte | MORE);
    }
}

/// The bits that a number needs.
pub(crate) fn bit_width(number: u32) -> u32 {
    u32::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Encoding, Repetition, Type as PhysicalType};
    use parquet::column::page::{Page, PageMetadata, PageReader};
    use parquet::column::reader::get_column_reader;
    use parquet::column::reader::get_typed_column_reader;
    use parquet::data_type::Int32Type;
    use parquet::errors::Result as ParquetResult;
    use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type};
    use proptest::prelude::*;

    use super::*;

    /// Decodes as the format describes it.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= usize::from(byte & 0x7F) << shift;
                shift += 7;
                if *byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 1 {
                let (groups, rest) = bytes.split_at((header >> 1) * width as usize);
                bytes = rest;
                let bit = |at: usize| u32::from(groups[at / 8] >> (at % 8) & 1);
                for number in 0..(header >> 1) * GROUP {
                    let bits = 0..width as usize;
                    let bits = bits.map(|at| bit(number * width as usize + at) << at);
                    numbers.push(bits.sum());
                }
            } else {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let mut number = [0; 4];
                number[..value.len()].copy_from_slice(value);
                numbers.extend(std::iter::repeat_n(u32::from_le_bytes(number), header >> 1));
            }
        }
        assert!(bytes.is_empty());
        // The last group is filled up with zeros.
        assert!(numbers.len() < count + GROUP);
        assert!(numbers.drain(count..).all(|number| number == 0));
        numbers
    }

    /// Passes pages to a reader.
    struct Pages(std::vec::IntoIter<Page>);

    impl Iterator for Pages {
        type Item = ParquetResult<Page>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.next().map(Ok)
        }
    }

    impl PageReader for Pages {
        fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
            Ok(self.0.next())
        }

        fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
            panic!("the reader skips no pages")
        }

        fn skip_next_page(&mut self) -> ParquetResult<()> {
            panic!("the reader skips no pages")
        }
    }

    /// Reads indices with the `parquet` crate, through a dictionary that has each number at its own index.
    fn read(indices: &[u8], width: u32, entries: i32, count: usize) -> Vec<u32> {
        let dictionary: Vec<u8> = (0..entries).flat_map(i32::to_le_bytes).collect();
        let data = [&[u8::try_from(width).unwrap()], indices].concat();
        let pages = vec![
            Page::DictionaryPage {
                buf: dictionary.into(),
                num_values: entries.cast_unsigned(),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            },
            Page::DataPage {
                buf: data.into(),
                num_values: u32::try_from(count).unwrap(),
                encoding: Encoding::RLE_DICTIONARY,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
        ];
        let column = Type::primitive_type_builder("number", PhysicalType::INT32)
            .with_repetition(Repetition::REQUIRED)
            .build();
        let path = ColumnPath::from("number");
        let column = ColumnDescriptor::new(Arc::new(column.unwrap()), 0, 0, path);
        let reader = get_column_reader(Arc::new(column), Box::new(Pages(pages.into_iter())));
        let mut reader = get_typed_column_reader::<Int32Type>(reader);
        let mut values = Vec::new();
        reader.read_records(count, None, None, &mut values).unwrap();
        values.into_iter().map(i32::cast_unsigned).collect()
    }

    /// Numbers with runs of any length, and the runs that they are pushed as.
    fn numbers(max: u32) -> impl Strategy<Value = Vec<u32>> {
        let run = (
            0..=max,
            prop_oneof![Just(1_usize), 1_usize..30, 490_usize..520],
        );
        let runs = proptest::collection::vec(run, 1..80);
        runs.prop_map(|runs| {
            let runs = runs.into_iter();
            runs.flat_map(|(value, count)| std::iter::repeat_n(value, count))
                .collect()
        })
    }

    fn encoded(numbers: &[u32], width: u32) -> Vec<u8> {
        let mut runs = Runs::default();
        for number in numbers {
            runs.push(*number);
        }
        assert_eq!(runs.len(), numbers.len());
        let mut out = Vec::new();
        runs.encode(width, &mut out);
        out
    }

    proptest! {
        #[test]
        fn numbers_of_every_width_are_decoded_as_the_format_says(
            (width, numbers) in (0_u32..=31).prop_flat_map(|width| {
                let max = u32::MAX.checked_shr(32 - width).unwrap_or_default();
                (Just(width), numbers(max))
            }),
        ) {
            let bytes = encoded(&numbers, width);
            prop_assert_eq!(decode(&bytes, width, numbers.len()), numbers);
        }

        #[test]
        fn the_parquet_crate_reads_numbers_of_every_width(
            (width, numbers) in (0_u32..=32).prop_flat_map(|width| {
                let max = u32::MAX.checked_shr(32 - width.min(10)).unwrap_or_default();
                (Just(width), numbers(max))
            }),
        ) {
            let bytes = encoded(&numbers, width);
            prop_assert_eq!(read(&bytes, width, 1 << 10, numbers.len()), numbers);
        }
    }

    #[test]
    fn equal_numbers_are_runs_and_others_are_packed() {
        // A run of 20: twice the number, then the value.
        assert_eq!(encoded(&[3; 20], 2), [20 << 1, 3]);
        // Four numbers fill up the group of those before, the others are a run.
        let numbers = [&[1, 2, 3, 1][..], &[2; 14]].concat();
        assert_eq!(
            encoded(&numbers, 2),
            [1 << 1 | 1, 0b01_11_10_01, 0b10_10_10_10, 10 << 1, 2]
        );
        assert_eq!(encoded(&[1, 0, 1], 1), [1 << 1 | 1, 0b101]);
        assert_eq!(encoded(&[0; 9], 0), [9 << 1]);
        assert!(encoded(&[], 5).is_empty());
    }

    #[test]
    fn widths_are_the_bits_of_the_largest_number() {
        assert_eq!(
            [0, 1, 2, 255, 256, u32::MAX].map(bit_width),
            [0, 1, 2, 8, 9, 32]
        );
    }
}
