//! Shortens text from a list for an error message.

use crate::printable::printable_start;

/// The most characters of a line, cell or column name in a message.
const SHOWN_CHARACTERS: usize = 40;

/// The most characters of a path in a message: as many as a path may have bytes.
const SHOWN_PATH_CHARACTERS: usize = 4_096;

/// The most columns in a message.
const SHOWN_COLUMNS: usize = 20;

/// The start of a text, with escapes for control and invisible characters.
pub(crate) fn shown(text: &str) -> String {
    printable_start(text, SHOWN_CHARACTERS)
}

/// A path, with escapes for control and invisible characters.
pub(crate) fn shown_path(path: &std::path::Path) -> String {
    printable_start(&path.to_string_lossy(), SHOWN_PATH_CHARACTERS)
}

/// The names of the first columns.
pub(crate) fn shown_columns(columns: &[String]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_quotes_a_part() {
        assert_eq!(shown("a\u{1b}"), "a\\u{1b}");
        assert_eq!(shown(&"x".repeat(50)), format!("{}…", "x".repeat(40)));
        let many: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        assert!(shown_columns(&many).ends_with("`19` and 5 more"));
        assert_eq!(shown_columns(&[]), "nothing");
    }
}
