//! Finds lines of a plain-text list that are more likely a mistake than an ID.

use std::fmt;

use crate::ids::column::is_same_name;
use crate::ids::shown::shown;
use crate::printable::is_invisible;

/// Names of a column of IDs, in addition to the one on the command line.
const HEADERS: [&str; 6] = ["task_id", "task_ids", "task", "tasks", "id", "ids"];

/// Texts that programs write for a missing value.
const NULLS: [&str; 14] = [
    "nan", "None", "none", "null", "Null", "NULL", "NaN", "NaT", "<NA>", "NA", "N/A", "n/a",
    "#N/A", "\\N",
];

/// Quotation marks: ASCII, typographic and full-width.
const QUOTES: [char; 14] = [
    '"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»', '‹', '›', '＂',
];

/// Characters that separate cells, with their names.
const SEPARATORS: [(char, &str); 4] = [
    (',', "a comma"),
    (';', "a semicolon"),
    ('\t', "a tab"),
    ('|', "a vertical bar"),
];

const BRACKETS: [char; 8] = ['[', ']', '{', '}', '(', ')', '<', '>'];

/// Common invisible characters, with their names.
const NAMED: [(char, &str); 6] = [
    ('\u{AD}', "soft hyphen"),
    ('\u{200B}', "zero-width space"),
    ('\u{200C}', "zero-width non-joiner"),
    ('\u{200D}', "zero-width joiner"),
    ('\u{2060}', "word joiner"),
    ('\u{FEFF}', "byte order mark"),
];

/// A line that is more likely a mistake than an ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineMistake {
    /// The start of the line, printable.
    pub line: String,
    /// What is wrong with it.
    pub kind: MistakeKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MistakeKind {
    /// It is the name of a column.
    Header,
    /// It is a text for a missing value.
    Null,
    /// It is a URL.
    Url,
    /// It is part of a JSON text.
    Json,
    /// It contains a bracket.
    Bracket(char),
    /// It contains a character that separates cells.
    Separator(char),
    /// It contains white space.
    WhiteSpace,
    /// It begins or ends with a quotation mark.
    Quote,
    /// It contains an invisible character.
    Invisible(char),
    /// It contains a wide form of an ASCII character.
    FullWidth(char),
    /// It contains U+FFFD, which replaces text that could not be decoded.
    Replacement,
    /// It is a number that a spreadsheet has rounded.
    Rounded,
}

/// Looks for a mistake in a line without surrounding white space. `column` is the name of the column of IDs.
pub(crate) fn find_mistake(line: &str, column: &str) -> Option<LineMistake> {
    let kind = mistake_kind(line, column)?;
    Some(LineMistake {
        line: shown(line),
        kind,
    })
}

fn mistake_kind(line: &str, column: &str) -> Option<MistakeKind> {
    let (is_plain, is_numbered) = (is_plain(line), has_digit(line));
    // Nearly every line. Names of columns have no digit, except one on the command line, and texts for a missing value have
    // none either.
    if is_plain && is_numbered && !has_digit(column) {
        return None;
    }
    // Quotes and invisible characters would hide a header or a missing value.
    let bare = line.trim_matches(|c| QUOTES.contains(&c) || is_invisible(c));
    let is_header = |name: &str| !name.is_empty() && is_same_name(bare, name);
    let can_be_known = !has_digit(bare);
    if is_header(column) || (can_be_known && HEADERS.iter().any(|name| is_header(name))) {
        return Some(MistakeKind::Header);
    }
    if NULLS.contains(&bare) {
        return Some(MistakeKind::Null);
    }
    // Headers and nulls are plain too, so they come first.
    if is_plain {
        return None;
    }
    if line.contains("://") || bare.starts_with("www.") {
        return Some(MistakeKind::Url);
    }
    if line.starts_with(['[', '{', ']', '}']) {
        return Some(MistakeKind::Json);
    }
    let first = |is_wanted: &dyn Fn(char) -> bool| line.chars().find(|&c| is_wanted(c));
    let is_quote = |c: char| QUOTES.contains(&c);
    first(&|c| BRACKETS.contains(&c))
        .map(MistakeKind::Bracket)
        .or_else(|| first(&|c| SEPARATORS.iter().any(|(s, _)| *s == c)).map(MistakeKind::Separator))
        .or_else(|| first(&char::is_whitespace).map(|_| MistakeKind::WhiteSpace))
        .or_else(|| {
            let is_quoted = line.starts_with(is_quote) || line.ends_with(is_quote);
            is_quoted.then_some(MistakeKind::Quote)
        })
        .or_else(|| first(&is_invisible).map(MistakeKind::Invisible))
        .or_else(|| first(&|c| ascii_of(c).is_some()).map(MistakeKind::FullWidth))
        .or_else(|| {
            line.contains('\u{FFFD}')
                .then_some(MistakeKind::Replacement)
        })
        .or_else(|| is_rounded(line).then_some(MistakeKind::Rounded))
}

