//! Lossless JSON: lexer, document, value, number, comparison.

pub mod compare;
pub mod document;
pub mod lexer;
pub mod node;
pub mod number;
pub mod text;
pub mod value;
