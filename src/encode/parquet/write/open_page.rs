//! The values of the page that a column encoder fills.

use std::ops::Range;

use crate::encode::parquet::write::dictionary::push_plain;
use crate::encode::parquet::write::runs::Runs;
use crate::encode::parquet::write::value_range::ValueOrder;

/// Indices whose memory is kept for the next column chunk.
const KEPT_NUMBERS: usize = 2_048;

/// Bytes of values whose memory is kept for the next column chunk.
const KEPT_BYTES: usize = 16 << 10;

/// Bytes that are reserved at most for the next page: a page has about a megabyte, and one huge value must not keep its
/// memory.
const MAX_RESERVED_BYTES: usize = 2 << 20;

/// The values of a page, without levels.
#[derive(Debug)]
pub(crate) struct OpenPage {
    pub(crate) rows: usize,
    /// Bytes of values of variable length.
    pub(crate) text_bytes: usize,
    /// Indices of the dictionary.
    pub(crate) indices: Runs,
    order: ValueOrder,
    has_lengths: bool,
    /// Values that are not in a dictionary, in PLAIN encoding.
    plain: Vec<u8>,
    /// Where the minimum and the maximum are in `plain`.
    ends: Option<(Range<usize>, Range<usize>)>,
    /// The booleans in `plain`, a bit each.
    bits: usize,
    has_false: bool,
    has_true: bool,
}

impl OpenPage {
    pub(crate) fn new(order: ValueOrder, has_lengths: bool) -> Self {
        Self {
            rows: 0,
            text_bytes: 0,
            indices: Runs::default(),
            order,
            has_lengths,
            plain: Vec::new(),
            ends: None,
            bits: 0,
            has_false: false,
            has_true: false,
        }
    }

    /// Bytes of the values that are not in a dictionary.
    pub(crate) fn plain_bytes(&self) -> usize {
        self.plain.len()
    }

    /// Adds a value that is not in a dictionary.
    pub(crate) fn push_plain(&mut self, value: &[u8]) {
        push_plain(value, self.has_lengths, &mut self.plain);
        self.text_bytes += value.len();
        if !self.order.has(value) {
            return;
        }
        let span = self.plain.len() - value.len()..self.plain.len();
        let Some((min, max)) = &mut self.ends else {
            self.ends = Some((span.clone(), span));
            return;
        };
        let known = |span: &Range<usize>| self.plain.get(span.clone()).unwrap_or_default();
        if self.order.compare(value, known(min)).is_lt() {
            *min = span;
        } else if self.order.compare(value, known(max)).is_gt() {
            *max = span;
        }
    }

    /// Adds a boolean. The first one of eight is the least significant bit of a byte.
    pub(crate) fn push_bool(&mut self, value: bool) {
        let bit = self.bits % u8::BITS as usize;
        if bit == 0 {
            self.plain.push(0);
        }
        if let Some(byte) = self.plain.last_mut() {
            *byte |= u8::from(value) << bit;
        }
        self.bits += 1;
        self.has_true |= value;
        self.has_false |= !value;
    }

    /// The smallest and the largest of the values that are not in a dictionary.
    pub(crate) fn plain_ends(&self) -> Option<(&[u8], &[u8])> {
        if self.bits > 0 {
            let byte = |value: bool| if value { &[1][..] } else { &[0] };
            return Some((byte(!self.has_false), byte(self.has_true)));
        }
        let (min, max) = self.ends.as_ref()?;
        let value = |span: &Range<usize>| self.plain.get(span.clone());
        Some((value(min)?, value(max)?))
    }

    /// Moves the values that are not in a dictionary behind the levels of the page.
    pub(crate) fn take_plain(&mut self, body: &mut Vec<u8>) {
        if body.is_empty() {
            // The next page is about as large, unless this one had a huge value.
            let next = Vec::with_capacity(self.plain.len().min(MAX_RESERVED_BYTES));
            *body = std::mem::replace(&mut self.plain, next);
        } else {
            body.extend_from_slice(&self.plain);
            self.plain.clear();
            self.plain.shrink_to(MAX_RESERVED_BYTES);
        }
        self.ends = None;
        self.bits = 0;
        self.has_false = false;
        self.has_true = false;
    }

    /// Frees memory that the next column chunk may not need.
    pub(crate) fn shrink(&mut self) {
        self.plain.shrink_to(KEPT_BYTES);
        self.indices.shrink(KEPT_NUMBERS);
    }
}
