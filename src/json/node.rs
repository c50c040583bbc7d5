//! Stores a parsed text in slots of 8 bytes: one for a string, number or literal, and three for an array or object.
//!
//! ```text
//! scalar     = start:u32 kind_and_length:u32
//! long       = start:u32 kind:u32  end:u32 unused:u32
//! container  = start:u32 kind:u32  end:u32 next:u32  len:u32 unused:u32
//! ```
//!
//! A scalar that is too long for its length to share a word with its kind has two slots.

use std::ops::Range;

use crate::json::kind::JsonKind;

/// Bits of a word that hold the length of a scalar. The others hold its kind.
const LENGTH_BITS: u32 = 28;

/// From this length on, a scalar has a second slot.
const LONG: u32 = 1 << LENGTH_BITS;

/// Slots of an array or object before its first child.
const CONTAINER_SLOTS: usize = 3;

const NULL: u32 = 0;
const FALSE: u32 = 1;
const TRUE: u32 = 2;
const NUMBER: u32 = 3;
const LONG_NUMBER: u32 = 4;
const ARRAY: u32 = 5;
const OBJECT: u32 = 6;
/// A string, with the bits below.
const STRING: u32 = 8;
const ESCAPED: u32 = 1;
const LONE_SURROGATE: u32 = 2;
const LONG_STRING: u32 = 4;

/// A slot: two numbers. Their meaning depends on the kind of the value and on which of its slots it is.
/// One of zeros is `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slot(u32, u32);

/// Reads one thing about the value at a slot. A slot that does not exist stands for `null`, which only avoids a panic:
/// values are made from slots that exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'s> {
    slots: &'s [Slot],
    at: usize,
    head: Slot,
}

impl<'s> Node<'s> {
    /// The node at a slot.
    #[inline]
    pub(crate) fn at(slots: &'s [Slot], at: usize) -> Self {
        let head = slots.get(at).copied().unwrap_or_default();
        Self { slots, at, head }
    }

    #[inline]
    fn tag(self) -> u32 {
        self.head.1 >> LENGTH_BITS
    }

    #[inline]
    fn slot(self, offset: usize) -> Slot {
        let slot = self.slots.get(self.at + offset);
        slot.copied().unwrap_or_default()
    }

    #[inline]
    fn is_container(self) -> bool {
        matches!(self.tag(), ARRAY | OBJECT)
    }

    /// Whether a scalar has a second slot.
    #[inline]
    fn is_long(self) -> bool {
        self.tag() == LONG_NUMBER || self.tag() & (STRING | LONG_STRING) == STRING | LONG_STRING
    }

    #[inline]
    pub(crate) fn kind(self) -> JsonKind {
        match self.tag() {
            NULL => JsonKind::Null,
            FALSE => JsonKind::Bool(false),
            TRUE => JsonKind::Bool(true),
            NUMBER | LONG_NUMBER => JsonKind::Number,
            ARRAY => JsonKind::Array,
            OBJECT => JsonKind::Object,
            tag => JsonKind::String {
                escaped: tag & ESCAPED != 0,
                lone_surrogate: tag & LONE_SURROGATE != 0,
            },
        }
    }

    /// The bytes of the value; those of a string without its quotes.
    #[inline]
    pub(crate) fn span(self) -> Range<usize> {
        let start = self.head.0 as usize;
        let end = if self.is_container() || self.is_long() {
            self.slot(1).0 as usize
        } else {
            start + (self.head.1 & (LONG - 1)) as usize
        };
        start..end
    }

    /// The slot of its first child. If it has none, the slot after it.
    #[inline]
    pub(crate) fn first(self) -> usize {
        let slots = if self.is_container() {
            CONTAINER_SLOTS
        } else {
            1 + usize::from(self.is_long())
        };
        self.at + slots
    }

    /// The slot after the value and all of its children.
    #[inline]
    pub(crate) fn next(self) -> usize {
        if self.is_container() {
            self.slot(1).1 as usize
        } else {
            self.first()
        }
    }

