//! Reads the API key, and names mistakes in it without printing it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::api::key_command::output_of;
use crate::api::key_redaction::{has_word, looks_like_key, shown_path, without_keys};
use crate::error::{Exit, Explain};
use crate::shell_quoting::shell_quoted;

/// The environment variable with the API key. The name is the one that the API's own clients use.
pub(crate) const KEY_VARIABLE: &str = "SCALE_API_KEY";

/// Maximum bytes of a key file; keys have some dozens.
const MAX_KEY_FILE: u64 = 64 << 10;

/// The mode bit that lets every user of the machine read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Why the API key could not be read. The message never contains the key.
#[derive(Debug, Error)]
#[error("could not read the API key: {cause}")]
pub struct KeyError {
    cause: String,
    hint: Option<String>,
}

impl Explain for KeyError {
    fn hint(&self) -> Option<String> {
        let usual = || format!("set {KEY_VARIABLE} or use --api-key-file; --sandbox needs no key");
        Some(self.hint.clone().unwrap_or_else(usual))
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A key, and a warning about its file.
#[derive(Debug)]
pub(crate) struct ApiKey {
    pub(crate) secret: SecretString,
    pub(crate) warning: Option<String>,
}

/// The form of a key: its beginning, if that is one of the two documented ones, and nothing else of it.
pub(crate) fn key_form(key: &SecretString) -> &'static str {
    let key = key.expose_secret();
    if key.starts_with("live_") {
        "begins with live_"
    } else if key.starts_with("test_") {
        "begins with test_"
    } else {
        "begins with neither live_ nor test_"
    }
}

/// Where the API key comes from.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// The environment variable [`KEY_VARIABLE`].
    Variable,
    /// The caller.
    Value(SecretString),
    /// A file that contains only the key.
    File(PathBuf),
    /// The output of a program, as a command line.
    Command(String),
}

impl KeySource {
    /// Reads the key.
    pub(crate) fn read(self) -> Result<ApiKey, KeyError> {
        let secret = match self {
            Self::Value(secret) => secret,
            Self::Variable => read_variable()?,
            Self::Command(command) => read_command(&command)?,
            Self::File(path) => return read_file(&path),
        };
        Ok(ApiKey {
            secret,
            warning: None,
        })
    }
}

fn read_variable() -> Result<SecretString, KeyError> {
    let key = std::env::var_os(KEY_VARIABLE).ok_or_else(|| KeyError {
        cause: format!("{KEY_VARIABLE} is not set"),
        hint: None,
    })?;
    parse(key.as_encoded_bytes()).map_err(|mistake| mistake.in_input(KEY_VARIABLE))
}

fn read_command(command: &str) -> Result<SecretString, KeyError> {
    let text = output_of(command, MAX_KEY_FILE).map_err(|cause| KeyError {
        cause: without_keys(&format!("the command for the key: {cause}")),
        hint: Some(
            "run the command in a terminal: it must print only the key and exit with 0".into(),
        ),
    })?;
    parse(&text).map_err(|mistake| mistake.in_input("the output of the command for the key"))
}

