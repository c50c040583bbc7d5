//! A parsed JSON text: its characters, and the nodes of its values in the order of the text.

use crate::json::kind::JsonKind;
use crate::json::node::{Node, Slot};
use crate::json::value::Value;

/// A parsed text. It is compact: no white space between tokens.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    text: &'d str,
    slots: &'d [Slot],
}

/// The nodes of a document without its text, so that it need not be parsed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(Box<[Slot]>);

impl Nodes {
    /// The memory that the nodes take, in bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl<'d> Document<'d> {
    /// The document of a compact text and the slots of its values.
    pub(super) fn new(text: &'d str, slots: &'d [Slot]) -> Self {
        Self { text, slots }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'d> {
        Value {
            text: self.text,
            slots: self.slots,
            at: 0,
        }
    }

    /// The compact text.
    pub fn text(&self) -> &'d str {
        self.text
    }

    /// A copy of the nodes, for [`of`](Self::of).
    pub fn nodes(&self) -> Nodes {
        Nodes(self.slots.into())
    }

    /// The memory that [`nodes`](Self::nodes) would take, in bytes.
    pub fn nodes_size(&self) -> usize {
        size_of_val(self.slots)
    }

    /// Puts nodes together with the compact text that they were parsed from. Returns nothing if the text has another
    /// length.
    pub fn of(text: &'d str, nodes: &'d Nodes) -> Option<Self> {
        nodes.0.first()?;
        let root = Node::at(&nodes.0, 0);
        // A string's node ends before its closing quote.
        let quote = usize::from(matches!(root.kind(), JsonKind::String { .. }));
        (root.span().end + quote == text.len()).then_some(Self {
            text,
            slots: &nodes.0,
        })
    }
}
