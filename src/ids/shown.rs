//! Text from a list, made fit for an error message.

/// Characters of a line, cell or column name that a message quotes.
const SHOWN_CHARACTERS: usize = 40;

/// Characters of a path that a message quotes: as many as a path may have bytes.
const SHOWN_PATH_CHARACTERS: usize = 4_096;

/// Columns that a message lists.
const SHOWN_COLUMNS: usize = 20;

/// The start of a text, without characters that a terminal obeys or does not show.
pub(super) fn shown(text: &str) -> String {
    escaped(text, SHOWN_CHARACTERS)
}

/// A path, likewise.
pub(super) fn shown_path(path: &std::path::Path) -> String {
    escaped(&path.to_string_lossy(), SHOWN_PATH_CHARACTERS)
}

/// The first columns of a list.
pub(super) fn shown_columns(columns: &[String]) -> String {
    if columns.is_empty() {
        return "nothing".to_owned();
    }
    let names = columns.iter().take(SHOWN_COLUMNS);
    let names: Vec<String> = names.map(|name| format!("`{}`", shown(name))).collect();
    match columns.len().checked_sub(SHOWN_COLUMNS) {
        None | Some(0) => names.join(", "),
        Some(rest) => format!("{} and {rest} more", names.join(", ")),
    }
}

fn escaped(text: &str, characters: usize) -> String {
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == characters {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ if is_invisible(character) => shown.extend(character.escape_unicode()),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// Whether a character takes no space, or changes the direction of text: those that Unicode calls default-ignorable,
/// and the interlinear annotations.
pub(super) fn is_invisible(character: char) -> bool {
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
    fn nothing_hidden_reaches_a_message() {
        assert_eq!(shown("a'\"\\é`b"), "a'\"\\é`b");
        assert_eq!(
            shown("\u{1b}[31m\n\u{202e}\u{200b}\u{feff}\u{ad}"),
            "\\u{1b}[31m\\n\\u{202e}\\u{200b}\\u{feff}\\u{ad}"
        );
        assert_eq!(shown(&"x".repeat(50)), format!("{}…", "x".repeat(40)));
        let many: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        assert!(shown_columns(&many).ends_with("`19` and 5 more"));
        assert_eq!(shown_columns(&[]), "nothing");
    }

    proptest! {
        #[test]
        fn shown_text_is_printable(text: String) {
            let shown = shown(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
