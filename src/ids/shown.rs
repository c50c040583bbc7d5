//! Text from a list, made fit for an error message.

use crate::printable::printable_start;

/// Characters of a line, cell or column name that a message quotes.
const SHOWN_CHARACTERS: usize = 40;

/// Characters of a path that a message quotes: as many as a path may have bytes.
const SHOWN_PATH_CHARACTERS: usize = 4_096;

/// Columns that a message lists.
const SHOWN_COLUMNS: usize = 20;

/// The start of a text, without characters that a terminal obeys or does not show.
pub(crate) fn shown(text: &str) -> String {
    printable_start(text, SHOWN_CHARACTERS)
}

/// A path, likewise.
pub(crate) fn shown_path(path: &std::path::Path) -> String {
    printable_start(&path.to_string_lossy(), SHOWN_PATH_CHARACTERS)
}

/// The first columns of a list.
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
