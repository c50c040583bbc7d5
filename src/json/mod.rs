//! JSON as it was received: one pass gives a flat tree of borrowed slices.
//!
//! General parsers decode into values and lose what this tool must keep: number lexemes, lone
//! surrogates, the exact text of a part, nesting of any sensible depth. This one keeps the text and
//! marks where things stand. It allocates nothing for a value. Depends on no other module.

mod compare;
mod document;
mod node;
mod number;
mod scan;
mod text;
mod value;

pub use compare::{Difference, differences, same};
pub use document::{Document, Kind, Nodes, Parser, parse_bytes_at_most};
pub use number::Number;
pub use scan::{JsonError, JsonErrorKind};
pub use text::{Text, push_pointer_token, write_json_string};
pub use value::{Key, Members, TextList, Value};
