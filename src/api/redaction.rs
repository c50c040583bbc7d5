//! Removes the API key from bodies, however JSON escapes it.

use memchr::{memchr_iter, memchr2_iter, memmem};

/// The minimum length of a key in bytes. A shorter key, used for tests, may be a word in the text of a task.
const MIN_KEY_BYTES: usize = 8;

/// What replaces the key.
const REDACTED: &[u8] = b"[redacted]";

/// Hexadecimal digits of `\u005f`.
const DIGITS: usize = 4;

/// Characters that JSON may escape with only a backslash, and that then stand for themselves.
const ESCAPED_ALONE: [u8; 2] = *b"/\"";

/// The text without the key; `None` if the key is not in it. JSON inside a JSON string, which escapes backslashes once
/// more, is covered as well.
pub fn without_key(text: &[u8], key: &str) -> Option<Vec<u8>> {
    let key = key.as_bytes();
    let first = *key.first().filter(|_| key.len() >= MIN_KEY_BYTES)?;
    let spellings = if has_escapes_of(text, key) {
        let starts = memchr2_iter(first, b'\\', text);
        starts
            .filter_map(|start| Some((start, start + spelled_at(text.get(start..)?, key)?)))
            .collect()
    } else {
        let starts = memmem::find_iter(text, key);
        starts
            .map(|start| (start, start + key.len()))
            .collect::<Vec<_>>()
    };
    if spellings.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut kept = 0;
    for (start, end) in spellings {
        // The spellings of a key that repeats a part of itself overlap.
        if let Some(before) = text.get(kept..start) {
            out.extend_from_slice(before);
            out.extend_from_slice(REDACTED);
        }
        kept = kept.max(end);
    }
    out.extend_from_slice(text.get(kept..).unwrap_or_default());
    Some(out)
}

/// Whether any character of the key is escaped in the text. Most texts have no such escape, and then only the plain key
/// is searched for.
fn has_escapes_of(text: &[u8], key: &[u8]) -> bool {
    memchr_iter(b'\\', text).any(|at| {
        let after = text.get(at + 1..).unwrap_or_default();
        match after.first() {
            Some(b'u') => escaped_byte(after).is_some_and(|byte| key.contains(&byte)),
            Some(byte) => (ESCAPED_ALONE.contains(byte) || *byte == b'\\') && key.contains(byte),
            None => false,
        }
    })
}

/// The byte that `u005f` stands for, if it is ASCII.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"u")?.get(..DIGITS)?;
    // `from_str_radix` accepts a sign, which is not a digit.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    u8::try_from(code).ok().filter(u8::is_ascii)
}

/// The number of bytes of the text that spell the key, if the text begins with the key.
fn spelled_at(text: &[u8], key: &[u8]) -> Option<usize> {
    let mut text_at = 0;
    let mut key_at = 0;
    while let Some(&wanted) = key.get(key_at) {
        let rest = text.get(text_at..)?;
        let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let after = rest.get(backslashes..)?;
        let in_key = key
            .get(key_at..)?
            .iter()
            .take_while(|byte| **byte == b'\\')
            .count();
        if in_key > 0 && backslashes >= in_key {
            text_at += backslashes;
            key_at += in_key;
            continue;
        }
        let length = if backslashes > 0 && escaped_byte(after) == Some(wanted) {
            1 + DIGITS
        } else if after.first() == Some(&wanted)
            && (backslashes == 0 || ESCAPED_ALONE.contains(&wanted))
        {
            1
        } else {
            return None;
        };
        text_at += backslashes + length;
        key_at += 1;
    }
    Some(text_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "live_0123/56789abcdef";

    fn redacted(text: &str, key: &str) -> Option<String> {
        without_key(text.as_bytes(), key).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_key_that_is_repeated_is_not_kept() {
        let key = "live_0123456789abcdef";
        let text = format!("{{\"a\":\"Bearer {key}\",\"b\":\"{key}{key}\"}}");
        let expected = "{\"a\":\"Bearer [redacted]\",\"b\":\"[redacted][redacted]\"}";
        assert_eq!(redacted(&text, key).unwrap(), expected);
        assert_eq!(redacted("nothing of it", key), None);
    }

    #[test]
    fn a_key_is_found_in_every_spelling() {
        for spelling in [
            r"live\u005f0123\/56789abcdef",
            r"live\u005F0123\u002f56789abcdef",
            r"\u006cive_0123/56789abcde\u0066",
            r"live\\u005f0123\\/56789abcdef",
            r"live\\\\u005f0123\\\/56789abcdef",
        ] {
            let text = format!(r#"{{"a":"x\n{spelling}\"y","b":"\u005f\/"}}"#);
            let expected = r#"{"a":"x\n[redacted]\"y","b":"\u005f\/"}"#;
            assert_eq!(redacted(&text, KEY).as_deref(), Some(expected), "{text}");
        }
        for other in [
            r"live\n0123/56789abcdef",
            r"live\u00_0123/56789abcdef",
            r"live_0123\",
            r"live\u005",
        ] {
            assert_eq!(redacted(&format!("{other} \\/"), KEY), None, "{other}");
        }
    }

    #[test]
    fn keys_count_from_eight_characters_on() {
        assert_eq!(
            redacted("a test_key of", "test_key").as_deref(),
            Some("a [redacted] of")
        );
        assert_eq!(redacted("a test_ke of", "test_ke"), None);
        assert_eq!(redacted("a", ""), None);
    }

    #[test]
    fn overlapping_spellings_leave_nothing() {
        assert_eq!(
            redacted("aaaaaaaaaa\\u0061", "aaaaaaaa").as_deref(),
            Some("[redacted]")
        );
    }

    proptest! {
        #[test]
        fn any_mix_of_escapes_is_found(
            key in "[!-~]{8,20}",
            escapes in prop::collection::vec(0..3_u8, 20),
            depth in 1..3_usize,
        ) {
            prop_assume!(!key.contains('\\'));
            let mut spelling = String::new();
            for (letter, escape) in key.chars().zip(escapes) {
                let code = u32::from(letter);
                spelling += &match (escape, letter) {
                    (1, _) => format!("\\u{code:04x}"),
                    (2, _) => format!("\\u{code:04X}"),
                    (_, '"') => "\\\"".to_owned(),
                    _ => letter.to_string(),
                };
            }
            for _ in 1..depth {
                spelling = spelling.replace('\\', "\\\\");
            }
            let text = format!("{{\"a\": \"é {spelling}\\n\"}}");
            prop_assert_eq!(redacted(&text, &key).unwrap(), "{\"a\": \"é [redacted]\\n\"}");
        }

        #[test]
        fn valid_json_stays_valid(key in "[a-e/\"_]{8}", text in "[a-e/\"_\\\\]{0,40}") {
            let json = serde_json::to_string(&format!("{text}{key}{text}")).unwrap();
            let redacted = redacted(&json, &key).unwrap();
            prop_assert!(serde_json::from_str::<String>(&redacted).is_ok(), "{}", redacted);
        }

        #[test]
        fn no_text_panics(key in "[a-c\\\\]{8,10}", text in "[a-cu0\\\\]{0,60}") {
            let _ = redacted(&text, &key);
        }
    }
}