    /// Children: members of an object, elements of a list.
    #[inline]
    pub(crate) fn len(self) -> usize {
        if self.is_container() {
            self.slot(2).0 as usize
        } else {
            0
        }
    }
}

/// The slots of one value, and how many of them it has. An array or object has no children yet.
pub(crate) fn slots_of(
    start: u32,
    end: u32,
    kind: JsonKind,
    at: usize,
) -> ([Slot; CONTAINER_SLOTS], usize) {
    let length = end - start;
    let tag = match kind {
        JsonKind::Null => NULL,
        JsonKind::Bool(false) => FALSE,
        JsonKind::Bool(true) => TRUE,
        JsonKind::Number if length < LONG => NUMBER,
        JsonKind::Number => LONG_NUMBER,
        JsonKind::Array => ARRAY,
        JsonKind::Object => OBJECT,
        JsonKind::String {
            escaped,
            lone_surrogate,
        } => {
            let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
            STRING
                | bit(escaped, ESCAPED)
                | bit(lone_surrogate, LONE_SURROGATE)
                | bit(length >= LONG, LONG_STRING)
        }
    };
    let first = |length| Slot(start, tag << LENGTH_BITS | length);
    match kind {
        JsonKind::Array | JsonKind::Object => {
            // It has no children yet. Closing it sets the slot after them.
            let next = position(at + CONTAINER_SLOTS);
            ([first(0), Slot(end, next), Slot(0, 0)], CONTAINER_SLOTS)
        }
        _ if length < LONG => ([first(length), Slot(0, 0), Slot(0, 0)], 1),
        _ => ([first(0), Slot(end, 0), Slot(0, 0)], 2),
    }
}

/// Counts one more child of the array or object at a slot, and returns how many there were before.
pub(crate) fn add_child(slots: &mut [Slot], at: usize) -> u32 {
    let Some(Slot(len, _)) = slots.get_mut(at + 2) else {
        return 0;
    };
    *len += 1;
    *len - 1
}

/// Ends the array or object at a slot: after byte `end` of the text, and before slot `next`.
pub(crate) fn close(slots: &mut [Slot], at: usize, end: usize, next: usize) {
    if let Some(slot) = slots.get_mut(at + 1) {
        *slot = Slot(position(end), position(next));
    }
}

/// A position as a slot stores it. The parser refuses texts that are longer than `u32` counts, and there are fewer
/// slots than bytes.
pub(crate) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_return_the_stored_values() {
        let string = |escaped, lone_surrogate| JsonKind::String {
            escaped,
            lone_surrogate,
        };
        let kinds = [
            JsonKind::Null,
            JsonKind::Bool(true),
            JsonKind::Bool(false),
            JsonKind::Number,
            string(false, false),
            string(true, false),
            string(true, true),
        ];
        for kind in kinds {
            let lengths = [0, 1, LONG - 1, LONG, u32::MAX - 7];
            let is_literal = matches!(kind, JsonKind::Null | JsonKind::Bool(_));
            for length in lengths
                .into_iter()
                .filter(|length| *length < LONG || !is_literal)
            {
                let (slots, used) = slots_of(7, 7 + length, kind, 0);
                let node = Node::at(&slots, 0);
                assert_eq!((node.kind(), node.len()), (kind, 0));
                assert_eq!(node.span(), 7..7 + length as usize);
                assert_eq!((node.first(), node.next()), (used, used));
            }
        }
        for kind in [JsonKind::Array, JsonKind::Object] {
            let (mut slots, used) = slots_of(7, 8, kind, 0);
            assert_eq!(used, CONTAINER_SLOTS);
            assert_eq!((add_child(&mut slots, 0), add_child(&mut slots, 0)), (0, 1));
            close(&mut slots, 0, 12, 5);
            let node = Node::at(&slots, 0);
            assert_eq!((node.kind(), node.len(), node.span()), (kind, 2, 7..12));
            assert_eq!((node.first(), node.next()), (CONTAINER_SLOTS, 5));
        }
        let nothing = Node::at(&[], 0);
        assert_eq!((nothing.kind(), nothing.span()), (JsonKind::Null, 0..0));
    }
}
