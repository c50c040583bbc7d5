//! Values, keys and lists, which refer to the nodes of a document.

use std::ops::Range;

use crate::json::kind::JsonKind;
use crate::json::node::{Node, Slot};
use crate::json::number::Number;
use crate::json::text::Text;

/// A value of a document.
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
    #[inline]
    fn node(&self) -> Node<'d> {
        Node::at(self.slots, self.at)
    }

    fn with(&self, at: usize) -> Self {
        Self { at, ..*self }
    }

    /// The kind of the value.
    pub fn kind(&self) -> JsonKind {
        self.node().kind()
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// Whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.kind() == JsonKind::Object
    }

    /// The text of the value: compact, otherwise exactly as received; a string with its quotes.
    pub fn raw(&self) -> &'d str {
        let Range { start, end } = self.node().span();
        let quote = usize::from(matches!(self.kind(), JsonKind::String { .. }));
        // Nodes of strings leave out the quotes, since nearly all uses want the inside.
        let range = (start - quote)..(end + quote);
        self.text.get(range).unwrap_or_default()
    }

    /// The position of [`raw`](Self::raw) in the document's text, in bytes.
    pub fn offset(&self) -> usize {
        self.node().span().start - usize::from(matches!(self.kind(), JsonKind::String { .. }))
    }

    /// The string, if Unicode can hold it.
    pub fn text(&self) -> Option<Text<'d>> {
        match self.kind() {
            JsonKind::String {
                escaped,
                lone_surrogate: false,
            } => Some(Text::from_json(self.inner(), escaped)),
            _ => None,
        }
    }

    fn inner(&self) -> &'d str {
        self.text.get(self.node().span()).unwrap_or_default()
    }

    /// The number, if the value is one.
    pub fn number(&self) -> Option<Number<'d>> {
        (self.kind() == JsonKind::Number).then(|| Number::new(self.inner()))
    }

    /// The boolean, if the value is one.
    pub fn boolean(&self) -> Option<bool> {
        match self.kind() {
            JsonKind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number of members of an object or elements of an array; 0 for other values.
    pub fn len(&self) -> usize {
        self.node().len()
    }

    /// Whether the value has no members and no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of an array; nothing for other values.
    pub fn elements(&self) -> impl Iterator<Item = Value<'d>> + Clone + use<'d> {
        let list = *self;
        let node = self.node();
        let end = if node.kind() == JsonKind::Array {
            node.next()
        } else {
            0
        };
        std::iter::successors(Some(self.with(node.first())), move |value| {
            Some(list.with(value.node().next()))
        })
        .take_while(move |value| value.at < end)
    }

    /// The members of an object in the order of the text, with duplicates; nothing for other values.
    pub fn members(&self) -> ObjectMembers<'d> {
        let node = self.node();
        let end = if node.kind() == JsonKind::Object {
            node.next()
        } else {
            0
        };
        ObjectMembers {
            at: self.with(node.first()),
            end,
        }
    }

    /// The value of a key. The last of duplicate keys counts.
    pub fn get(&self, key: &str) -> Option<Value<'d>> {
        self.members()
            .filter(|(name, _)| name.is(key))
            .last()
            .map(|(_, value)| value)
    }

    /// The list of strings, if the value is one and Unicode can hold all of them.
    pub fn text_list(&self) -> Option<TextList<'d>> {
        (self.kind() == JsonKind::Array && self.elements().all(|element| element.text().is_some()))
            .then_some(TextList(*self))
    }
}

/// A key, possibly one that Unicode cannot hold.
#[derive(Debug, Clone, Copy)]
pub struct JsonKey<'d>(Value<'d>);

impl<'d> JsonKey<'d> {
    /// Whether the key is this text.
    pub fn is(&self, key: &str) -> bool {
        match self.as_plain() {
            Some(plain) => plain == key,
            None => self.text().is_some_and(|text| text == *key),
        }
    }

    /// The key, if there is nothing to decode.
    pub(crate) fn as_plain(&self) -> Option<&'d str> {
        match self.0.kind() {
            JsonKind::String { escaped: false, .. } => Some(self.0.inner()),
            _ => None,
        }
    }

    /// Whether two keys are the same. A key that Unicode cannot hold equals only one that is written the same.
    pub fn same(&self, other: &JsonKey<'_>) -> bool {
        self.raw() == other.raw()
            || match (self.text(), other.text()) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            }
    }

    /// The key as it is written, with its quotes.
    pub fn raw(&self) -> &'d str {
        self.0.raw()
    }

    /// The decoded key, if Unicode can hold it.
    pub fn text(&self) -> Option<Text<'d>> {
        self.0.text()
    }
}

/// Iterates over an object's members.
#[derive(Debug, Clone)]
pub struct ObjectMembers<'d> {
    at: Value<'d>,
    end: usize,
}

impl<'d> Iterator for ObjectMembers<'d> {
    type Item = (JsonKey<'d>, Value<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.at >= self.end {
            return None;
        }
        let key = JsonKey(self.at);
        // A key has no children.
        let value = self.at.with(self.at.node().first());
        self.at = self.at.with(value.node().next());
        Some((key, value))
    }
}

/// A list of strings that Unicode can hold.
#[derive(Debug, Clone, Copy)]
pub struct TextList<'d>(Value<'d>);

impl<'d> TextList<'d> {
    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = Text<'d>> + use<'d> {
        self.0.elements().filter_map(|element| element.text())
    }

    /// The number of strings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes of text the list has.
    pub fn size(&self) -> usize {
        self.0.raw().len()
    }
}
