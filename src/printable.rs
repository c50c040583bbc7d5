//! Makes text from outside safe for a terminal or log: it cannot move the cursor, end the line, or hide. Pure.

use std::fmt::Write as _;

/// A text as one line, with escapes for control and invisible characters. Applying it twice gives the same text.
pub fn printable(text: &str) -> String {
    escaped(text, |_| false)
}

/// Like [`printable`], but keeps line breaks. Text from outside in these lines must have passed through [`printable`]
/// before.
pub fn printable_lines(text: &str) -> String {
    escaped(text, |character| character == '\n')
}

/// Like [`printable`], for at most the first `characters` of a text.
pub fn printable_start(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => printable(text.get(..end).unwrap_or_default()) + "…",
        None => printable(text),
    }
}

/// Like [`printable`], for a path.
pub fn printable_path(path: &std::path::Path) -> String {
    printable(&path.to_string_lossy())
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if is_kept(character) => shown.push(character),
            '\n' | '\r' | '\t' => shown.extend(character.escape_default()),
            _ if is_hidden(character) => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Whether a character is shown as an escape: control characters, white space other than the space, and invisible
/// characters.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || is_invisible(character)
}

/// Whether a character takes no space or changes the direction of text: what Unicode calls default-ignorable, and the
/// interlinear annotations.
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invisible_characters_are_escaped_and_others_kept() {
        for text in ["", "a'\"\\é`b", "日本語 e\u{301} नमस्ते 🙂", "C:\\new\\u{1b}"]
        {
            assert_eq!(printable(text), text);
        }
        assert_eq!(
            printable(
                "\u{1b}[31m\r\n\t\u{9b}\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{ad}\u{2028}\u{a0}"
            ),
            "\\u{1b}[31m\\r\\n\\t\\u{9b}\\u{7f}\\u{202e}\\u{2066}\\u{200b}\\u{feff}\\u{ad}\\u{2028}\\u{a0}"
        );
        assert_eq!(printable_lines("a\n\u{1b}\r\n"), "a\n\\u{1b}\\r\n");
        assert_eq!(printable_start("abc", 3), "abc");
        assert_eq!(printable_start("ab\ncd", 3), "ab\\n…");
    }

    proptest! {
        #[test]
        fn every_text_becomes_one_visible_line(text: String) {
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(is_hidden));
            prop_assert_eq!(printable(&shown), shown);
        }
    }
}
