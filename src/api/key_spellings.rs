//! Removes the key from messages of the server in every spelling: with escapes of HTML, URLs or JSON, also nested, in
//! any case, and with invisible characters in between.

use crate::printable::is_invisible;

/// What replaces the key.
const REDACTED: &str = "[redacted]";

/// Characters of the longest escape: a number may begin with zeros.
const MAX_ESCAPE: usize = 32;

/// Characters of `\u005f`, without the backslash.
const UNICODE_ESCAPE: usize = 5;

/// HTML names of characters of a key, and of invisible characters.
const NAMED: [(&str, char); 21] = [
    ("amp", '&'),
    ("lowbar", '_'),
    ("underbar", '_'),
    ("sol", '/'),
    ("plus", '+'),
    ("equals", '='),
    ("hyphen", '-'),
    ("dash", '-'),
    ("minus", '-'),
    ("period", '.'),
    ("colon", ':'),
    ("num", '#'),
    ("percnt", '%'),
    ("bsol", '\\'),
    ("tab", '\t'),
    ("newline", '\n'),
    ("nbsp", ' '),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("zerowidthspace", '\u{200b}'),
];

/// A character, and the bytes of the text that stand for it.
#[derive(Debug, Clone, Copy)]
struct Letter {
    character: char,
    from: usize,
    until: usize,
}

/// The text with every spelling of the key replaced by `[redacted]`.
pub(crate) fn without_spellings(text: &str, key: &str) -> String {
    let (plain, plain_key) = (letters(text), letters(key));
    // A key may itself look like an escape, so the text is also searched as it is.
    let mut places = places(&plain, &plain_key);
    places.extend(self::places(&decoded(&plain), &decoded(&plain_key)));
    places.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for (from, until) in places {
        // The spellings of a key that repeats a part of itself overlap.
        if let Some(before) = text.get(kept..from) {
            out += before;
            out += REDACTED;
        }
        kept = kept.max(until);
    }
    out + text.get(kept..).unwrap_or_default()
}

fn letters(text: &str) -> Vec<Letter> {
    let letter = |(from, character): (usize, char)| Letter {
        character,
        from,
        until: from + character.len_utf8(),
    };
    text.char_indices().map(letter).collect()
}

/// Where the letters of the key follow each other, except for invisible characters: a range of bytes of the text from
/// the first to the last letter.
fn places(text: &[Letter], key: &[Letter]) -> Vec<(usize, usize)> {
    let (text, key) = (seen(text), seen(key));
    if key.is_empty() {
        return Vec::new();
    }
    let is_key = |window: &&[Letter]| {
        let mut pairs = window.iter().zip(&key);
        pairs.all(|(one, other)| one.character.eq_ignore_ascii_case(&other.character))
    };
    text.windows(key.len())
        .filter(is_key)
        .filter_map(|window| Some((window.first()?.from, window.last()?.until)))
        .collect()
}

/// The visible letters. A backslash is an escape of what follows it.
fn seen(letters: &[Letter]) -> Vec<Letter> {
    let is_seen = |letter: &&Letter| {
        let character = letter.character;
        !(character.is_whitespace()
            || character.is_control()
            || is_invisible(character)
            || character == '\\')
    };
    letters.iter().filter(is_seen).copied().collect()
}

/// The letters with escapes replaced by what they stand for. Such a replacement may be a part of another escape.
fn decoded(letters: &[Letter]) -> Vec<Letter> {
    let mut out: Vec<Letter> = Vec::with_capacity(letters.len());
    for (at, letter) in letters.iter().enumerate() {
        out.push(*letter);
        let next = letters.get(at + 1).map(|letter| letter.character);
        while let Some((start, character)) = escape_at_end(&out, next) {
            let from = out.get(start).map_or(letter.from, |first| first.from);
            out.truncate(start);
            out.push(Letter {
                character,
                from,
                until: letter.until,
            });
        }
    }
    out
}

/// Where the escape begins that the letters end with, and what it stands for. `next` is the character after them.
fn escape_at_end(letters: &[Letter], next: Option<char>) -> Option<(usize, char)> {
    let earliest = letters.len().saturating_sub(MAX_ESCAPE);
    let tail = letters.get(earliest..)?;
    let last = tail.last()?.character;
    if !last.is_ascii_alphanumeric() && last != ';' {
        return None;
    }
    let start = tail
        .iter()
        .rposition(|letter| matches!(letter.character, '%' | '&' | '\\'))?;
    let (first, body) = tail.get(start..)?.split_first()?;
    let body: String = body.iter().map(|letter| letter.character).collect();
    let character = match first.character {
        '%' if body.len() == 2 => number(&body, 16).filter(char::is_ascii),
        '\\' if body.len() == UNICODE_ESCAPE => number(body.strip_prefix('u')?, 16),
        '&' => entity(&body, next),
        _ => None,
    };
    Some((earliest + start, character?))
}

