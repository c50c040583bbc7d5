//! Finds the bytes of a JSON string that need attention: quotes, backslashes and control characters.

use memchr::memchr2;

/// Words that are looked at before a vectorized search: it takes longer to start, and most strings are short.
const SHORT_WORDS: usize = 4;

/// Bytes below this one are control characters.
const FIRST_PRINTABLE: u8 = 0x20;

/// The number of bytes before the first one that needs attention; all of them if none does.
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..SHORT_WORDS {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(chunk) = rest.first_chunk() else {
            let special = rest.iter().position(|byte| is_special(*byte));
            return at + special.unwrap_or(rest.len());
        };
        if let Some(special) = first_special(*chunk) {
            return at + special;
        }
        at += chunk.len();
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let run = rest.get(..end).unwrap_or_default();
    // The minimum is vectorized; a search for the first control character is not.
    let least = run.iter().copied().fold(u8::MAX, u8::min);
    at + if least >= FIRST_PRINTABLE {
        end
    } else {
        let control = run.iter().position(|byte| *byte < FIRST_PRINTABLE);
        control.unwrap_or(end)
    }
}

/// A word that has this value in every byte, to compare eight bytes at once.
const fn every_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The position of the first quote, backslash or control character of eight bytes.
fn first_special(bytes: [u8; 8]) -> Option<usize> {
    const LOW: u64 = every_byte(0x01);
    const HIGH: u64 = every_byte(0x80);
    // The first byte is the lowest one. The tests for zero borrow from higher bytes only, so the lowest byte that they
    // find is one.
    let word = u64::from_le_bytes(bytes);
    let quote = word ^ every_byte(b'"');
    let backslash = word ^ every_byte(b'\\');
    let has_quote = quote.wrapping_sub(LOW) & !quote;
    let has_backslash = backslash.wrapping_sub(LOW) & !backslash;
    let has_control = word.wrapping_sub(every_byte(FIRST_PRINTABLE)) & !word;
    let found = (has_quote | has_backslash | has_control) & HIGH;
    (found != 0).then(|| (found.trailing_zeros() / u8::BITS) as usize)
}

/// Whether a byte of a string needs attention.
fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < FIRST_PRINTABLE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plain_run_ends_at_the_first_byte_that_needs_attention(
            plain in "[ -~äß😀&&[^\"\\\\]]{0,90}",
            special in proptest::option::of(prop_oneof![Just('"'), Just('\\'), Just('\u{0}'), Just('\u{1f}'), Just('\n')]),
            rest in "[ -~ä\n]{0,40}",
        ) {
            let end = special.map_or_else(String::new, String::from);
            let text = plain.clone() + &end + &rest;
            let expected = text.bytes().position(is_special).unwrap_or(text.len());
            prop_assert_eq!(plain_run(text.as_bytes()), expected);
        }
    }
}
