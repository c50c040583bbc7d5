//! Runs of equal numbers, and their encoding: Parquet's hybrid of runs and bit-packed groups, which levels and
//! dictionary indices have.

/// Numbers in a bit-packed group.
const GROUP: usize = 8;

/// Maximum numbers of consecutive bit-packed groups. Their header is then a single byte, as most writers limit it.
const MAX_LITERALS: usize = 63 * GROUP;

/// Equal numbers that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) value: u32,
    pub(crate) count: u32,
}

/// Numbers, stored as runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    len: usize,
}

impl Runs {
    /// Appends a number.
    #[inline]
    pub(crate) fn push(&mut self, value: u32) {
        self.len += 1;
        match self.runs.last_mut() {
            Some(run) if run.value == value && run.count < u32::MAX => run.count += 1,
            _ => self.runs.push(Run { value, count: 1 }),
        }
    }

    /// The number of numbers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The runs in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().copied()
    }

    /// Removes all numbers, and keeps their memory.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.len = 0;
    }

    /// Frees memory beyond that of so many runs.
    pub(crate) fn shrink(&mut self, runs: usize) {
        self.runs.shrink_to(runs);
    }

    /// Appends the encoded numbers. Each of them has at most `width` bits.
    pub(crate) fn encode(&self, width: u32, out: &mut Vec<u8>) {
        let mut literals = Literals {
            values: Vec::with_capacity(MAX_LITERALS.min(self.len + GROUP)),
            width,
        };
        for run in &self.runs {
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