fn read_file(path: &Path) -> Result<ApiKey, KeyError> {
    let shown = shown_path(path);
    let failed = |error: std::io::Error| KeyError {
        cause: format!("`{shown}`: {error}"),
        hint: looks_like_key(&path.to_string_lossy()).then(|| {
            format!("--api-key-file takes the name of a file; set {KEY_VARIABLE} to the key itself")
        }),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut text = Vec::new();
    // One byte more than allowed shows that a file is too large, also where its size is unknown, as for a pipe.
    file.take(MAX_KEY_FILE + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    let secret = parse(&text).map_err(|mistake| mistake.in_input(&format!("`{shown}`")))?;
    // The mode of a pipe or a device says nothing about who can read the key.
    let is_open = metadata.is_file() && metadata.permissions().mode() & READABLE_BY_OTHERS != 0;
    let warning = is_open.then(|| {
        let quoted = shell_quoted(Path::new(&shown));
        format!(
            "every user of this machine can read the API key in `{shown}`; run: chmod 600 {quoted}"
        )
    });
    Ok(ApiKey { secret, warning })
}

/// The text of a key file, or the value of the variable, as a key. White space around it and a byte order mark are not
/// part of it. Nothing else is removed: a guess would be sent to the server.
fn parse(text: &[u8]) -> Result<SecretString, KeyMistake> {
    if text.len() as u64 > MAX_KEY_FILE {
        return Err(KeyMistake::TooLarge);
    }
    let text = std::str::from_utf8(text).map_err(|_| KeyMistake::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        Err(KeyMistake::Empty)
    } else if text.contains('\0') {
        Err(KeyMistake::Encoding)
    } else if text.contains(['\n', '\r']) {
        Err(KeyMistake::Lines)
    } else if is_assignment(text) {
        Err(KeyMistake::Assignment)
    } else if has_word(text, "bearer") || has_word(text, "authorization:") {
        Err(KeyMistake::Bearer)
    // Shells remove quotes, and files keep them, so a key that was copied from a script often has some.
    } else if text.starts_with(['"', '\'', '`', '“', '‘'])
        || text.ends_with(['"', '\'', '`', '”', '’'])
    {
        Err(KeyMistake::Quotes)
    } else if !text.chars().all(|character| character.is_ascii_graphic()) {
        Err(KeyMistake::Characters)
    } else {
        Ok(SecretString::from(text.to_owned()))
    }
}

/// Whether a text is an assignment like `SCALE_API_KEY=…` or `export KEY=…`.
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
    // A key can end with `=`, as base64 does.
    is_name && !value.is_empty() && (name.ends_with("key") || name.ends_with("token"))
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyMistake {
    Empty,
    TooLarge,
    Encoding,
    Lines,
    Assignment,
    Bearer,
    Quotes,
    Characters,
}

impl KeyMistake {
    /// The error for the file or variable that the text comes from.
    fn in_input(self, input: &str) -> KeyError {
        let (cause, hint) = match self {
            Self::Empty => ("is empty", None),
            Self::TooLarge => (
                "is too large for a key",
                Some("name a file that contains only the key"),
            ),
            Self::Encoding => ("is not UTF-8", Some("save the key as plain text in UTF-8")),
            Self::Lines => ("has several lines", Some("keep only the key, on one line")),
            Self::Assignment => (
                "has the name of a variable and `=` before the key",
                Some("keep only the key, without the name and `=`"),
            ),
            Self::Bearer => (
                "has `Bearer` or `Authorization` before the key",
                Some("keep only the key; scale-export adds the header"),
            ),
            Self::Quotes => (
                "has quotes around the key",
                Some("keep only the key, without quotes"),
            ),
            Self::Characters => (
                "has white space or invisible or non-ASCII characters inside the key",
                Some("copy the key again from the API settings of your account"),
            ),
        };
        KeyError {
            cause: format!("{input} {cause}"),
            hint: hint.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (format!("\"{KEY}\""), KeyMistake::Quotes),
            (format!("'{KEY}'\n"), KeyMistake::Quotes),
            (format!("“{KEY}”"), KeyMistake::Quotes),
            (format!("Bearer {KEY}"), KeyMistake::Bearer),
            (format!("bearer\t{KEY}"), KeyMistake::Bearer),
            (format!("Authorization: Bearer {KEY}"), KeyMistake::Bearer),
            (format!("SCALE_API_KEY={KEY}"), KeyMistake::Assignment),
            (
                format!("export SCALE_API_KEY=\"{KEY}\""),
                KeyMistake::Assignment,
            ),
            (
                format!("\u{feff}scale_api_key = {KEY}"),
                KeyMistake::Assignment,
            ),
            (format!("$env:SCALE_API_KEY={KEY}"), KeyMistake::Assignment),
            (format!("{KEY}\n{KEY}"), KeyMistake::Lines),
            (format!("live_\u{200b}{KEY}"), KeyMistake::Characters),
            ("live 123".to_owned(), KeyMistake::Characters),
            ("\u{feff} \n".to_owned(), KeyMistake::Empty),
            ("l\0i\0".to_owned(), KeyMistake::Encoding),
            ("x".repeat(70_000), KeyMistake::TooLarge),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), mistake, "{text:.60}");
            let KeyError { cause, hint } = mistake.in_input("`key`");
            assert!(!format!("{cause}{hint:?}").contains(KEY));
        }
        assert_eq!(parse(b"\xff\xfel\0").unwrap_err(), KeyMistake::Encoding);
    }
}
