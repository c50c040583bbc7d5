//! Values, keys and lists: handles on the nodes of a document. Depends on the other files of this
//! folder only.

use crate::json::document::Kind;
use crate::json::node::{Node, Slot};
use crate::json::number::Number;
use crate::json::text::Text;

/// One value inside a document.
#[derive(Debug, Clone, Copy)]
pub struct Value<'d> {
    pub(crate) text: &'d str,
    pub(crate) slots: &'d [Slot],
    pub(crate) at: usize,
}

/// `null`, which has no members and no elements.
impl Default for Value<'_> {
    fn default() -> Self {
        Self {
            text: "",
            slots: &[],
            at: 0,
        }
    }
}

impl<'d> Value<'d> {
    fn node(&self) -> Node {
        Node::at(self.slots, self.at)
    }

    fn with(&self, at: usize) -> Self {
        Self { at, ..*self }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// Is it `null`?
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Is it an object?
    pub fn is_object(&self) -> bool {
        self.kind() == Kind::Object
    }

    /// Its text, compact, exactly as received otherwise; a string with its quotes.
    pub fn raw(&self) -> &'d str {
        let node = self.node();
        let quote = usize::from(matches!(node.kind, Kind::String { .. }));
        let range = (node.start - quote)..(node.end + quote);
        self.text.get(range).unwrap_or_default()
    }

    /// Where its [`raw`](Self::raw) text begins in the document's text.
    pub fn offset(&self) -> usize {
        let node = self.node();
        node.start - usize::from(matches!(node.kind, Kind::String { .. }))
    }

    /// The string, when it is one that Unicode can hold.
    pub fn text(&self) -> Option<Text<'d>> {
        match self.kind() {
            Kind::String {
                escaped,
                lone_surrogate: false,
            } => Some(Text::from_json(self.inner(), escaped)),
            _ => None,
        }
    }

    fn inner(&self) -> &'d str {
        let node = self.node();
        self.text.get(node.start..node.end).unwrap_or_default()
    }

    /// The number, when it is one.
    pub fn number(&self) -> Option<Number<'d>> {
        (self.kind() == Kind::Number).then(|| Number::new(self.inner()))
    }

    /// The boolean, when it is one.
    pub fn boolean(&self) -> Option<bool> {
        match self.kind() {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Members of an object, or elements of a list; 0 for anything else.
    pub fn len(&self) -> usize {
        self.node().len
    }

    /// Has it no members and no elements?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of a list; nothing for anything else.
    pub fn elements(&self) -> impl Iterator<Item = Value<'d>> + Clone + use<'d> {
        let list = *self;
        let node = self.node();
        let end = if node.kind == Kind::Array {
            node.next
        } else {
            0
        };
        std::iter::successors(Some(self.with(node.first)), move |value| {
            Some(list.with(value.node().next))
        })
        .take_while(move |value| value.at < end)
    }

    /// The members of an object, in the order of the text, duplicates included; nothing for
    /// anything else.
    pub fn members(&self) -> Members<'d> {
        let node = self.node();
        let end = if node.kind == Kind::Object {
            node.next
        } else {
            0
        };
        Members {
            at: self.with(node.first),
            end,
        }
    }

    /// The value of a key; of duplicates the last one.
    pub fn get(&self, key: &str) -> Option<Value<'d>> {
        self.members()
            .filter(|(name, _)| name.is(key))
            .last()
            .map(|(_, value)| value)
    }

    /// The list of strings, when it is one that Unicode can hold.
    pub fn text_list(&self) -> Option<TextList<'d>> {
        (self.kind() == Kind::Array && self.elements().all(|element| element.text().is_some()))
            .then_some(TextList(*self))
    }
}

/// A key, which may be one that Unicode cannot hold.
#[derive(Debug, Clone, Copy)]
pub struct Key<'d>(Value<'d>);

impl<'d> Key<'d> {
    /// Is it this text?
    pub fn is(&self, key: &str) -> bool {
        match self.0.kind() {
            Kind::String { escaped: false, .. } => self.0.inner() == key,
            _ => self.0.text().is_some_and(|text| text == *key),
        }
    }

    /// Is it the same key? One that Unicode cannot hold equals only what is written the same.
    pub fn same(&self, other: &Key<'_>) -> bool {
        self.raw() == other.raw()
            || match (self.text(), other.text()) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            }
    }

    /// As it stands in the text, with its quotes.
    pub fn raw(&self) -> &'d str {
        self.0.raw()
    }

    /// Decoded, when Unicode can hold it.
    pub fn text(&self) -> Option<Text<'d>> {
        self.0.text()
    }
}

/// Iterates over an object's members.
#[derive(Debug, Clone)]
pub struct Members<'d> {
    at: Value<'d>,
    end: usize,
}

impl<'d> Iterator for Members<'d> {
    type Item = (Key<'d>, Value<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.at >= self.end {
            return None;
        }
        let key = Key(self.at);
        let value = self.at.with(self.at.node().next);
        self.at = self.at.with(value.node().next);
        Some((key, value))
    }
}

/// A list of which every element is a string that Unicode can hold.
#[derive(Debug, Clone, Copy)]
pub struct TextList<'d>(Value<'d>);

impl<'d> TextList<'d> {
    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = Text<'d>> + use<'d> {
        self.0.elements().filter_map(|element| element.text())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of text, about.
    pub fn size(&self) -> usize {
        self.0.raw().len()
    }
}
