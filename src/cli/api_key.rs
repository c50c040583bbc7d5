//! The API key: where it is read from, and mistakes in it that can be named without printing it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;

use crate::cli::dispatch::UsageError;

/// The environment variable of the key, which has a name of its own.
pub(crate) const KEY_VARIABLE: &str = "SCALE_API_KEY";

/// Bytes of a key file that are read; keys have some dozens.
const MAX_KEY_FILE: u64 = 64 << 10;

/// What keys of the API begin with.
const KEY_PREFIXES: [&str; 2] = ["live_", "test_"];

/// Characters after the prefix from which on a word is taken for a key.
const MIN_KEY_CHARACTERS: usize = 8;

/// The same in what is printed otherwise: names of files and IDs may begin with a prefix of keys, too.
const MIN_PRINTED_KEY: usize = 20;

/// Characters from which on the name of a file that is a single word with digits is taken for a key.
const MIN_KEY_WORD: usize = 24;

/// The mode bit that lets every user of the machine read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// A key, and what a person should know of its file.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) secret: SecretString,
    pub(crate) warning: Option<String>,
}

/// Reads the key from a file, or else from the environment.
pub(crate) fn read_key(file: Option<&Path>) -> Result<Key, UsageError> {
    let Some(path) = file else {
        let key = std::env::var_os(KEY_VARIABLE).ok_or_else(|| UsageError::Key {
            cause: format!("{KEY_VARIABLE} is not set"),
            hint: None,
        })?;
        return Ok(Key {
            secret: parse(key.as_encoded_bytes())
                .map_err(|mistake| mistake.in_input(KEY_VARIABLE))?,
            warning: None,
        });
    };
    let shown = shown_path(path);
    let failed = |error: std::io::Error| UsageError::Key {
        cause: format!("`{shown}`: {error}"),
        hint: looks_like_key(&path.to_string_lossy()).then(|| {
            format!("--api-key-file takes the name of a file; set {KEY_VARIABLE} to the key itself")
        }),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut text = Vec::new();
    file.take(MAX_KEY_FILE + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    let secret = parse(&text).map_err(|mistake| mistake.in_input(&format!("`{shown}`")))?;
    let is_open = metadata.is_file() && metadata.permissions().mode() & READABLE_BY_OTHERS != 0;
    let warning = is_open.then(|| {
        format!(
            "every user of this machine can read the API key in `{shown}`; chmod 600 changes that"
        )
    });
    Ok(Key { secret, warning })
}

/// The text of a key file, or the value of the variable, as a key. White space around it and a byte order mark are not
/// part of it. Nothing else is removed: a guess would be sent to the server.
fn parse(text: &[u8]) -> Result<SecretString, Mistake> {
    if text.len() as u64 > MAX_KEY_FILE {
        return Err(Mistake::TooLarge);
    }
    let text = std::str::from_utf8(text).map_err(|_| Mistake::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        Err(Mistake::Empty)
    } else if text.contains('\0') {
        Err(Mistake::Encoding)
    } else if text.contains(['\n', '\r']) {
        Err(Mistake::Lines)
    } else if is_assignment(text) {
        Err(Mistake::Assignment)
    } else if has_word(text, "bearer") || has_word(text, "authorization:") {
        Err(Mistake::Bearer)
    } else if text.starts_with(['"', '\'', '`', '“', '‘'])
        || text.ends_with(['"', '\'', '`', '”', '’'])
    {
        Err(Mistake::Quotes)
    } else if !text.chars().all(|character| character.is_ascii_graphic()) {
        Err(Mistake::Characters)
    } else {
        Ok(SecretString::from(text.to_owned()))
    }
}

/// Whether a text is like `SCALE_API_KEY=…` or `export KEY=…`.
fn is_assignment(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let name = ["export ", "set ", "$env:"]
        .iter()
        .find_map(|word| name.strip_prefix(word))
        .unwrap_or(&name)
        .trim();
    let is_name = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    // A key may end with `=`, as base64 does.
    is_name && !value.is_empty() && (name.ends_with("key") || name.ends_with("token"))
}

/// Whether a text begins with a word, in any case, and white space.
fn has_word(text: &str, word: &str) -> bool {
    let rest = text.split_at_checked(word.len());
    rest.is_some_and(|(first, rest)| {
        first.eq_ignore_ascii_case(word)
            && (rest.starts_with(char::is_whitespace) || word.ends_with(':'))
    })
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Empty,
    TooLarge,
    Encoding,
    Lines,
    Assignment,
    Bearer,
    Quotes,
    Characters,
}

impl Mistake {
    /// The error, for the file or variable that the text is from.
    fn in_input(self, input: &str) -> UsageError {
        let (cause, hint) = match self {
            Self::Empty => ("is empty", None),
            Self::TooLarge => (
                "is too large for a key",
                Some("name a file that holds the key alone"),
            ),
            Self::Encoding => ("is not UTF-8", Some("save the key as plain text in UTF-8")),
            Self::Lines => ("has several lines", Some("keep the key alone, on one line")),
            Self::Assignment => (
                "has the name of a variable and `=` before the key",
                Some("keep the key alone, without the name and `=`"),
            ),
            Self::Bearer => (
                "has `Bearer` or `Authorization` before the key",
                Some("keep the key alone; the program adds the header"),
            ),
            Self::Quotes => (
                "has quotes around the key",
                Some("keep the key alone, without quotes"),
            ),
            Self::Characters => (
                "has white space or invisible or non-ASCII characters inside the key",
                Some("copy the key again, from the API settings of your account"),
            ),
        };
        UsageError::Key {
            cause: format!("{input} {cause}"),
            hint: hint.map(str::to_owned),
        }
    }
}

/// Whether a text is probably a key where a path was expected, also with a directory or an extension beside it.
fn looks_like_key(text: &str) -> bool {
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
fn shown_path(path: &Path) -> String {
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

/// A text without what is certainly a key, for all that is printed: the user may have given the key to an option that
/// takes something else.
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

/// Where the first key begins and ends: a prefix, and letters and digits that are too many for a name.
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

/// JSON whose texts are without what is certainly a key.
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
    use secrecy::ExposeSecret as _;

    const KEY: &str = "live_0123456789abcdef";

    #[test]
    fn a_key_is_taken_as_it_is() {
        for text in [
            KEY.to_owned(),
            format!(" {KEY}\r\n"),
            format!("\u{feff}{KEY}\n"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().expose_secret(), KEY);
        }
        for key in ["c2VjcmV0IGtleQ==", "a=b", "mykeys=", "bearerless", "t"] {
            assert_eq!(parse(key.as_bytes()).unwrap().expose_secret(), key);
        }
    }

    #[test]
    fn mistakes_are_named_without_the_key() {
        for (text, mistake) in [
            (format!("\"{KEY}\""), Mistake::Quotes),
            (format!("'{KEY}'\n"), Mistake::Quotes),
            (format!("“{KEY}”"), Mistake::Quotes),
            (format!("Bearer {KEY}"), Mistake::Bearer),
            (format!("bearer\t{KEY}"), Mistake::Bearer),
            (format!("Authorization: Bearer {KEY}"), Mistake::Bearer),
            (format!("SCALE_API_KEY={KEY}"), Mistake::Assignment),
            (
                format!("export SCALE_API_KEY=\"{KEY}\""),
                Mistake::Assignment,
            ),
            (
                format!("\u{feff}scale_api_key = {KEY}"),
                Mistake::Assignment,
            ),
            (format!("$env:SCALE_API_KEY={KEY}"), Mistake::Assignment),
            (format!("{KEY}\n{KEY}"), Mistake::Lines),
            (format!("live_\u{200b}{KEY}"), Mistake::Characters),
            ("live 123".to_owned(), Mistake::Characters),
            ("\u{feff} \n".to_owned(), Mistake::Empty),
            ("l\0i\0".to_owned(), Mistake::Encoding),
            ("x".repeat(70_000), Mistake::TooLarge),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), mistake, "{text:.60}");
            let UsageError::Key { cause, hint } = mistake.in_input("`key`") else {
                panic!("another error");
            };
            assert!(!format!("{cause}{hint:?}").contains(KEY));
        }
        assert_eq!(parse(b"\xff\xfel\0").unwrap_err(), Mistake::Encoding);
    }

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