/// Whether a line has only ASCII letters, digits, `_` and `-`, like most IDs. No character of it can then be a mistake.
fn is_plain(line: &str) -> bool {
    line.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// The ASCII form of a full-width character.
fn ascii_of(wide: char) -> Option<char> {
    /// Full-width forms are in the order of ASCII, with this offset.
    const DISTANCE: u32 = 0xFEE0;
    match wide {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(wide) - DISTANCE),
        _ => None,
    }
}

/// Whether a line is like `6.41E+23`, as spreadsheets show long numbers.
fn is_rounded(line: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((number, exponent)) = line.split_once("E+").or_else(|| line.split_once("e+")) else {
        return false;
    };
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    is_digits(whole) && is_digits(fraction) && is_digits(exponent)
}

impl fmt::Display for LineMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, kind } = self;
        match kind {
            MistakeKind::Header => write!(f, "`{line}` is a header, not an ID"),
            MistakeKind::Null => write!(f, "`{line}` means a missing value"),
            MistakeKind::Url => write!(f, "`{line}` is a URL, not an ID"),
            MistakeKind::Json => write!(f, "`{line}` is JSON, not an ID"),
            MistakeKind::Bracket(bracket) => write!(f, "`{line}` contains `{bracket}`"),
            MistakeKind::Separator(separator) => {
                let mut names = SEPARATORS.iter();
                let name = names.find(|(known, _)| known == separator);
                let name = name.map_or("a separator", |(_, name)| name);
                write!(f, "`{line}` contains {name}")
            }
            MistakeKind::WhiteSpace => write!(f, "`{line}` contains white space"),
            MistakeKind::Quote => write!(f, "`{line}` has quotation marks"),
            MistakeKind::Invisible(character) => {
                let code = u32::from(*character);
                write!(f, "`{line}` contains the invisible character U+{code:04X}")?;
                match NAMED.iter().find(|(known, _)| known == character) {
                    Some((_, name)) => write!(f, " ({name})"),
                    None => Ok(()),
                }
            }
            MistakeKind::FullWidth(character) => {
                write!(
                    f,
                    "`{line}` contains the full-width character `{character}`"
                )
            }
            MistakeKind::Replacement => write!(
                f,
                "`{line}` contains U+FFFD, which replaces text that could not be decoded"
            ),
            MistakeKind::Rounded => {
                write!(f, "`{line}` is a number that a spreadsheet has rounded")
            }
        }
    }
}

