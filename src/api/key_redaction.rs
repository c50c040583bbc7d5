//! Texts without API keys: what looks like a key in a path, a message or JSON is not printed. Pure.

use std::path::Path;

use serde_json::Value;

/// Prefixes of API keys.
const KEY_PREFIXES: [&str; 2] = ["live_", "test_"];

/// Characters after the prefix from which on a word counts as a key.
const MIN_KEY_CHARACTERS: usize = 8;

/// The same for everything that is printed: names of files and IDs can begin with such a prefix, too.
const MIN_PRINTED_KEY: usize = 20;

/// Characters from which on a file name that is a single word with digits counts as a key.
const MIN_KEY_WORD: usize = 24;

/// Whether a text begins with a word, in any case, and white space.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let rest = text.split_at_checked(word.len());
    rest.is_some_and(|(first, rest)| {
        first.eq_ignore_ascii_case(word)
            && (rest.starts_with(char::is_whitespace) || word.ends_with(':'))
    })
}

/// Whether a text is probably a key where a path was expected, also with a directory or an extension beside it.
pub(crate) fn looks_like_key(text: &str) -> bool {
    let stem = Path::new(text).file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let is_plain = stem.chars().all(|letter| letter.is_ascii_alphanumeric());
    is_key_or_word(text) || is_key(&stem) || (is_plain && is_key_or_word(&stem))
}

fn is_key_or_word(text: &str) -> bool {
    let is_word = text.chars().all(is_key_character);
    is_key(text)
        || has_word(text, "bearer")
        || (is_word
            && text.len() >= MIN_KEY_WORD
            && text.contains(|letter: char| letter.is_ascii_digit())
            && text.contains(char::is_alphabetic))
}

fn is_key(word: &str) -> bool {
    KEY_PREFIXES.iter().any(|prefix| {
        word.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= MIN_KEY_CHARACTERS && rest.chars().all(is_key_character)
        })
    })
}

fn is_key_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

/// A path for a message, unless it is probably a key.
pub(crate) fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if looks_like_key(&text) {
        "[redacted]".to_owned()
    } else {
        text.into_owned()
    }
}

/// A text without the words that look like keys.
pub(crate) fn without_keys(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|letter| !is_key_character(letter))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out += if is_key(word) { "[redacted]" } else { word };
        let next = after.find(is_key_character).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        out += between;
        rest = after;
    }
    out
}

/// A text without what is certainly a key. All output passes through it: the user may have given the key to an option
/// that takes something else.
pub(crate) fn without_certain_keys(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((start, end)) = certain_key(rest) {
        out += rest.get(..start).unwrap_or_default();
        out += "[redacted]";
        rest = rest.get(end..).unwrap_or_default();
    }
    out + rest
}

/// The range of the first key: a prefix, and more letters and digits than a name has.
fn certain_key(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let (at, prefix) = KEY_PREFIXES
            .iter()
            .filter_map(|prefix| Some((rest.find(prefix)?, prefix)))
            .min()?;
        let start = from + at;
        let begin = start + prefix.len();
        let after = text.get(begin..)?;
        let length = after
            .find(|letter: char| !letter.is_ascii_alphanumeric())
            .unwrap_or(after.len());
        let is_inside = text
            .get(..start)?
            .ends_with(|before: char| before.is_ascii_alphanumeric());
        let has_digit = after
            .get(..length)?
            .contains(|letter: char| letter.is_ascii_digit());
        if !is_inside && has_digit && length >= MIN_PRINTED_KEY {
            return Some((start, begin + length));
        }
        from = begin;
    }
}

/// JSON without what is certainly a key.
pub(crate) fn json_without_keys(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_certain_keys(&text)),
        Value::Array(items) => items.into_iter().map(json_without_keys).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, json_without_keys(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "live_0123456789abcdef";

    #[test]
    fn only_what_is_certainly_a_key_is_left_out_of_all_that_is_printed() {
        let key = "live_sekret0123456789abcdef";
        for (text, printed) in [
            (
                format!("`{key}` {key}.parquet =test_{key}"),
                "`[redacted]` [redacted].parquet =test_[redacted]",
            ),
            (format!("/a/{key}/live_view"), "/a/[redacted]/live_view"),
            (format!("live_{key}é{key}"), "live_[redacted]é[redacted]"),
        ] {
            assert_eq!(without_certain_keys(&text), printed);
        }
        for text in [
            "",
            "live_",
            "/out/test_20240131T120000Z/live_0123456789",
            "latest_0123456789abcdef0123456789",
            "test_of_a_long_name_0123456789abcdef",
            "live_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(without_certain_keys(text), text);
        }
    }

    #[test]
    fn words_that_look_like_keys_are_not_printed() {
        assert_eq!(
            without_keys(&format!("`--a={KEY}`, {KEY}! `test_abcdefgh`")),
            "`--a=[redacted]`, [redacted]! `[redacted]`"
        );
        for text in [
            "",
            "é`live_`",
            "live_view",
            "--api-key-file",
            "/run/live_keys/a.txt",
        ] {
            assert_eq!(without_keys(text), text);
        }
        for (path, is_key) in [
            (KEY, true),
            ("0123456789abcdef0123456789abcdef", true),
            ("Bearer x", true),
            ("./live_0123456789abcdef", true),
            ("/keys/live_0123456789abcdef.txt", true),
            ("./0123456789abcdef0123456789abcdef.key", true),
            ("key.txt", false),
            ("scale-api-key-production-2024.txt", false),
            ("/run/secrets/scale_api_key_2024_production", false),
            ("production_api_key_for_scale", false),
        ] {
            assert_eq!(looks_like_key(path), is_key, "{path}");
        }
    }
}
