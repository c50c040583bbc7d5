//! The kinds of JSON values.

/// The kind of a value, with what its node says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as its lexeme.
    Number,
    /// A string.
    String {
        /// Whether the string has escapes.
        escaped: bool,
        /// Whether the string has half of a surrogate pair, which no Unicode string can hold.
        lone_surrogate: bool,
    },
    /// An array.
    Array,
    /// An object.
    Object,
}