/// The character that `lowbar;`, `#95;` or `#x5f;` stands for. Browsers do not require the semicolon after a number.
fn entity(body: &str, next: Option<char>) -> Option<char> {
    let name = body.strip_suffix(';');
    let is_over =
        |radix| name.is_some() || next.is_none_or(|next| next != ';' && !next.is_digit(radix));
    let name = name.unwrap_or(body);
    if let Some(digits) = name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
        return number(digits, 16).filter(|_| is_over(16));
    }
    if let Some(digits) = name.strip_prefix('#') {
        return number(digits, 10).filter(|_| is_over(10));
    }
    let is_whole = body.ends_with(';') || (name == "amp" && next != Some(';'));
    let (_, character) = NAMED
        .iter()
        .find(|(known, _)| is_whole && name.eq_ignore_ascii_case(known))?;
    Some(*character)
}

/// The character with a number.
fn number(digits: &str, radix: u32) -> Option<char> {
    // `parse` accepts a sign, which is not a digit.
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "live_ab/c+d=e-f.0123";

    #[test]
    fn a_key_is_found_in_every_spelling() {
        for spelling in [
            KEY,
            "LIVE_AB/C+D=E-F.0123",
            "live&#95;ab&#47;c+d=e-f.0123",
            "live&#x5f;ab&#X2F;c&#0000043;d&#61e-f.0123",
            "live&lowbar;ab&sol;c&plus;d&equals;e&hyphen;f&period;0123",
            "live&amp;#95;ab/c&amp;amp;plus;d=e-f.0123",
            "live&amp#95;ab/c+d=e-f.0123",
            "live%5Fab%2fc%2Bd%3De%2df%2E0123",
            "live%255Fab%25252Fc+d=e-f.0123",
            "%6cive&#37;5fab/c+d=e-f.012%33",
            r"live\u005fab\/c\\u002bd=e-f.0123",
            "live_ab\u{7}/c+d=e\r\n-f.\u{1b}0123",
            "live_ab&#7;/c+d=e%0d%0a-f.\\u001b0123",
            "live_\u{200b}ab/c&ZeroWidthSpace;+d&#8203;=e-f.0&shy;123",
        ] {
            let text = format!("é &amp; 50% of <{spelling}>; \\n");
            let expected = "é &amp; 50% of <[redacted]>; \\n";
            assert_eq!(without_spellings(&text, KEY), expected, "{spelling}");
        }
        for other in [
            "",
            "live&#950;ab/c+d=e-f.0123",
            "live&lowbarab/c+d=e-f.0123",
            "live%5ab/c+d=e-f.0123",
            "live&#+95;ab/c+d=e-f.0123",
            "%&\\&#;&#x;%u\\u",
            "&#99999999999999;&#xd800;",
        ] {
            assert_eq!(without_spellings(other, KEY), other);
        }
    }

    #[test]
    fn a_key_may_look_like_an_escape() {
        for key in ["live_%5fabc", "live_&amp;abc", r"live_\u005fabc", r"a\b\\c"] {
            let text = format!("<{key}>");
            assert_eq!(without_spellings(&text, key), "<[redacted]>");
        }
        assert_eq!(without_spellings("any", ""), "any");
        assert_eq!(without_spellings("aaaaa", "aaa"), "[redacted]");
    }

    proptest! {
        #[test]
        fn any_mix_of_escapes_is_found(
            key in "[a-z0-9_/+=.-]{8,20}",
            escapes in prop::collection::vec(0..7_u8, 20),
            is_nested: bool,
        ) {
            let mut spelling = String::new();
            for (letter, escape) in key.chars().zip(escapes) {
                let code = u32::from(letter);
                spelling += &match escape {
                    1 => format!("&#{code};"),
                    2 => format!("&#x{code:x};"),
                    3 => format!("%{code:02X}"),
                    4 => format!("\\u{code:04x}"),
                    5 => format!("\u{7}{letter}"),
                    _ => letter.to_string(),
                };
            }
            if is_nested {
                spelling = spelling.replace('%', "%25").replace('&', "&amp;");
            }
            let said = without_spellings(&format!("<{spelling}>"), &key);
            prop_assert!(["<[redacted]>", "<\u{7}[redacted]>"].contains(&&*said), "{}", said);
        }

        #[test]
        fn no_text_panics(text in "[a-c%&#;x0-9\\\\ué]{0,60}", key in "[a-c%&\\\\]{0,4}") {
            let _ = without_spellings(&text, &key);
        }
    }
}
