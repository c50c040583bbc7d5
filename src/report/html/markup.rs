//! HTML that is safe to print: text from an export gets into it through `Markup::data` only.

use crate::printable::printable;
use crate::report::short_text::ShortText;

/// Characters of a name from an export that the page shows.
pub(super) const NAME_CHARS: usize = 60;

/// Characters of a sentence from an export that the page shows.
pub(super) const SENTENCE_CHARS: usize = 160;

/// A piece of HTML.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Markup(String);

impl Markup {
    /// Text of the program.
    pub(super) fn text(text: &str) -> Self {
        Self(escaped(text))
    }

    /// Tags of the program.
    pub(super) fn tags(tags: impl Into<String>) -> Self {
        Self(tags.into())
    }

    /// Text from the export: at most `chars` characters in one line, without characters that are invisible or change the
    /// direction of other text.
    pub(super) fn data(text: &str, chars: usize) -> Self {
        if text.is_empty() {
            return Self::muted("(empty)");
        }
        Self(format!("<bdi>{}</bdi>", escaped(&shortened(text, chars))))
    }

    /// A key of the statistics.
    pub(super) fn key(key: &ShortText, chars: usize) -> Self {
        if key.is_cut() {
            return Self::data(&format!("{}…", key.start()), chars);
        }
        Self::data(key.start(), chars)
    }

    /// A key of the statistics that is a sentence: line breaks and tabs are shown as spaces.
    pub(super) fn sentence(key: &ShortText) -> Self {
        let words: Vec<&str> = key.start().split_ascii_whitespace().collect();
        let end = if key.is_cut() { "…" } else { "" };
        Self::data(&(words.join(" ") + end), SENTENCE_CHARS)
    }

    /// A key of the statistics that may be null.
    pub(super) fn optional_key(key: Option<&ShortText>, absent: &str, chars: usize) -> Self {
        key.map_or_else(|| Self::muted(absent), |key| Self::key(key, chars))
    }

    /// Text of the program that stands for a value.
    pub(super) fn muted(text: &str) -> Self {
        Self::element("span", "class=\"muted\"", &Self::text(text))
    }

    /// An element. `attributes` are those of the program.
    pub(super) fn element(tag: &str, attributes: &str, content: &Self) -> Self {
        let space = if attributes.is_empty() { "" } else { " " };
        Self(format!("<{tag}{space}{attributes}>{}</{tag}>", content.0))
    }

    /// Appends a piece.
    pub(super) fn push(&mut self, piece: &Self) {
        self.0.push_str(&piece.0);
    }

    /// This piece and another one.
    pub(super) fn and(mut self, piece: &Self) -> Self {
        self.push(piece);
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<I: IntoIterator<Item = Markup>>(pieces: I) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            all.push(&piece);
        }
        all
    }
}

/// The text as one visible line of at most `chars` characters.
fn shortened(text: &str, chars: usize) -> String {
    // Each character has at most one visible line of escapes, so a start of the text is enough.
    let start: String = text.chars().take(chars + 1).collect();
    let shown = printable(&start);
    match shown.char_indices().nth(chars) {
        Some((end, _)) => shown.get(..end).unwrap_or_default().to_owned() + "…",
        None => shown,
    }
}

/// The text with the characters escaped that have a meaning in HTML, in attributes too.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_text_is_harmless_and_short() {
        let shown = |text: &str| Markup::data(text, 20).as_str().to_owned();
        assert_eq!(
            shown("<b onclick='x'>\"&"),
            "<bdi>&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;</bdi>"
        );
        assert_eq!(shown("a\u{202e}b\n"), "<bdi>a\\u{202e}b\\n</bdi>");
        assert_eq!(
            shown(&"é".repeat(21)),
            format!("<bdi>{}…</bdi>", "é".repeat(20))
        );
        assert_eq!(
            shown(&"é".repeat(20)),
            format!("<bdi>{}</bdi>", "é".repeat(20))
        );
        assert_eq!(shown(""), "<span class=\"muted\">(empty)</span>");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_element(text: String) {
            let shown = Markup::data(&text, 30).as_str().to_owned();
            let inner = shown.strip_prefix("<bdi>").and_then(|rest| rest.strip_suffix("</bdi>"));
            if let Some(inner) = inner {
                prop_assert!(!inner.contains(['<', '>', '"', '\'']));
                prop_assert!(!inner.chars().any(char::is_control));
            } else {
                prop_assert!(text.is_empty());
            }
        }
    }
}