impl LineMistake {
    /// How to correct the line.
    pub(crate) fn hint(&self) -> String {
        let fix = match self.kind {
            MistakeKind::Header => "remove the line, or save the list as .csv".to_owned(),
            MistakeKind::Null => "remove the line".to_owned(),
            MistakeKind::Url => "give only the task ID".to_owned(),
            MistakeKind::Json => {
                "save the list as .json (an array) or .jsonl (one object per line)".to_owned()
            }
            MistakeKind::Bracket(_) => "give the ID without brackets".to_owned(),
            MistakeKind::Separator(_) => {
                "put each ID on a separate line, or save the list as .csv or .tsv with a header"
                    .to_owned()
            }
            MistakeKind::WhiteSpace => {
                "put each ID on a separate line, without anything else".to_owned()
            }
            MistakeKind::Quote => "remove the quotation marks".to_owned(),
            MistakeKind::Invisible('\u{FEFF}') => {
                "remove the character, which remains where files were joined".to_owned()
            }
            MistakeKind::Invisible(_) => {
                "remove the character: delete the line and type it again".to_owned()
            }
            MistakeKind::FullWidth(wide) => match ascii_of(wide) {
                Some(ascii) => format!("replace it with `{ascii}`"),
                None => "replace it".to_owned(),
            },
            MistakeKind::Replacement => "export the list again as UTF-8".to_owned(),
            MistakeKind::Rounded => {
                "format the column as text in the spreadsheet and export the list again".to_owned()
            }
        };
        format!("{fix}; if it is an ID, give it in a .csv, .json or .parquet list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(line: &str) -> Option<MistakeKind> {
        find_mistake(line, "task_id").map(|mistake| mistake.kind)
    }

    #[test]
    fn mistakes_are_recognized() {
        use MistakeKind::{
            Bracket, FullWidth, Header, Invisible, Json, Null, Quote, Replacement, Rounded,
            Separator, Url,
        };
        for (line, expected) in [
            ("task_id", Header),
            ("Task ID", Header),
            ("\"task_id\"", Header),
            ("\u{feff}taskId", Header),
            ("ID", Header),
            ("NaN", Null),
            ("<NA>", Null),
            ("\"None\"", Null),
            ("https://dashboard.scale.com/task_1", Url),
            ("www.scale.com/task_1", Url),
            ("[\"task_1\",", Json),
            ("{\"task_id\": \"task_1\"}", Json),
            ("]", Json),
            ("(task_1)", Bracket('(')),
            ("<p>task_1</p>", Bracket('<')),
            ("task_1,task_2", Separator(',')),
            ("task_1;", Separator(';')),
            ("task_1\ttask_2", Separator('\t')),
            ("| task_1 |", Separator('|')),
            ("\"task_1\"", Quote),
            ("'task_1'", Quote),
            ("“task_1”", Quote),
            ("`task_1`", Quote),
            ("task_1\"", Quote),
            ("task\u{200b}_1", Invisible('\u{200b}')),
            ("\u{feff}task_1", Invisible('\u{feff}')),
            ("task_1\u{202e}", Invisible('\u{202e}')),
            ("ｔask_1", FullWidth('ｔ')),
            ("task\u{fffd}1", Replacement),
            ("6.41234E+23", Rounded),
        ] {
            assert_eq!(kind(line), Some(expected), "{line}");
        }
        assert_eq!(
            find_mistake("Nummer", "nummer").map(|mistake| mistake.kind),
            Some(Header)
        );
    }

    #[test]
    fn ordinary_ids_are_not_mistakes() {
        for id in [
            "5774cc78b02487c424f089fd",
            "task_123",
            "641234e230000000000000ff",
            "a:b.c-d_e/f+g=h@i~j#k",
            "1E5",
            "a%20b",
            "o'brien",
            "wwwx",
            "é",
            "日本",
            "a!b?c*d$e&f^g",
        ] {
            assert_eq!(kind(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn ids_of_ordinary_characters_are_taken(id in "[0-9a-f]{24}|task_[0-9]{1,12}|[a-z0-9][a-zA-Z0-9:./+=@~#_-]{6,40}[0-9]") {
            prop_assume!(!id.contains("://") && !id.starts_with("www.") && !is_rounded(&id));
            prop_assert_eq!(kind(&id), None);
        }

        #[test]
        fn the_shown_part_of_a_line_is_printable(line: String) {
            if let Some(mistake) = find_mistake(line.trim(), "task_id") {
                let printed = format!("{mistake} {}", mistake.hint());
                prop_assert!(!printed.chars().any(|c| c.is_control() || is_invisible(c)));
            }
        }
    }
}
